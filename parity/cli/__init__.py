"""The commands of `parity`, a module each."""

from typing import Annotated

import typer

import minigrad
from parity.cli.bench import bench_command
from parity.cli.command import Output, command
from parity.cli.program import Command, program
from parity.cli.replay import replay_command
from parity.cli.run import run_command
from parity.cli.sweep import sweep_command
from parity.cli.train import train_command
from parity.engines.registry import known
from parity.tables import Trimmed, grid

app = program("parity")

LINE = 1000
"""The characters that a line may have where nobody looks at it."""


def _version(wanted: bool) -> None:
    if wanted:
        Output().print(f"minigrad-parity {minigrad.__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def default(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Decide whether two engines agree on gradients and training, and time them.

    Without a command: `run`, on the three networks, minigrad against torch.
    """
    if context.invoked_subcommand is None:
        run_command()


@command
def engines_command() -> int:
    """List every known engine: ready, or what is missing."""
    table = grid(3)
    for name, engine in known().items():
        missing = engine.missing()
        state = f"missing: {', '.join(missing)}" if missing else "ready"
        table.add_row(name, state, engine.description)
    console = Output()
    if not console.is_terminal:
        console.width = LINE
    console.print(Trimmed(table))
    return 0


for name, each in {
    "run": run_command,
    "train": train_command,
    "bench": bench_command,
    "sweep": sweep_command,
    "replay": replay_command,
    "engines": engines_command,
}.items():
    app.command(name, cls=Command)(each)
