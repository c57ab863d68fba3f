"""All measurements of a calibration, made by several processes."""

import functools
import multiprocessing
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import numpy as np
import torch
from threadpoolctl import threadpool_limits

from parity.engines.trainer import Progress, ignore
from parity.environment import environment
from parity.evidence.calibration.cases import DTYPES, draw_case
from parity.evidence.calibration.measure import detect, measure
from parity.evidence.store import Store
from parity.sources import digest

NETWORKS = ("rightfit", "overfit")
"""The networks in which defects are planted."""

CODE = (
    "minigrad/**/*.py",
    "torch_impl/**/*.py",
    "parity/checks/**/*.py",
    "parity/evidence/calibration/cases.py",
    "parity/evidence/calibration/measure.py",
)
"""What the measurements depend on: those of one file are all of the same code."""

SAVE_EVERY_S = 20.0

Job = Callable[[], dict[str, Any]]


def measurements(path: Path, device: str) -> Store:
    """Return what has been measured so far, in a file.

    Raises:
        UsageError: the file is there, and is none of ours or one of another code or device.
    """
    common = {"code": digest(CODE), "device": device, "versions": environment()["versions"]}
    return Store(path, common, every_s=SAVE_EVERY_S)


def planned(cases: int, seeds: int, device: str) -> dict[str, Job]:
    """Return everything to be measured, by keys that say what it is."""
    jobs: dict[str, Job] = {
        f"case {seed}": functools.partial(_case, seed, device) for seed in range(cases)
    }
    return jobs | {
        f"detect {name} {seed} {dtype}": functools.partial(_detect, name, seed, dtype)
        for seed in range(seeds)
        for dtype in DTYPES
        for name in NETWORKS
    }


@np.errstate(all="ignore")
def _case(seed: int, device: str) -> dict[str, Any]:
    return {"seed": seed, **measure(draw_case(seed), device)}


@np.errstate(all="ignore")
def _detect(name: str, seed: int, dtype: str) -> dict[str, Any]:
    return detect(name, seed, dtype)


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
