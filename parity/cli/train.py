"""`parity train`."""

from __future__ import annotations

import io

from parity.cli import options
from parity.cli.command import Output, command
from parity.engines.registry import factory
from parity.files import output_folder, write_whole
from parity.progress import Progress
from parity.run import Side, train


@command
def train_command(
    architectures: options.Names = None,
    engine: options.Engine = "minigrad",
    seed: options.Seed = "0",
    dtype: options.DType = "float32",
    device: options.Device = "cpu",
    output: options.Folder = "out",
    epochs: options.Epochs = None,
    learning_rate: options.Rate = None,
    momentum: options.Momentum = 0.0,
    samples: options.Samples = 100,
) -> int:
    """Train on one engine, print the final MSE and save the picture of the fit.

    Writes DIR/ARCHITECTURE-ENGINE.png: the data as dots, the prediction as a line, several
    networks side by side.
    """
    side = Side(engine, factory(engine))
    tasks = options.tasks(
        architectures, seed, dtype, device, epochs, learning_rate, momentum, samples
    )
    folder = output_folder(output)
    with Progress() as progress:
        finished = train(tasks, side, progress.epochs)
    from parity.report.plots import Fit, training_picture  # which takes a while

    fits = []
    for (named, _), (start, trained, state) in zip(tasks, finished, strict=True):
        fits.append(Fit(named.name, start.x, start.y, trained.prediction, trained.final_mse))
        note = "" if state == "trained" else f" ({state})"
        Output().print(f"{named.name}: final MSE {trained.final_mse:.6g}{note}", soft_wrap=True)
    names = "_".join(fit.name for fit in fits) if len(fits) <= 8 else f"{len(fits)}-networks"
    path = folder / f"{names}-{engine}.png"
    picture = io.BytesIO()
    training_picture(fits).savefig(picture, format="png")
    write_whole(path, picture.getvalue())
    Output().print(f"Picture: {path}", soft_wrap=True)
    return 0
