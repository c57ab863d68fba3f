"""Engines timed side by side, and the interval within which the ratio of their times lies.

Every engine has a warm process of its own and the same number of threads. A round times each engine
once, in an order shuffled anew, so that whatever slows the machine down for a while slows all of
them, and none always follows the same other. Ratios are taken within a round; of many rounds the
median is given, with a confidence interval that supposes nothing of their distribution.
"""

import functools
import gc
import math
import os
import random
import statistics
import time
import timeit
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from itertools import permutations
from typing import TYPE_CHECKING, Any

from parity.engines import runs_on
from parity.engines.process import EngineProcess
from parity.environment import blas_warning, environment, usable_cores

if TYPE_CHECKING:
    from parity.engines import Engine, Start, Task

Factory = Callable[[], "Engine"]
Progress = Callable[[str, int, int], object]

ROUND_S = 0.075  # an engine's share of a round: long beside the clock's resolution and a step
# Threads of OpenBLAS and OpenMP wait for more work by spinning before they sleep. Another engine is
# timed only when they are asleep.
SETTLE_S = 0.03

# Before timing, all engines take this many steps from the same start, and their losses before and
# after each must agree. torch against itself with every parameter moved by one ulp differs in them
# by at most 20·u on the three networks (12 seeds, both dtypes); after 10 steps of `overfit`, which
# is chaotic, by 30,000·u.
AGREEMENT_STEPS = 2
AGREEMENT_TOLERANCE = {"float32": 4096 * 2.0**-24, "float64": 4096 * 2.0**-53}

CONFIDENCE = 0.95
FEWEST_ROUNDS = 6  # with fewer, no two of the ratios enclose the median with this confidence


class TimedEngine:
    """An engine and its stopwatch, both in the engine's process."""

    def __init__(self, factory: Factory) -> None:
        """Make the engine."""
        self._engine = factory()

    def environment(self) -> dict[str, object]:
        """Return what this process runs on."""
        return environment()

    def draw(self, task: "Task") -> "Start":
        """Return the data and parameters that training starts from."""
        return self._engine.draw(task)

    def load(self, task: "Task", start: "Start") -> list[float]:
        """Begin a new task. Return the losses before and after each of the first steps."""
        self._engine.load(task, start)
        losses = [self.loss()]
        for _ in range(AGREEMENT_STEPS):
            self._engine.step()
            losses.append(self.loss())
        return losses

    def loss(self) -> float:
        """Return the loss at the present parameters."""
        return self._engine.loss_and_gradients()[0]

    def warm_up(self, duration_s: float) -> int:
        """Take steps for at least this long; return how many of them fill it."""
        count = 1
        while (elapsed_s := self._time(count)) < duration_s:
            count = max(2 * count, min(10 * count, math.ceil(count * duration_s / elapsed_s)))
        return max(1, round(count * duration_s / elapsed_s))

    def time(self, count: int) -> float:
        """Return the seconds a step takes, timing `count` of them after a tenth as many untimed."""
        self._time(max(1, count // 10))
        return self._time(count) / count

    def _time(self, count: int) -> float:
        # timeit switches the garbage collector off; in training it is on.
        return timeit.Timer(self._engine.step, setup=gc.enable, timer=self._clock).timeit(count)

    def _clock(self) -> float:
        self._engine.synchronize()
        return time.perf_counter()


def bench(
    tasks: Mapping[str, "Task"],
    engines: Mapping[str, Factory],
    threads: int | None = None,
    rounds: int = 30,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Time the training steps of `engines`, by name, on `tasks`, by architecture.

    Each engine runs on `threads` threads, by default as many as there are cores. Returns the
    document of `bench.json`, all times in seconds per training step. Beside what its schema
    requires it has, in each result, `steps`, the steps in a round, and `final_loss`, after the last
    of them (`null` if not finite); `engines`, the environment of each engine's process;
    `agreement`, whether the engines compute the same (their losses from the same start, and the
    largest relative difference from the first engine's); `agreed`, whether all do; `warnings`,
    texts to print beside the times.

    `progress(architecture, done, rounds)` is called before the first and after every round. Raises
    ValueError for no tasks or engines and for too few rounds, and whatever an engine raises.
    """
    threads = usable_cores() if threads is None else threads
    if not tasks or not engines:
        raise ValueError("nothing to time: name at least one architecture and one engine")
    if rounds < FEWEST_ROUNDS:
        raise ValueError(
            f"{rounds} rounds are too few for a {CONFIDENCE:.0%} confidence interval: "
            f"run at least {FEWEST_ROUNDS}"
        )
    warning = load_warning(os.getloadavg()[0], threads, usable_cores())
    document: dict[str, Any] = {
        "schema": 1,
        "environment": environment(),
        "engines": {},
        "agreed": True,
        "warnings": [warning] if warning else [],
        "agreement": [],
        "results": [],
        "ratios": [],
    }
    with ExitStack() as stack:
        processes = {
            name: stack.enter_context(
                EngineProcess(functools.partial(TimedEngine, factory), threads, name)
            )
            for name, factory in engines.items()
        }
        for architecture, task in tasks.items():
            start = next(iter(processes.values())).call("draw", task)
            losses = {
                name: process.call("load", task, start) for name, process in processes.items()
            }
            document["agreement"].append(agreement(architecture, task.dtype, losses))
            report = functools.partial(progress or _silent, architecture)
            counts, times = _time_in_rounds(processes, rounds, report)
            for name, seconds in times.items():
                q1_s, median_s, q3_s = statistics.quantiles(seconds, n=4, method="inclusive")
                loss = processes[name].call("loss")
                document["results"].append(
                    {
                        "engine": name,
                        "architecture": architecture,
                        "threads": threads,
                        "device": runs_on(name, task.device),
                        "rounds": rounds,
                        "median_s": median_s,
                        "q1_s": q1_s,
                        "q3_s": q3_s,
                        "steps": counts[name],
                        "final_loss": _finite(loss),
                    }
                )
            document["ratios"] += ratios(architecture, times)
        document["engines"] = {name: p.call("environment") for name, p in processes.items()}
    document["agreed"] = all(entry["agrees"] for entry in document["agreement"])
    forced = {blas_warning(found) for found in document["engines"].values()}
    document["warnings"] += sorted(warning for warning in forced if warning)
    return document


def load_warning(load: float, threads: int, cores: int) -> str | None:
    """Return a sentence to print beside the times if other programs need the cores, else None.

    `load` is the number of processes that ran or waited to run before timing began. Threads of a
    pool wait for each other: on two cores that others were using, torch's step on `overfit` was
    seen to take 6 ms with one thread, and 12 to 450 ms with two.
    """
    if load + threads <= cores + 0.5:
        return None
    return (
        f"other programs kept {load:.1f} of {cores} cores busy in the last minute, too many beside "
        f"{threads} threads: times may be many times too long. Wait, or use fewer threads."
    )


def _silent(architecture: str, done: int, total: int) -> None:
    pass


def _time_in_rounds(
    processes: Mapping[str, EngineProcess], rounds: int, report: Callable[[int, int], object]
) -> tuple[dict[str, int], dict[str, list[float]]]:
    """Return, for each engine, the steps it takes in a round, and each round's seconds per step."""
    report(0, rounds)
    counts = {name: process.call("warm_up", ROUND_S) for name, process in processes.items()}
    times: dict[str, list[float]] = {name: [] for name in processes}
    order, shuffle = list(processes), random.Random(0).shuffle
    for done in range(1, rounds + 1):
        shuffle(order)
        for name in order:
            time.sleep(SETTLE_S)
            times[name].append(processes[name].call("time", counts[name]))
        report(done, rounds)
    return counts, times


def agreement(
    architecture: str, dtype: str, losses: Mapping[str, Sequence[float]]
) -> dict[str, Any]:
    """Compare each engine's losses after 0, 1, … steps with those of the first engine.

    Losses that are not finite agree with nothing: they would say nothing of the engines.
    """
    reference = next(iter(losses))
    differences = {}
    for name, own in losses.items():
        relative = [
            abs(actual - expected) / abs(expected) if expected else float(actual != expected)
            for actual, expected in zip(own, losses[reference], strict=True)
        ]
        differences[name] = max(relative) if all(map(math.isfinite, relative)) else math.inf
    return {
        "architecture": architecture,
        "agrees": max(differences.values()) <= AGREEMENT_TOLERANCE[dtype],
        "reference": reference,
        "steps": AGREEMENT_STEPS,
        "tolerance": AGREEMENT_TOLERANCE[dtype],
        "losses": {name: [_finite(loss) for loss in own] for name, own in losses.items()},
        "relative_difference": {name: _finite(value) for name, value in differences.items()},
    }


def ratios(architecture: str, times: Mapping[str, Sequence[float]]) -> list[dict[str, Any]]:
    """Return, for every ordered pair of engines, how many times as fast the first is as the second.

    `times` are seconds per step, a value a round. The ratio is time(against) / time(engine) within
    a round; given are its median and the confidence interval of that.
    """
    result = []
    for engine, against in permutations(times, 2):
        pairs = zip(times[against], times[engine], strict=True)
        found = [other / own for other, own in pairs]
        low, high = median_interval(found)
        result.append(
            {
                "architecture": architecture,
                "engine": engine,
                "against": against,
                "median": statistics.median(found),
                "low": low,
                "high": high,
            }
        )
    return result


def median_interval(values: Sequence[float]) -> tuple[float, float]:
    """Return the interval that encloses the median of the values' distribution, 95 % sure or more.

    Its ends are the k-th value from either end of the sorted values. It misses the median if fewer
    than k values lie on one side of it, and how many do is binomially distributed with probability
    one half, whatever the values' distribution: k is the largest for which that is rare enough.
    Source: Conover, *Practical Nonparametric Statistics*, section 3.2. Raises ValueError for fewer
    than 6 values, which cannot give such an interval.
    """
    n = len(values)
    if n < FEWEST_ROUNDS:
        raise ValueError(f"{n} values give no {CONFIDENCE:.0%} interval: at least {FEWEST_ROUNDS}")
    k, missed = 0, 1  # missed: in how many of 2ⁿ equally likely cases at most k lie on one side
    while 2 * missed <= (1 - CONFIDENCE) * 2**n:
        k += 1
        missed += math.comb(n, k)
    ordered = sorted(values)
    return ordered[k - 1], ordered[n - k]


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
