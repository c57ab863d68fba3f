"""`parity replay`."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from minigrad.files import write_whole
from parity.cases.case import Case
from parity.cases.file import load
from parity.cases.replay import replay, twin
from parity.cli import options, problems
from parity.cli.command import Output, command
from parity.engines.registry import factory, known, same
from parity.errors import UsageError, harmless
from parity.processes import TIMEOUT_S, Side
from parity.report.pair import page
from parity.report.replayed import summary


@command
def replay_command(
    case: Annotated[str, typer.Argument(metavar="CASE", help="A file that `parity run` wrote.")],
    engine: Annotated[
        str | None, typer.Option(metavar="NAME", help="The engine under test. Default: the case's.")
    ] = None,
    against: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="The engine it is compared with. Default: the case's."),
    ] = None,
    device: Annotated[
        str | None, typer.Option(metavar="NAME", help="cpu, cuda or cuda:N. Default: the case's.")
    ] = None,
    problem: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="Run this problem for a case of one: what is in a case is shown, never run.",
        ),
    ] = None,
    timeout: options.Timeout = TIMEOUT_S,
    html: Annotated[
        str | None,
        typer.Option(
            metavar="FILE", help="Write a page that steps through the failing step on both engines."
        ),
    ] = None,
) -> int:
    """Judge a saved case again, on the same engines or on others.

    Exit status: 0 the verdict passes now, 1 it fails, 2 bad usage or input.
    """
    found = _with_problem(load(case), problem)
    given = {"--engine": engine, "--against": against}
    chosen = zip(given.items(), found.engines, strict=True)
    names = [twin(found, name or _known(recorded, o)) for (o, name), recorded in chosen]
    if same(*names):
        raise UsageError(
            f"{names[0]!r} would be held against itself, and that says nothing: choose another "
            "--engine or --against; `parity engines` lists them"
        )
    if device is not None:
        found = replace(found, task=replace(found.task, device=options.checked_device(device)))
    sides = (Side(name, factory(name), timeout) for name in names)
    replayed = replay(found, *sides, traced=html is not None)
    if html is not None:
        write_whole(html, page(replayed, Path(case).name))
    Output().print(summary(replayed, Path(case).name))
    if html is not None:
        said = f"The page is {html}: open it in a browser."
        Output(stderr=True).print(said, soft_wrap=True, markup=False, highlight=False)
    return {True: 0, False: 1}[replayed.verdict["passed"]]


def _with_problem(case: Case, file: str | None) -> Case:
    """Return the case with the problem that was named by hand.

    Raises:
        UsageError: it is of a problem, and none is named; or the reverse.
    """
    recorded = case.task.problem
    if recorded is None:
        if file is not None:
            raise UsageError(f"--problem {file}: the case is of layer sizes, so leave that out")
        return case
    if file is None:
        Output().print(harmless(recorded.source, 100_000), markup=False, highlight=False)
        raise UsageError(
            f"the case is of the problem {recorded.name}, whose text is above; it is not run. Save "
            "what you trust in a file and name it: --problem FILE"
        )
    if (problem := problems.named(file)) is None:
        raise UsageError(f"--problem {file} is no file of functions: its name ends in .py")
    if problem.source != recorded.source:
        Output(stderr=True).print(f"{file} has another text than the case", markup=False)
    return replace(case, task=replace(case.task, problem=problem))


def _known(recorded: str, option: str) -> str:
    """Return the engine that a case was recorded with, if its name alone does not run foreign code.

    Raises:
        UsageError: it is not one that is known here.
    """
    if recorded not in known():
        raise UsageError(
            f"the case is of the engine {recorded!r}, which is not known here. If it is code that "
            f"you trust, name it yourself: {option} {recorded}; or choose another engine"
        )
    return recorded
