"""How the time of a step grows with width, batch and depth."""

import timeit
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import replace
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from parity.bench.ratios import agreement, quartiles
from parity.bench.rounds import Factory, Progress, drawn, load, start_processes, time_in_rounds
from parity.bench.timed import TimedEngine
from parity.engines.process import EngineProcess
from parity.engines.protocol import Task

WIDTHS = (1, 4, 16, 64, 256, 1024, 2048)
BATCHES = (1, 10, 100, 1_000, 10_000, 100_000)
DEPTHS = (1, 3, 10, 30, 100, 200)

ROUNDS = 6
ROUND_S = 0.03
LEARNING_RATE = 1e-4
"""So small that no network here diverges while it is timed."""
EPOCHS = 60
"""An engine is left out where 60 steps would take it longer than `LONGEST_TRAINING_S`."""


class Point(NamedTuple):
    """A network on an axis: its value there, its layer sizes and how many samples it is given."""

    axis: str
    value: int
    sizes: tuple[int, ...]
    samples: int


def points() -> Iterator[Point]:
    """Yield the networks: two hidden layers of each width; `rightfit`; many layers of 16."""
    for width in WIDTHS:
        yield Point("width", width, (1, width, width, 1), 100)
    for batch in BATCHES:
        yield Point("batch", batch, (1, 16, 16, 1), batch)
    for depth in DEPTHS:
        yield Point("depth", depth, (1, *[16] * depth, 1), 100)


def step_flops(sizes: tuple[int, ...], samples: int) -> int:
    """Return the floating point operations of a step's matrix products.

    Forward one a layer, backward two, but the first layer's input needs no gradient.
    """
    products = [2 * samples * n * m for n, m in pairwise(sizes)]
    return 3 * sum(products) - products[0]


class Matmul:
    """Measures the fastest matrix product, in a process of its own."""

    SIZE = 1024

    def flops_per_s(self, dtype: str) -> float:
        """Return the operations a second of NumPy's product of two matrices of 1024 by 1024."""
        a, b = np.random.default_rng(0).normal(size=(2, self.SIZE, self.SIZE)).astype(dtype)
        timer = timeit.Timer(lambda: np.matmul(a, b))
        count, _ = timer.autorange()
        return float(2 * self.SIZE**3 * count / min(timer.repeat(7, count)))


def scaling(
    task: Task,
    engines: Mapping[str, Factory],
    threads: int,
    progress: Progress,
    read_losses: bool = False,
    timeout_s: float | None = None,
) -> dict[str, Any]:
    """Time every engine on every network of `points`.

    Args:
        task: what to take seed, dtype, device and options from.
        engines: by name.
        threads: of each engine.
        progress: called as `progress("scaling", "networks", done, networks)`.
        read_losses: whether every step's loss is read before the next step.
        timeout_s: how long an engine may give no sign of life, in seconds; None for ever.

    Returns:
        `threads`; `matmul_flops_per_s`, of a large product; `points`, for each network its `axis`,
        `value`, `sizes`, `samples`, the `flops` of a step's products, `agrees`, whether the engines
        compute the same, and `times`: for each engine `median_s`, `q1_s` and `q3_s` of a step, or
        `left_out`, why it was not timed.
    """
    with EngineProcess(Matmul, threads, "matmul") as process:
        peak = process.call(Matmul.flops_per_s, task.dtype)
    found = []
    networks = list(points())
    with ExitStack() as stack:
        processes = start_processes(stack, engines, threads, read_losses, timeout_s)
        for done, point in enumerate(networks):
            progress("scaling", "networks", done, len(networks))
            found.append(_time(processes, point, task))
        progress("scaling", "networks", len(networks), len(networks))
    return {"threads": threads, "matmul_flops_per_s": peak, "points": found}


def _time(
    processes: Mapping[str, EngineProcess[TimedEngine]], point: Point, task: Task
) -> dict[str, Any]:
    task = replace(
        task,
        sizes=point.sizes,
        problem=None,
        data=None,
        samples=point.samples,
        learning_rate=LEARNING_RATE,
        epochs=EPOCHS,
    )
    start = drawn(processes.values(), task)
    first = {name: load(process, task, start) for name, process in processes.items()}
    able = {name: processes[name] for name, done in first.items() if not isinstance(done, str)}
    counts = {name: process.call(TimedEngine.warm_up, ROUND_S) for name, process in able.items()}
    seconds = time_in_rounds(able, counts, ROUNDS, lambda done: None)
    losses = {name: done.losses for name, done in first.items() if not isinstance(done, str)}
    times: dict[str, Any] = {}
    for name, done in first.items():
        if isinstance(done, str):
            times[name] = {"left_out": done}
        else:
            times[name] = quartiles(seconds[name])
    return {
        **point._asdict(),
        "flops": step_flops(point.sizes, point.samples),
        "agrees": agreement(point.axis, task.dtype, losses)["agrees"] if losses else None,
        "times": times,
    }
