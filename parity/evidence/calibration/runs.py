"""The measurements of a calibration, made by several processes, and what they come to."""

import functools
import multiprocessing
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import numpy as np
import torch
from threadpoolctl import threadpool_limits

from parity.checks.gradients import AGGREGATE_Z, COMMON, Z
from parity.engines.trainer import Progress, ignore
from parity.environment import environment
from parity.evidence.calibration.cases import DATA, DTYPES, draw_case
from parity.evidence.calibration.free import measure_free
from parity.evidence.calibration.measure import (
    COMMONS,
    GRADIENT_DEFECTS,
    TOLERANCES,
    detect,
    measure,
)
from parity.evidence.store import Store
from parity.result_sources import code

NETWORKS = ("rightfit", "overfit")
"""The networks in which defects are planted."""

SAVE_EVERY_S = 20.0

Job = Callable[[], dict[str, Any]]


def measurements(path: Path, device: str) -> Store:
    """Return what has been measured so far, in a file.

    Raises:
        UsageError: the file is there, and is none of ours or one of another code or device.
    """
    common = {"code": code("calibration"), "device": device, "versions": environment()["versions"]}
    return Store(path, common, every_s=SAVE_EVERY_S)


def planned(cases: int, free: int, seeds: int, device: str) -> dict[str, Job]:
    """Return everything to be measured, by keys that say what it is."""
    jobs: dict[str, Job] = {
        f"case {seed}": functools.partial(_case, seed, device) for seed in range(cases)
    }
    jobs |= {f"free {seed}": functools.partial(measure_free, seed, device) for seed in range(free)}
    return jobs | {
        f"detect {name} {seed} {dtype}": functools.partial(detect, name, seed, dtype)
        for seed in range(seeds)
        for dtype in DTYPES
        for name in NETWORKS
    }


def _case(seed: int, device: str) -> dict[str, Any]:
    return {"seed": seed, **measure(draw_case(seed), device)}


def work(
    found: Store,
    jobs: dict[str, Job],
    workers: int,
    progress: Progress = ignore,
) -> None:
    """Do what is not done yet, and keep all that is done, whatever happens.

    Args:
        found: what has been measured; measurements are added to it, each as `found` by its `key`.
        jobs: what is to be measured, by key.
        workers: how many processes measure.
        progress: called as `progress(measurements done, measurements)`.
    """
    missing = [key for key in jobs if key not in found]

    def collect(done: Iterable[tuple[str, dict[str, Any]]]) -> None:
        for key, measured in done:
            progress(found.add({"key": key, "found": measured}), len(jobs))

    try:
        if workers == 1:
            collect((key, jobs[key]()) for key in missing)
            return
        # Workers are spawned: after a fork, thread pools are broken.
        spawn = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(workers, spawn, prepare) as pool:
            futures = {pool.submit(jobs[key]): key for key in missing}
            try:
                done = ((futures[f], f.result()) for f in as_completed(futures))
                collect(done)
            finally:
                pool.shutdown(wait=False, cancel_futures=True)
    finally:
        found.save()


def prepare() -> None:
    """Use one thread: two libraries' thread pools on the same cores slow each other down."""
    threadpool_limits(1)
    torch.set_num_threads(1)


# ---- curves of false alarms, families, practices, defects --------------------------------------

Row = dict[str, Any]

KINDS = ("gradients", "parameters", "loss", "aggregate")
LEVELS = (0.5, 0.9, 0.99, 1.0)
STEPS = [round(0.25 * i, 2) for i in range(1, 41)]
"""Values of z at which the curves are given."""


def summary(rows: Sequence[Row]) -> dict[str, Any]:
    """Return curves of false alarms, and the worst of every family.

    A comparison is one training step of both engines. `curve` counts, for each z, the comparisons
    that would be failed by an element of a gradient, of an updated parameter, by the loss, and by
    an aggregate of a gradient; `aggregate_curves` counts the last for other values of COMMON.
    """
    worst = _worst(rows)
    by_common = np.array([row["aggregate"] for row in rows])
    return {
        "comparisons": len(rows),
        "tensors": sum(row["tensors"] for row in rows),
        "elements": sum(row["elements"] for row in rows),
        "unlimited": sum(row["unlimited"] for row in rows),
        "kinks": sum(row["kinks"] for row in rows),
        "choices": sum(row["choices"] for row in rows),
        "with_momentum": sum(row["momentum"] > 0 for row in rows),
        "after_training": sum(row["epochs"] > 0 for row in rows),
        "not_finite": sum(not row["finite"] for row in rows),
        "z": Z,
        "aggregate_z": AGGREGATE_Z,
        "common": COMMON,
        "false_alarms": {
            kind: int((values > (AGGREGATE_Z if kind == "aggregate" else Z)).sum())
            for kind, values in worst.items()
        },
        "curve": [{"z": z, **{k: int((v > z).sum()) for k, v in worst.items()}} for z in STEPS],
        "aggregate_curves": [
            {
                "common": common,
                "false_alarms": [int((by_common[:, i] > z).sum()) for z in STEPS],
                "worst": float(by_common[:, i].max()),
            }
            for i, common in enumerate(COMMONS)
        ],
        "families": [
            _family(family, dtype, some)
            for family in DATA
            for dtype in DTYPES
            if (some := [r for r in rows if (r["family"], r["dtype"]) == (family, dtype)])
        ],
        "practices": [_practice(practice.name, rows) for practice in TOLERANCES],
        "worst": {
            kind: [
                rows[i] | {"aggregate": float(worst["aggregate"][i])}
                for i in np.argsort(-worst[kind], kind="stable")[:3]
            ]
            for kind in ("gradients", "aggregate")
        },
    }


def _worst(rows: Sequence[Row]) -> dict[str, Any]:
    mine = COMMONS.index(COMMON)
    return {
        kind: np.array([row[kind][mine] if kind == "aggregate" else row[kind] for row in rows])
        for kind in KINDS
    }


def _family(family: str, dtype: str, rows: Sequence[Row]) -> dict[str, Any]:
    """Return quantiles of the worst difference of a comparison, in units of √2·σ."""
    return {
        "family": family,
        "dtype": dtype,
        "comparisons": len(rows),
        "elements": sum(row["elements"] for row in rows),
        "levels": LEVELS,
        **{
            kind: [float(q) for q in np.quantile(values, LEVELS, method="inverted_cdf")]
            for kind, values in _worst(rows).items()
        },
    }


def _practice(name: str, rows: Sequence[Row]) -> dict[str, Any]:
    """Return how many correct comparisons a fixed tolerance fails, over all and random ones."""
    found: dict[str, Any] = {"practice": name}
    for dtype in DTYPES:
        for of, family in (("all", None), ("random", "random")):
            some = [r for r in rows if r["dtype"] == dtype and family in (None, r["family"])]
            flagged = sum(name in row["flagged"] for row in some)
            found[f"{dtype}, {of}"] = {"comparisons": len(some), "false_alarms": flagged}
    return found


def detection(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Return for each network, dtype and defect which share of the planted ones each judge caught.

    `least` is the parameter in whose gradient the defect was caught least often, and at which share
    of the seeds.
    """
    return [
        _defect(architecture, dtype, defect, seeds, some)
        for architecture, dtype in dict.fromkeys((r["architecture"], r["dtype"]) for r in rows)
        for seeds in [[r for r in rows if (r["architecture"], r["dtype"]) == (architecture, dtype)]]
        for defect in GRADIENT_DEFECTS
        if (some := [p for row in seeds for p in row["planted"] if p["defect"] == defect])
    ]


def _defect(
    architecture: str, dtype: str, defect: str, seeds: Sequence[Row], planted: Sequence[Row]
) -> dict[str, Any]:
    element = np.array([p["gradients"] > Z for p in planted])
    aggregate = np.array([p["aggregate"] for p in planted]) > AGGREGATE_Z
    either = element | aggregate[:, COMMONS.index(COMMON)]
    names = np.array([p["parameter"] for p in planted])
    shares = {name: float(either[names == name].mean()) for name in dict.fromkeys(names.tolist())}
    least = min(shares, key=lambda name: shares[name])
    return {
        "architecture": architecture,
        "dtype": dtype,
        "defect": defect,
        "seeds": len(seeds),
        "planted": len(planted),
        "caught": {
            "element": float(element.mean()),
            "aggregate": float(aggregate[:, COMMONS.index(COMMON)].mean()),
            "either": float(either.mean()),
            **{
                practice.name: float(np.mean([practice.name in p["flagged"] for p in planted]))
                for practice in TOLERANCES
            },
        },
        "aggregate_by_common": [float(share) for share in aggregate.mean(axis=0)],
        "least": {"parameter": least, "share": shares[least]},
    }
