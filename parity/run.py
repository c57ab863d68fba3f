"""The main job: train the networks on two engines, and judge whether the two agree."""

from __future__ import annotations

import functools
from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack
from typing import Any, NamedTuple

import numpy as np
from threadpoolctl import threadpool_limits

from minigrad.architectures import Architecture
from parity.checks.bitwise import check_bitwise, digest_trainer
from parity.checks.budget import step_budget
from parity.checks.final_mse import check_final_mse
from parity.checks.gradients import check_gradients
from parity.checks.start import check_start
from parity.checks.state import state
from parity.checks.steps import check_steps
from parity.checks.trajectory import check_trajectory, envelope, perturbed_runs
from parity.engines import Engine, Start, Task, factory, reproducible
from parity.engines.process import EngineProcess
from parity.engines.trainer import Run, Trainer
from parity.environment import usable_cores
from parity.report.model import Curves, Report

Progress = Callable[[str, str, int, int], object]
"""Called as `progress(architecture, engine or verdict, epochs done, epochs)`."""

JUDGED = ("start", "gradients", "steps", "trajectory", "bitwise", "final_mse")


class Side(NamedTuple):
    """One of the two engines: its name and what makes it."""

    name: str
    factory: Callable[[], Engine]


def trainer(side: Side) -> EngineProcess:
    """Return a process of one thread that will hold the engine and its training loop."""
    return EngineProcess(functools.partial(Trainer, side.factory), 1, side.name)


def run(
    tasks: Sequence[tuple[Architecture, Task]],
    actual: Side,
    expected: Side,
    settings: dict[str, Any],
    progress: Progress,
) -> Report:
    """Train every task on both engines and judge them.

    Each engine has a process of its own, and every process, this one too, one thread: two thread
    pools on the same cores slow each other down by more than threads gain. Both start from what
    `expected` drew, so that everything after `start` is judged from the same parameters even if
    `start` fails.

    Raises:
        UsageError: an engine cannot do what is asked, for example use the device.
    """
    with threadpool_limits(1), ExitStack() as stack:
        processes = Processes(stack, actual, expected)
        judged = [
            _judge(processes, architecture, task, functools.partial(progress, architecture.name))
            for architecture, task in tasks
        ]
        document = {
            "schema": 1,
            "passed": bool(judged) and all(entry["passed"] for entry, _ in judged),
            "environment": {
                "actual": processes.actual.call("environment"),
                "expected": processes.expected.call("environment"),
            },
            "settings": {**settings, "engine": actual.name, "against": expected.name},
            "architectures": [entry for entry, _ in judged],
        }
    return Report(document, {entry["name"]: curves for entry, curves in judged})


class Processes:
    """The processes of one run: both engines, perturbed references, reproducible twins.

    `twins` is None if one of the engines has no twin that computes reproducibly.
    """

    def __init__(self, stack: ExitStack, actual: Side, expected: Side) -> None:
        self.names = (actual.name, expected.name)
        self.actual = stack.enter_context(trainer(actual))
        self.expected = stack.enter_context(trainer(expected))
        self.perturbed = [stack.enter_context(trainer(expected)) for _ in range(usable_cores())]
        twins = [reproducible(side.name) for side in (actual, expected)]
        self.twins = None
        if None not in twins:
            ours, theirs = (
                stack.enter_context(digest_trainer(factory(str(name)), 1, str(name)))
                for name in twins
            )
            self.twins = ours, theirs


def _judge(
    processes: Processes,
    architecture: Architecture,
    task: Task,
    progress: Callable[[str, int, int], object],
) -> tuple[dict[str, Any], Curves]:
    """Train one network on both engines; return its entry in the report and its curves."""
    actual, expected = processes.actual, processes.expected
    ours_start, start = actual.call("draw", task), expected.call("draw", task)
    _, ours_gradients = actual.call("loss_and_gradients", task, start)
    _, gradients = expected.call("loss_and_gradients", task, start)
    budget = step_budget(task, start)
    ours, theirs = (
        _train(functools.partial(progress, name), task, process.stream("train", task, start))
        for name, process in zip(processes.names, (actual, expected), strict=True)
    )
    runs = perturbed_runs(
        processes.perturbed,
        task,
        start,
        progress=functools.partial(progress, f"{processes.names[1]} perturbed"),
    )
    trajectory = check_trajectory(ours, theirs, runs, task.dtype)
    steps = bitwise = None
    if task.momentum == 0:  # these two set every step's parameters, and know of no other state
        steps = check_steps(
            actual, expected, task, start, lambda done: progress("steps", done, task.epochs)
        )
        if processes.twins is not None:
            bitwise = check_bitwise(
                *processes.twins, task, start, functools.partial(progress, "bitwise")
            )
    entry = {
        "name": architecture.name,
        "sizes": list(task.sizes),
        "epochs": task.epochs,
        "learning_rate": task.learning_rate,
        "parameters": architecture.parameters,
        "passed": True,
        "start": check_start(ours_start, start),
        "gradients": check_gradients(ours_gradients, gradients, budget.gradients, budget.kinks),
        "steps": steps,
        "trajectory": trajectory,
        "bitwise": bitwise,
        "final_mse": check_final_mse(ours.final_mse, theirs.final_mse, trajectory, bitwise),
        "state": {"actual": state(ours, start), "expected": state(theirs, start)},
    }
    entry["passed"] = passed(entry)
    x, y, prediction, their_prediction, losses, their_losses = (
        array.astype(np.float64)
        for array in (
            start.x,
            start.y,
            ours.prediction,
            theirs.prediction,
            ours.losses,
            theirs.losses,
        )
    )
    width = envelope(theirs, runs, task.dtype)
    curves = Curves(x, y, prediction, their_prediction, losses, their_losses, width)
    return entry, curves


def train(
    tasks: Sequence[tuple[Architecture, Task]], side: Side, progress: Progress
) -> list[tuple[Start, Run, str]]:
    """Train every task on one engine; return where each started, what it left, and its state.

    Raises:
        UsageError: the engine cannot do what is asked.
    """
    finished = []
    with trainer(side) as process:
        for architecture, task in tasks:
            start: Start = process.call("draw", task)
            epochs = process.stream("train", task, start)
            report = functools.partial(progress, architecture.name, side.name)
            trained = _train(report, task, epochs)
            finished.append((start, trained, state(trained, start)))
    return finished


def passed(entry: dict[str, Any]) -> bool:
    """Return whether every verdict that was reached passed, and at least one was reached."""
    verdicts = [entry[name]["passed"] for name in JUDGED if entry[name] is not None]
    reached = [verdict for verdict in verdicts if verdict is not None]
    return bool(reached) and all(reached)


def _train(
    progress: Callable[[int, int], object], task: Task, epochs: Generator[int, None, Run]
) -> Run:
    """Follow a training run to its end and return what it left."""
    progress(0, task.epochs)
    while True:
        try:
            done = next(epochs)
        except StopIteration as stop:
            result: Run = stop.value
            return result
        progress(done, task.epochs)
