"""`parity run`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from minigrad.architectures import Architecture
from minigrad.files import write_whole
from parity.cli import options
from parity.cli.command import Output, command
from parity.documents import to_json
from parity.engines.protocol import Task
from parity.engines.registry import factory
from parity.files import output_folder
from parity.processes import TIMEOUT_S, Side, processes_for
from parity.progress import Progress, step_s
from parity.report.artist import Drawing
from parity.report.html import to_html
from parity.report.table import summary
from parity.run import JUDGED, PROBES, run_on

REPORT, WRITING = "report", "writing"
"""What progress is reported of, after what is reported of the run itself."""

PHASES = {
    "training": (1.0, 2.0),
    "perturbed runs": (7.0, 10.0),
    "steps": (17.0, 20.0),
    "bitwise": (8.0, 17.0),
}
"""How many ordinary steps one of these takes: at a small network, and at a large one."""

PROBES_S, REPORT_S = 6.0, 0.7
"""How long the probes take, and a network's part of the page."""


def expected_s(tasks: Sequence[tuple[Architecture, Task]]) -> dict[str, dict[str, float]]:
    """Return how long a run may take on two cores, in seconds, by network and phase."""
    found = {}
    for named, task in tasks:
        least_s, step = step_s((), 0), step_s(task.sizes, task.samples)
        found[named.name] = {
            phase: task.steps * (small * least_s + large * (step - least_s))
            for phase, (small, large) in PHASES.items()
        } | {"accuracy": 50 * step, JUDGED: 0.1}
    return found | {PROBES: {PROBES: PROBES_S}, REPORT: {WRITING: REPORT_S * len(tasks)}}


@command
def run_command(
    architectures: options.Names = None,
    seed: options.Seed = None,
    engine: options.Engine = "minigrad",
    against: options.Against = "torch",
    output: options.Folder = "out",
    training: options.Training = options.Training(),  # noqa: B008, it is frozen
    quick: options.Quick = False,
    timeout: options.Timeout = TIMEOUT_S,
    verbose: Annotated[
        bool, typer.Option("--verbose", help="Also print results as hexadecimal numbers.")
    ] = False,
) -> int:
    """Train on two engines and judge whether they agree.

    Writes DIR/report.json and DIR/report.html. Exit status: 0 they agree, 1 a verdict failed,
    2 bad usage or input.
    """
    options.require_two(engine, against)
    actual, expected = (Side(name, factory(name), timeout) for name in (engine, against))
    with Progress() as progress:
        tasks = options.tasks(architectures, seed, training, quick=quick, timeout=timeout)
        folder = output_folder(output)
        settings: dict[str, Any] = {
            "seed": tasks[0][1].seed,
            "dtype": training.dtype,
            "device": training.device,
            "samples": tasks[0][1].samples,
            "quick": quick,
            **({"data": data.described} if (data := tasks[0][1].data) else {}),
        }
        if files := {named.name: task.problem.path for named, task in tasks if task.problem}:
            settings["files"] = files
        progress.plan(expected_s(tasks))
        with processes_for(tasks, actual, expected) as processes:
            processes.require_two()
            with Drawing({"actual": engine, "expected": against}) as drawing:
                report = run_on(processes, tasks, settings, progress.show, folder, drawing.begin)
                write_whole(folder / "report.json", to_json(report.document))
                progress.show(REPORT, WRITING, 0, 1)
                page = to_html(report, drawing.figures())
        write_whole(folder / "report.html", page)
        progress.show(REPORT, WRITING, 1, 1)
    said(report.document, folder, Output(), verbose=verbose)
    return 0 if report.document["passed"] else 1


def said(document: dict[str, Any], folder: Path, console: Output, *, verbose: bool = False) -> None:
    """Print what a run comes to; `document` is the content of `report.json`."""
    console.print(summary(document, folder, verbose=verbose), crop=False)
    console.print(f"Report: {folder / 'report.html'} and report.json", soft_wrap=True)
