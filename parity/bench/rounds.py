"""Timing in rounds: each engine in a warm process of its own, one engine at a time.

A round times each engine once, in an order shuffled anew, so that whatever slows the machine down
for a while slows all of them, and none always follows the same other.

A process has luck of its own: with the same step, one was seen to take 40 µs and the next 66, each
for all its life, as its memory happened to be laid out. So there are several *generations* of
processes, one after the other, each with its share of the rounds.
"""

import functools
import random
import statistics
import time
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from typing import Any

from parity.bench.timed import First, TimedEngine
from parity.engines.process import EngineProcess
from parity.engines.protocol import Engine, Start, Task
from parity.errors import UsageError

Factory = Callable[[], Engine]
Progress = Callable[[str, str, int, int], object]
"""Called as `progress(architecture, WARM_UP or TIMING, how much is done, of how much)`."""

WARM_UP, TIMING = "warm-up", "rounds"

ROUND_S = 0.075  # an engine's share of a round: long beside the clock's resolution and a step
# Threads of OpenBLAS and OpenMP wait for more work by spinning before they sleep. Another engine is
# timed only when they are asleep.
SETTLE_S = 0.03

LONGEST_TRAINING_S = 120.0
"""An engine that would train for longer than this is left out, with the reason."""


@dataclass
class Timings:
    """What the rounds of one network gave.

    Attributes:
        times: by engine, for each round the seconds a step took.
        processes: by engine, for each generation the median of these.
        steps: by engine, how many a round has.
        first: by engine, for each generation what its first steps did, before timing and after.
        final_loss: by engine, after the last round.
        peak_memory: by engine, in bytes, of the first generation.
        cores_used: by engine, of all generations the most.
        left_out: by engine, why it was not timed.
        environments: by engine.
    """

    times: dict[str, list[float]] = field(default_factory=dict)
    processes: dict[str, list[float]] = field(default_factory=dict)
    steps: dict[str, int] = field(default_factory=dict)
    first: dict[str, list[First]] = field(default_factory=dict)
    final_loss: dict[str, float] = field(default_factory=dict)
    peak_memory: dict[str, int | None] = field(default_factory=dict)
    cores_used: dict[str, float] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    environments: dict[str, dict[str, Any]] = field(default_factory=dict)


def time_network(
    task: Task,
    engines: Mapping[str, Factory],
    threads: int,
    rounds: int,
    generations: int,
    report: Callable[[str, int, int], object],
    read_losses: bool = False,
    timeout_s: float | None = None,
) -> Timings:
    """Time the steps of every engine on one network; `report` is a `Progress` of that network."""
    found = Timings()
    report(WARM_UP, 0, generations)
    with closing(_one_by_one(engines, threads, timeout_s)) as first_to_last:
        start = drawn(first_to_last, task)
    shares = [rounds // generations + (i < rounds % generations) for i in range(generations)]
    done = 0
    for generation, share in enumerate(shares):
        report(WARM_UP, generation, generations)
        timed = {name: make for name, make in engines.items() if name not in found.left_out}
        with ExitStack() as stack:
            processes = start_processes(stack, timed, threads, read_losses, timeout_s)
            _begin(processes, lambda process: load(process, task, start), found)
            _time(processes, share, found, lambda n, done=done: report(TIMING, done + n, rounds))  # type: ignore[misc]
            _begin(processes, lambda process: _told(process, TimedEngine.again), found)
            for name, process in processes.items():
                found.peak_memory.setdefault(name, process.call(TimedEngine.peak_memory))
                found.environments.setdefault(name, process.call(TimedEngine.environment))
        done += share
    return found


def start_processes(
    stack: ExitStack,
    engines: Mapping[str, Factory],
    threads: int,
    read_losses: bool = False,
    timeout_s: float | None = None,
) -> dict[str, EngineProcess[TimedEngine]]:
    """Return a process for each engine, closed with the stack."""
    found = {}
    for name, make in engines.items():
        timed = functools.partial(TimedEngine, make, threads, read_losses)
        process = EngineProcess(timed, threads, name, timeout_s=timeout_s)
        found[name] = stack.enter_context(process)
    return found


def _one_by_one(
    engines: Mapping[str, Factory], threads: int, timeout_s: float | None
) -> Generator[EngineProcess[TimedEngine]]:
    """Yield a process for each engine, one after the other.

    What drawing leaves in a process's memory would make its engine seem to need less than others.
    """
    for name, make in engines.items():
        timed = functools.partial(TimedEngine, make)
        with EngineProcess(timed, threads, name, timeout_s=timeout_s) as process:
            yield process


def drawn(processes: Iterable[EngineProcess[TimedEngine]], task: Task) -> Start:
    """Return what the first engine that can draw draws; if none can, what minigrad draws."""
    for process in processes:
        start: Start | None = process.call(TimedEngine.draw, task)
        if start is not None:
            return start
    from parity.engines.adapters.minigrad import MinigradEngine

    return MinigradEngine().draw(task)


def load(process: EngineProcess[TimedEngine], task: Task, start: Start) -> First | str:
    """Let an engine begin a task; return its first steps, or why it must be left out."""
    first = _told(process, TimedEngine.load, task, start)
    if isinstance(first, str):
        return first
    limit_s = LONGEST_TRAINING_S / task.steps
    if first.step_s <= limit_s:
        return first
    times = process.call(TimedEngine.steps_until, limit_s)
    if min(times) <= limit_s:
        return first
    return (
        f"{task.epochs:,} epochs would take {min(times) * task.steps / 60:.3g} minutes, more than "
        f"{LONGEST_TRAINING_S / 60:.0f}: of {len(times)} steps the shortest took {min(times):.2g} "
        f"s, the longest {max(times):.2g} s"
    )


def _told(
    process: EngineProcess[TimedEngine], ask: Callable[..., First], *arguments: object
) -> First | str:
    """Return what an engine's first steps were, or why it must be left out."""
    try:
        return process.call(ask, *arguments)
    except UsageError as error:
        return str(error)


def _begin(
    processes: dict[str, EngineProcess[TimedEngine]],
    take: Callable[[EngineProcess[TimedEngine]], First | str],
    found: Timings,
) -> None:
    """Let all engines take their first steps; drop those that must be left out."""
    for name, process in list(processes.items()):
        first = take(process)
        if isinstance(first, str):
            found.left_out[name] = first
            for known in (found.times, found.processes, found.first, found.steps):
                known.pop(name, None)
            processes.pop(name).close()
        else:
            found.first.setdefault(name, []).append(first)


def _time(
    processes: Mapping[str, EngineProcess[TimedEngine]],
    rounds: int,
    found: Timings,
    report: Callable[[int], object],
) -> None:
    """Time rounds with the processes of one generation."""
    counts = {
        name: process.call(TimedEngine.warm_up, ROUND_S) for name, process in processes.items()
    }
    times = time_in_rounds(processes, counts, rounds, report)
    for name, process in processes.items():
        found.times.setdefault(name, []).extend(times[name])
        found.processes.setdefault(name, []).append(statistics.median(times[name]))
        found.steps[name] = process.call(TimedEngine.steps, counts[name])
        cores = process.call(TimedEngine.cores_used)
        found.cores_used[name] = max(cores, found.cores_used.get(name, 0.0))
        found.final_loss[name] = process.call(TimedEngine.loss)


def time_in_rounds(
    processes: Mapping[str, EngineProcess[TimedEngine]],
    counts: Mapping[str, int],
    rounds: int,
    report: Callable[[int], object],
) -> dict[str, list[float]]:
    """Return each engine's seconds per step in each round of `counts` calls."""
    times: dict[str, list[float]] = {name: [] for name in processes}
    order, shuffle = list(processes), random.Random(0).shuffle
    for done in range(1, rounds + 1):
        shuffle(order)
        for name in order:
            time.sleep(SETTLE_S)
            times[name].append(processes[name].call(TimedEngine.time, counts[name]))
        report(done)
    return times
