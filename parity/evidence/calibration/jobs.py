"""Everything a calibration measures, done by several processes."""

from __future__ import annotations

import functools
import multiprocessing
import sys
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor, as_completed
from typing import Any

import numpy as np
import torch
from threadpoolctl import threadpool_limits

from parity.evidence.calibration.cases import DTYPES, draw_case
from parity.evidence.calibration.measure import measure
from parity.evidence.calibration.planted import detect
from parity.evidence.calibration.rows import Rows

NETWORKS = ("rightfit", "overfit")
"""Those in which defects are planted."""

Job = Callable[[], dict[str, Any]]


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


def work(rows: Rows, jobs: dict[str, Job], workers: int) -> None:
    """Do what is not done yet, and keep all that is done, whatever happens."""
    missing = [key for key in jobs if key not in rows]
    try:
        if workers == 1:
            _collect(rows, ((key, jobs[key]()) for key in missing), len(jobs))
            return
        # Workers are spawned: after a fork, thread pools are broken.
        spawn = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(workers, spawn, prepare) as pool:
            futures = {pool.submit(jobs[key]): key for key in missing}
            try:
                done = ((futures[f], f.result()) for f in as_completed(futures))
                _collect(rows, done, len(jobs))
            finally:
                pool.shutdown(wait=False, cancel_futures=True)
    finally:
        rows.save()


def _collect(rows: Rows, done: Iterable[tuple[str, dict[str, Any]]], total: int) -> None:
    for key, row in done:
        rows.add(key, row)
        if sys.stderr.isatty():
            print(f"\r{len(rows):,} of {total:,}", end="", file=sys.stderr)


def prepare() -> None:
    """One thread: two libraries' thread pools on the same cores slow each other down."""
    threadpool_limits(1)
    torch.set_num_threads(1)
