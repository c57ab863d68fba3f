"""`parity replay`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from parity.cases.file import load
from parity.cases.replay import replay, summary, twin
from parity.cli import options
from parity.cli.command import Output, command
from parity.engines.registry import factory
from parity.errors import UsageError
from parity.processes import Side


@command
def replay_command(
    case: Annotated[str, typer.Argument(metavar="CASE", help="A file that `parity run` wrote.")],
    engine: Annotated[
        str | None, typer.Option(help="The engine under test. Default: the case's.")
    ] = None,
    against: Annotated[
        str | None, typer.Option(help="The engine it is held against. Default: the case's.")
    ] = None,
    device: Annotated[
        str | None, typer.Option(help="cpu, cuda or cuda:N. Default: the case's.")
    ] = None,
) -> int:
    """Judge a saved counterexample again, by the same engines or by others.

    Exit status: 0 the verdict passes now, 1 it fails, 2 bad usage or input.
    """
    found = load(case)
    names = [
        twin(found, name) for name in (engine or found.engines[0], against or found.engines[1])
    ]
    if names[0] == names[1]:
        raise UsageError(
            f"{names[0]!r} would be held against itself, and that says nothing: choose another "
            "--engine or --against; `parity engines` lists them"
        )
    if device is not None:
        found = replace(found, task=replace(found.task, device=options.checked_device(device)))
    replayed = replay(found, *(Side(name, factory(name)) for name in names))
    Output().print(summary(replayed, Path(case).name))
    return {True: 0, False: 1}[replayed.verdict["passed"]]
