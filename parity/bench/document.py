"""`bench.json`: which engines are how fast."""

import functools
from collections.abc import Mapping
from typing import Any

from parity.bench.ratios import CONFIDENCE, FEWEST_ROUNDS, agreement, finite, quartiles, ratios
from parity.bench.rounds import Factory, Progress, Timings, time_network
from parity.engines.protocol import Task
from parity.engines.registry import runs_on
from parity.environment import blas_warning, environment
from parity.result_sources import code
from parity.system import load_average, usable_cores

UNEQUAL = 0.25
"""An engine that keeps this many more cores busy than it was given threads has more threads."""


def bench(
    tasks: Mapping[str, Task],
    engines: Mapping[str, Factory],
    threads: int | None = None,
    rounds: int = 30,
    progress: Progress = lambda name, what, done, total: None,
    generations: int = 1,
    read_losses: bool = False,
    timeout_s: float | None = None,
) -> dict[str, Any]:
    """Time the training steps of `engines`, by name, on `tasks`, by architecture.

    Each engine runs on `threads` threads, by default as many as there are cores. Returns the
    document of `bench.json`, all times in seconds per training step. Beside what its schema
    requires it has

    - `code`, the digest of the sources that decide the times;
    - `read_losses`, whether every step's loss was read before the next step;
    - in each result `steps`, how many a round has, `final_loss`, after the last of them (`null` if
      not finite), `process_medians_s`, one for each generation of processes, `cores_used`, of all
      threads together, and `peak_memory_bytes`, above what the process had before (`null` if not
      known);
    - `engines`, the environment of each engine's process;
    - `agreement`, whether the engines compute the same: their losses in the first steps from the
      same start, taken before timing and again after it, and the largest relative difference from
      the first engine's; `agreed`, whether all do;
    - `left_out`, which engine was not timed on which architecture, and why;
    - `loaded`, whether other programs needed the cores, before timing or meanwhile: then its ratios
      are not to be trusted;
    - `warnings`, texts to print beside the times.

    `progress(architecture, done, rounds)` is called before the first and after every round. Raises
    ValueError for no tasks or engines and for too few rounds, and whatever an engine raises. One
    that gives no sign of life for `timeout_s` seconds is ended; None is for ever.
    """
    threads = usable_cores() if threads is None else threads
    if not tasks or not engines:
        raise ValueError("nothing to time: name at least one architecture and one engine")
    if rounds < FEWEST_ROUNDS:
        raise ValueError(
            f"{rounds} rounds are too few for a {CONFIDENCE:.0%} confidence interval: "
            f"run at least {FEWEST_ROUNDS}"
        )
    if not 1 <= generations <= rounds:
        raise ValueError(
            f"{generations} processes an engine for {rounds} rounds: give 1 to {rounds}"
        )
    loads = [load_average()]
    document: dict[str, Any] = {
        "schema": 1,
        "code": code("bench"),
        "environment": environment(),
        "read_losses": read_losses,
        "engines": {},
        "agreed": True,
        "warnings": [],
        "agreement": [],
        "left_out": [],
        "results": [],
        "ratios": [],
    }
    for architecture, task in tasks.items():
        report = functools.partial(progress, architecture)
        found = time_network(
            task, engines, threads, rounds, generations, report, read_losses, timeout_s
        )
        _add(document, architecture, task, threads, found)
        own = max([threads, *found.cores_used.values()])
        loads.append(load_average() - own)
    warning = load_warning(max(loads), threads, usable_cores())
    document["loaded"] = warning is not None
    document["warnings"] += [warning] if warning else []
    document["agreed"] = all(entry["agrees"] for entry in document["agreement"])
    forced = {blas_warning(found) for found in document["engines"].values()}
    document["warnings"] += sorted(warning for warning in forced if warning)
    return document


def _add(
    document: dict[str, Any], architecture: str, task: Task, threads: int, found: Timings
) -> None:
    """Add the results of one network."""
    document["left_out"] += [
        {"architecture": architecture, "engine": name, "reason": reason}
        for name, reason in found.left_out.items()
    ]
    for name, environment_ in found.environments.items():
        document["engines"].setdefault(name, environment_)
    if not found.times:
        return
    losses = {
        name: [loss for first in steps for loss in first.losses]
        for name, steps in found.first.items()
    }
    document["agreement"].append(agreement(architecture, task.dtype, losses))
    document["ratios"] += ratios(architecture, found.times)
    for name, seconds in found.times.items():
        document["results"].append(
            {
                "engine": name,
                "architecture": architecture,
                "threads": threads,
                "device": runs_on(name, task.device),
                "rounds": len(seconds),
                **quartiles(seconds),
                "process_medians_s": found.processes[name],
                "steps": found.steps[name],
                "final_loss": finite(found.final_loss[name]),
                "peak_memory_bytes": found.peak_memory[name],
                "cores_used": found.cores_used[name],
            }
        )
        if found.cores_used[name] > threads + UNEQUAL:
            document["warnings"].append(
                f"{architecture}: {name} kept {found.cores_used[name]:.1f} cores busy, and was "
                f"given {threads} thread{'s' * (threads != 1)}: its times are not to be compared"
            )


def load_warning(load: float, threads: int, cores: int) -> str | None:
    """Return a sentence to print beside the times if other programs need the cores, else None.

    `load` is the number of other processes that ran or waited to run. Threads of a
    pool wait for each other: on two cores that others were using, torch's step on `overfit` was
    seen to take 6 ms with one thread, and 12 to 450 ms with two.
    """
    if load + threads <= cores + 0.5:
        return None
    return (
        f"other programs kept {load:.1f} of {cores} cores busy for a minute, too many beside "
        f"{threads} thread{'s' * (threads != 1)}: times may be many times too long, and no ratio "
        "is given. Wait until they are done, or use fewer threads."
    )
