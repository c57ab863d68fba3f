"""The main job: train the networks on two engines, and judge whether the two agree."""

from __future__ import annotations

import functools
from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack
from typing import Any, NamedTuple

from minigrad.architectures import Architecture
from parity.checks.final_mse import check_final_mse
from parity.checks.gradients import check_gradients
from parity.checks.start import check_start
from parity.checks.state import state
from parity.engines import Engine, Start, Task
from parity.engines.process import EngineProcess
from parity.engines.trainer import Run, Trainer
from parity.report.model import Curves, Report

Progress = Callable[[str, str, int, int], object]
"""Called as `progress(architecture, engine, epochs done, epochs)`."""

JUDGED = ("start", "gradients", "steps", "trajectory", "bitwise", "final_mse")


class Side(NamedTuple):
    """One of the two engines: its name and what makes it."""

    name: str
    factory: Callable[[], Engine]


def trainer(side: Side, threads: int | None = None) -> EngineProcess:
    """Return a process that will hold the engine and its training loop."""
    return EngineProcess(functools.partial(Trainer, side.factory), threads, side.name)


def run(
    tasks: Sequence[tuple[Architecture, Task]],
    actual: Side,
    expected: Side,
    settings: dict[str, Any],
    progress: Progress,
) -> Report:
    """Train every task on both engines and judge them.

    Each engine has a process of its own. They train in turn, not at the same time: two thread
    pools on the same cores slow each other down. Both start from what `expected` drew, so that
    everything after `start` is judged from the same parameters even if `start` fails.

    Raises:
        UsageError: an engine cannot do what is asked, for example use the device.
    """
    with ExitStack() as stack:
        ours = stack.enter_context(trainer(actual))
        theirs = stack.enter_context(trainer(expected))
        entries, curves = [], {}
        for architecture, task in tasks:
            train = functools.partial(_train, progress, architecture.name, task)
            ours_start, start = ours.call("draw", task), theirs.call("draw", task)
            _, ours_gradients = ours.call("loss_and_gradients", task, start)
            _, gradients = theirs.call("loss_and_gradients", task, start)
            ours_run: Run = train(actual.name, ours.stream("train", task, start))
            theirs_run: Run = train(expected.name, theirs.stream("train", task, start))
            entry = {
                "name": architecture.name,
                "sizes": list(task.sizes),
                "epochs": task.epochs,
                "learning_rate": task.learning_rate,
                "parameters": architecture.parameters,
                "passed": True,
                "start": check_start(ours_start, start),
                "gradients": check_gradients(ours_gradients, gradients),
                "steps": None,
                "trajectory": None,
                "bitwise": None,
                "final_mse": check_final_mse(ours_run.final_mse, theirs_run.final_mse),
                "state": {"actual": state(ours_run, start), "expected": state(theirs_run, start)},
            }
            entry["passed"] = passed(entry)
            entries.append(entry)
            curves[architecture.name] = Curves(
                *(
                    array.astype("float64")
                    for array in (
                        start.x,
                        start.y,
                        ours_run.prediction,
                        theirs_run.prediction,
                        ours_run.losses,
                        theirs_run.losses,
                    )
                )
            )
        document = {
            "schema": 1,
            "passed": bool(entries) and all(entry["passed"] for entry in entries),
            "environment": {
                "actual": ours.call("environment"),
                "expected": theirs.call("environment"),
            },
            "settings": {**settings, "engine": actual.name, "against": expected.name},
            "architectures": entries,
        }
    return Report(document, curves)


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
            trained = _train(progress, architecture.name, task, side.name, epochs)
            finished.append((start, trained, state(trained, start)))
    return finished


def passed(entry: dict[str, Any]) -> bool:
    """Return whether every verdict that was reached passed, and at least one was reached."""
    verdicts = [entry[name]["passed"] for name in JUDGED if entry[name] is not None]
    reached = [verdict for verdict in verdicts if verdict is not None]
    return bool(reached) and all(reached)


def _train(
    progress: Progress,
    architecture: str,
    task: Task,
    engine: str,
    epochs: Generator[int, None, Run],
) -> Run:
    """Follow a training run to its end and return what it left."""
    progress(architecture, engine, 0, task.epochs)
    while True:
        try:
            done = next(epochs)
        except StopIteration as stop:
            result: Run = stop.value
            return result
        progress(architecture, engine, done, task.epochs)
