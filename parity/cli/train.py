"""`parity train`."""

from pathlib import Path
from typing import Annotated

import typer

from minigrad.files import write_whole
from parity.cli import options
from parity.cli.command import Output, command
from parity.engines.registry import factory
from parity.errors import UsageError
from parity.files import output_folder
from parity.processes import TIMEOUT_S, Side
from parity.progress import Progress, step_s
from parity.training import HELD_OUT, MOMENTS, TRAINING, Finished, train

LONGEST_NAME = 100
"""The longest name of a picture; a longer one says only how many networks there are."""


@command
def train_command(
    architectures: options.Names = None,
    engine: options.Engine = "minigrad",
    seed: options.Seed = None,
    output: options.Folder = "out",
    training: options.Training = options.Training(),  # noqa: B008, it is frozen
    timeout: options.Timeout = TIMEOUT_S,
    hold_out: Annotated[
        bool,
        typer.Option(
            "--holdout", help=f"Also compute the MSE on {HELD_OUT} points that were not trained on."
        ),
    ] = False,
    animate: Annotated[
        str | None,
        typer.Option(
            metavar="FILE.gif",
            help="Also draw the fit, the loss and the layers' gradient norms as epochs pass, "
            f"in {MOMENTS} frames or fewer, more of them early.",
            show_default=False,
        ),
    ] = None,
) -> int:
    """Train on one engine; print the final MSE, draw the fit.

    Writes DIR/ARCHITECTURE-ENGINE.png: the data as dots, the prediction as a line, several
    networks side by side. With --holdout its title also gives the MSE on fresh points and the
    generalisation gap: that MSE minus the MSE on the data.
    """
    side = Side(engine, factory(engine), timeout)
    tasks = options.tasks(architectures, seed, training, timeout=timeout)
    if hold_out and (own := [named.name for named, task in tasks if task.problem or task.data]):
        raise UsageError(
            f"--holdout draws more points of the parabola, and {', '.join(own)} has data of its "
            "own: leave it out"
        )
    folder = output_folder(output)
    film = None if animate is None else _film(animate, len(tasks))
    with Progress() as progress:
        progress.plan(
            {
                named.name: {TRAINING: step_s(task.sizes, task.samples) * task.steps}
                for named, task in tasks
            }
        )
        finished = train(tasks, side, progress.show, hold_out=hold_out, watch=film is not None)
    runs = {named.name: run for (named, _), run in zip(tasks, finished, strict=True)}
    for name, run in runs.items():
        Output().say(_said(name, run))
    names = "_".join(runs)
    if len(names) > LONGEST_NAME:
        names = f"{len(runs)}-network{'s' * (len(runs) > 1)}"
    from parity.report.figure import to_png  # matplotlib takes long to load
    from parity.report.fits import animation, training_picture

    picture = folder / f"{names}-{engine.replace(':', '.')}.png"
    files = {"Picture": (picture, to_png(training_picture(runs)))}
    if film is not None:
        files["Animation"] = (film, animation(runs))
    for what, (path, content) in files.items():
        write_whole(path, content)
        Output().print(f"{what}: {path}", soft_wrap=True)
    return 0


def _film(name: str, networks: int) -> Path:
    """Return the path of the animation, after checking that it can be written there."""
    from parity.report.fits import MOST_NETWORKS  # which takes a while

    path = Path(name)
    if path.suffix.lower() != ".gif":
        raise UsageError(f"--animate {name}: animations are GIF, so give a name that ends in .gif")
    if networks > MOST_NETWORKS:
        raise UsageError(
            f"--animate shows at most {MOST_NETWORKS} networks side by side, and {networks} are "
            "named: name fewer"
        )
    if path.is_dir():
        raise UsageError(f"--animate {name} is a folder: give the name of a file in it")
    output_folder(path.parent)
    return path


def _said(name: str, run: Finished) -> str:
    """Return the line about a network."""
    text = f"{name}: final {run.measure} {run.run.final_mse:.6g}"
    if run.held_out is not None:
        text += (
            f"; on {HELD_OUT} held-out points {run.held_out.mse:.6g}, "
            f"generalisation gap {run.gap:+.4g}"
        )
    return text if run.state == "trained" else f"{text} ({run.state})"
