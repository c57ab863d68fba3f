"""The main job: train the networks on two engines, and judge whether the two agree."""

import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from minigrad.architectures import Architecture
from parity.cases.counterexample import add_counterexamples, add_probe_counterexample
from parity.checks.match import Match
from parity.checks.nodes import layout
from parity.checks.trajectory import envelope
from parity.checks.verdicts import ROWS, VERDICTS, located, not_reached, passed
from parity.engines.protocol import Task
from parity.points import abscissa, points
from parity.probes.check import check_probes
from parity.processes import Processes, Side, processes_for
from parity.report import Curves, Report
from parity.result_sources import code

Progress = Callable[[str, str, int, int], object]
"""Called as `progress(architecture, training or verdict, epochs done, epochs)`."""

PROBES, JUDGED = "probes", "judged"
"""What else progress is reported of: the probes, and that all is known of a network."""


def run(
    tasks: Sequence[tuple[Architecture, Task]],
    actual: Side,
    expected: Side,
    settings: dict[str, Any],
    progress: Progress,
    folder: Path | None = None,
) -> Report:
    """Train every task on both engines and judge them, in processes started for that.

    See `run_on`.
    """
    with processes_for(tasks, actual, expected) as processes:
        return run_on(processes, tasks, settings, progress, folder)


def run_on(
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
            curves[architecture.name] = _fill(entry, processes, task, report, folder)
        progress(architecture.name, JUDGED, 1, 1)
    document: dict[str, Any] = {"schema": 1, "passed": False, "probes": None}
    if tasks:
        with processes.noting(document):
            document["probes"] = probes = _probed(processes, tasks[0][1], progress, folder)
            verdicts = [entry["passed"] for entry in entries]
            document["passed"] = all(verdicts) and (probes is None or probes["passed"])
    engines = {"engine": processes.actual.name, "against": processes.expected.name}
    document |= {
        "code": code("run"),
        "environment": processes.environment(),
        "settings": {**settings, **engines},
        "architectures": entries,
    }
    return Report(document, curves)


def _unjudged(architecture: Architecture, task: Task) -> dict[str, Any]:
    """Return the entry of a network in the report before any verdict is reached."""
    return {
        "name": architecture.name,
        "sizes": list(task.sizes),
        "loss": task.loss,
        "nodes": [],
        **({"file": task.problem.path} if task.problem else {}),
        "epochs": task.epochs,
        "learning_rate": task.learning_rate,
        "parameters": architecture.parameters,
        "passed": False,
        **not_reached(),
        "not_judged": {},
        "state": {"actual": None, "expected": None},
    }


def _fill(
    entry: dict[str, Any],
    processes: Processes,
    task: Task,
    progress: Callable[[str, int, int], object],
    folder: Path | None,
) -> Curves:
    """Judge two engines at one network; fill its entry in the report, and return its curves."""
    match = Match(
        (processes.actual, processes.expected),
        task,
        references=processes.references,
        judges=processes.judges,
        twins=processes.twins,
        free=processes.free,
        progress=progress,
    )
    reasons = {name: verdict.not_reached(match) for name, verdict in VERDICTS.items()}
    entry["not_judged"] = {name: reason for name, reason in reasons.items() if reason}
    try:
        for verdict in sorted(ROWS, key=lambda verdict: verdict.turn):
            entry[verdict.name] = verdict.check(match)
    finally:
        entry["state"] = match.states
    entry["passed"] = passed(entry)
    with processes.noting(entry):
        _locate(match, entry)
    entry["nodes"] = match.judges[0].call(layout, task, match.start)
    entry["parameters"] = sum(array.size for array in match.start.parameters.values())
    if folder is not None:
        add_counterexamples(
            entry,
            task,
            match.start,
            processes,
            folder,
            lambda kind, trials, most: progress(f"{kind} case", trials, most),
        )
    ours, theirs = match.runs
    width = envelope(theirs, match.perturbed, task.dtype)
    shown = points(match.start, ours.prediction, theirs.prediction)
    arrays = (*shown, ours.losses, theirs.losses, width)
    over, _ = abscissa(match.start)
    return Curves(*(array.astype(np.float64) for array in arrays), over=over)


def _probed(
    processes: Processes, task: Task, progress: Progress, folder: Path | None
) -> dict[str, Any] | None:
    """Judge the probes, in the dtype and at the seed of a task."""
    report = functools.partial(progress, PROBES, PROBES)
    sides = processes.actual, processes.expected
    probes = check_probes(*sides, task.dtype, task.seed, progress=report)
    if folder is not None and probes is not None and not probes["passed"]:
        add_probe_counterexample(probes, task.seed, task.dtype, processes, folder)
    return probes


def _locate(match: Match, entry: dict[str, Any]) -> None:
    """Name in failing verdicts the first node at which the engines part, and who is wrong."""
    for name, verdict in VERDICTS.items():
        found = entry[name]
        if found is not None and found["passed"] is False and verdict.has_first_node:
            found |= located(match, verdict, found)
