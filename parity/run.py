"""The main job: train the networks on two engines, and judge whether the two agree."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from minigrad.architectures import Architecture
from parity.cases.counterexample import add_counterexamples, add_probe_counterexample
from parity.cases.judge import Engines
from parity.checks.bitwise import check_bitwise
from parity.checks.final_mse import check_final_mse
from parity.checks.locate import locate
from parity.checks.start import check_start
from parity.checks.state import state
from parity.checks.steps import Judge, check_steps
from parity.checks.trajectory import check_trajectory, envelope, perturbed_runs
from parity.engines.process import EngineProcess, together
from parity.engines.protocol import Start, Task
from parity.engines.registry import reproducible
from parity.engines.trainer import Run, Trainer
from parity.probes.check import check_probes
from parity.processes import Processes, Side, processes_for
from parity.report.model import Curves, Report

Progress = Callable[[str, str, int, int], object]
"""Called as `progress(architecture, engine or verdict, epochs done, epochs)`."""

JUDGED = ("start", "gradients", "steps", "trajectory", "bitwise", "final_mse")


def run(
    tasks: Sequence[tuple[Architecture, Task]],
    actual: Side,
    expected: Side,
    settings: dict[str, Any],
    progress: Progress,
    folder: Path | None = None,
) -> Report:
    """Train every task on both engines and judge them, in processes started for that.

    See `judged`.
    """
    with processes_for(tasks, actual, expected) as processes:
        return judged(processes, tasks, settings, progress, folder)


def judged(
    processes: Processes,
    tasks: Sequence[tuple[Architecture, Task]],
    settings: dict[str, Any],
    progress: Progress,
    folder: Path | None = None,
) -> Report:
    """Train every task on both engines and judge them.

    Both start from what `expected` drew, so that everything after `start` is judged from the same
    parameters even if `start` fails. Of verdicts that fail, cases to be replayed are saved in
    `folder`, if there is one. A network at which an engine raises an exception has failed.

    Raises:
        UsageError: an engine cannot do what is asked, for example use the device.
    """
    entries: list[dict[str, Any]] = []
    curves: dict[str, Curves] = {}
    for architecture, task in tasks:
        entries.append(entry := _unjudged(architecture, task))
        with processes.noting(entry):
            report = functools.partial(progress, architecture.name)
            curves[architecture.name] = _judge(processes, entry, task, report, folder)
    actual, expected = processes.sides
    document: dict[str, Any] = {"schema": 1, "passed": False, "probes": None}
    if tasks:
        with processes.noting(document):
            document["probes"] = probes = _probed(processes, tasks[0][1], folder)
            verdicts = [entry["passed"] for entry in entries]
            document["passed"] = all(verdicts) and (probes is None or probes["passed"])
    document |= {
        "environment": {
            "actual": processes.actual.call(Trainer.environment),
            "expected": processes.expected.call(Trainer.environment),
        },
        "settings": {**settings, "engine": actual.name, "against": expected.name},
        "architectures": entries,
    }
    return Report(document, curves)


def _unjudged(architecture: Architecture, task: Task) -> dict[str, Any]:
    """Return the entry of a network in the report before any verdict is reached."""
    return {
        "name": architecture.name,
        "sizes": list(task.sizes),
        "epochs": task.epochs,
        "learning_rate": task.learning_rate,
        "parameters": architecture.parameters,
        "passed": False,
        **dict.fromkeys(JUDGED),
        "not_judged": {},
        "state": {"actual": None, "expected": None},
    }


def _judge(
    processes: Processes,
    entry: dict[str, Any],
    task: Task,
    progress: Callable[[str, int, int], object],
    folder: Path | None,
) -> Curves:
    """Train one network on both engines; fill its entry in the report, and return its curves."""
    actual, expected = engines = processes.actual, processes.expected
    judge = processes.judges[0]
    starts = ours_start, their_start = [engine.call(Trainer.draw, task) for engine in engines]
    # An engine that does not draw starts from what the other drew.
    start = their_start or ours_start or judge.call(Judge.draw, task)
    entry["not_judged"] = _not_judged(processes, starts)
    entry["start"] = ours_start and their_start and check_start(ours_start, their_start)
    found = [engine.call(Trainer.loss_and_gradients, task, start)[1] for engine in engines]
    entry["gradients"] = judge.call(Judge.gradients, task, start, *found)
    named = [functools.partial(progress, engine.name) for engine in engines]
    ours, theirs = _trained(engines, task, start, named)
    entry["state"] = {"actual": state(ours, start), "expected": state(theirs, start)}
    perturbed = functools.partial(progress, f"{expected.name} perturbed")
    runs = perturbed_runs(processes.references, task, start, progress=perturbed)
    entry["trajectory"] = trajectory = check_trajectory(ours, theirs, runs, task.dtype)
    entry["steps"] = check_steps(
        actual,
        expected,
        task,
        start,
        lambda done: progress("steps", done, task.epochs),
        judges=processes.judges,
    )
    entry["bitwise"] = bitwise = processes.twins and check_bitwise(
        *processes.twins, task, start, functools.partial(progress, "bitwise")
    )
    entry["final_mse"] = check_final_mse(ours.final_mse, theirs.final_mse, trajectory, bitwise)
    entry["passed"] = passed(entry)
    with processes.noting(entry):
        _locate(processes, task, start, entry)
    if folder is not None:
        add_counterexamples(
            entry,
            task,
            start,
            Engines(actual, expected, processes.references),
            processes.twins and Engines(*processes.twins),
            folder,
            lambda kind, trials, most: progress(f"{kind} case", trials, most),
        )
    width = envelope(theirs, runs, task.dtype)
    arrays = (start.x, start.y, ours.prediction, theirs.prediction, ours.losses, theirs.losses)
    return Curves(*(array.astype(np.float64) for array in (*arrays, width)))


def _not_judged(processes: Processes, starts: Sequence[Start | None]) -> dict[str, str]:
    """Return why a verdict cannot be reached with these engines, by its name."""
    names = [side.name for side in processes.sides]
    lacking = {
        "start": [name for name, start in zip(names, starts, strict=True) if start is None],
        "bitwise": [name for name in names if reproducible(name) is None],
    }
    reasons = {"start": "nothing is drawn by", "bitwise": "no twin in reproducible arithmetic for"}
    return {what: f"{reasons[what]} {' and '.join(of)}" for what, of in lacking.items() if of}


def _probed(processes: Processes, task: Task, folder: Path | None) -> dict[str, Any] | None:
    """Judge the probes, in the dtype and at the seed of a task."""
    engines = processes.actual, processes.expected
    probes = check_probes(*engines, task.dtype, task.seed)
    if folder is not None and probes is not None and not probes["passed"]:
        add_probe_counterexample(probes, task.seed, task.dtype, Engines(*engines), folder)
    return probes


def _locate(processes: Processes, task: Task, start: Start, entry: dict[str, Any]) -> None:
    """Name in failing verdicts the first node at which the engines part."""
    engines = processes.actual, processes.expected

    def first_node(sides: Sequence[EngineProcess[Trainer]], epoch: int, bits: bool) -> Any:
        parameters, buffers = sides[1].call(Trainer.state_before, task, start, epoch)
        there = dataclasses.replace(start, parameters=parameters)
        return locate(sides[0], sides[1], task, there, buffers, bits=bits)

    gradients, steps, bitwise = (entry[name] for name in ("gradients", "steps", "bitwise"))
    if not gradients["passed"]:
        gradients["first_node"] = first_node(engines, 0, bits=False)
    if not steps["passed"]:
        steps["first_node"] = first_node(engines, steps["first_failure"]["epoch"], bits=False)
    if processes.twins and bitwise["first_difference"]:
        epoch = bitwise["first_difference"]["epoch"]
        bitwise["first_node"] = first_node(processes.twins, epoch, bits=True)


def passed(entry: dict[str, Any]) -> bool:
    """Return whether every verdict that was reached passed, and at least one was reached."""
    verdicts = [entry[name]["passed"] for name in JUDGED if entry[name] is not None]
    reached = [verdict for verdict in verdicts if verdict is not None]
    return bool(reached) and all(reached)


def _trained(
    engines: Sequence[EngineProcess[Trainer]],
    task: Task,
    start: Start,
    progress: Sequence[Callable[[int, int], object]],
) -> list[Run]:
    """Train engines at the same time; return what each left."""
    for report in progress:
        report(0, task.epochs)
    streams = [engine.stream(Trainer.train, task, start) for engine in engines]
    return together(streams, lambda number, done: progress[number](done, task.epochs))
