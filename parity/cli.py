"""The commands of `parity`."""

from __future__ import annotations

import dataclasses
import functools
import io
import math
import os
import re
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from importlib import metadata
from typing import Annotated, Any, Literal

import typer
from rich.console import Console

from minigrad.architectures import ARCHITECTURES, Architecture, architecture
from parity import bench as timing
from parity.bench_table import bench_table
from parity.engines import ENGINES, Task, factory
from parity.engines.process import EngineProcessError
from parity.errors import UsageError
from parity.files import output_folder, write_whole
from parity.progress import Progress
from parity.report.document import to_json
from parity.report.html import to_html
from parity.report.plots import Fit, training_picture
from parity.report.table import summary
from parity.run import Side, run, train

QUICK_EPOCHS = 50

INTERRUPTED = 128 + signal.SIGINT
DEFECT = 70  # EX_SOFTWARE of sysexits.h: neither agreement nor disagreement nor bad usage
MOST_SAMPLES = 10_000_000

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)


class Output(Console):
    """Standard output, or standard error, as plain text where there is no terminal."""

    def on_broken_pipe(self) -> None:
        """Go on in silence when nobody reads any more, as in `parity run | head -1`."""
        silence()


def silence() -> None:
    """Let what is still to be written to standard output go nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def command(function: Callable[..., int]) -> Callable[..., None]:
    """Make a command of a function that returns the exit status, named as the function."""

    @functools.wraps(function)
    def run_it(*arguments: Any, **options: Any) -> None:
        try:
            status = function(*arguments, **options)
            sys.stdout.flush()
        except KeyboardInterrupt:
            status = complain("interrupted: no report was written", INTERRUPTED)
        except (UsageError, EngineProcessError) as error:
            status = complain(str(error), 2)
        except MemoryError as error:
            status = complain(f"out of memory, use fewer samples or smaller layers: {error}", 2)
        except OSError as error:
            silence()
            status = complain(f"cannot write or read: {error}", 2)
        except Exception:
            traceback.print_exc()
            status = complain("this is a defect of parity, please report it", DEFECT)
        raise typer.Exit(status)

    return app.command(function.__name__.removesuffix("_command"))(run_it)


def complain(message: str, status: int) -> int:
    """Say why on standard error and return the status."""
    console = Output(stderr=True)
    console.print(f"parity: {message}", soft_wrap=True, markup=False, highlight=False)
    return status


def _version(wanted: bool) -> None:
    if wanted:
        Output().print(f"minigrad-parity {metadata.version('minigrad-parity')}")
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


Names = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="ARCHITECTURE",
        help=f"{', '.join(ARCHITECTURES)}, or layer sizes such as 1-32-32-1. Default: the three.",
        show_default=False,
    ),
]
Seed = Annotated[str, typer.Option(help="Of data and initial parameters, 0 to 2^64 - 1.")]
DType = Annotated[Literal["float32", "float64"], typer.Option(help="Of data and parameters.")]
Device = Annotated[str, typer.Option(help="cpu, cuda or cuda:N, for engines that know it.")]
Engine = Annotated[str, typer.Option(help="The engine under test; `parity engines` lists them.")]
Against = Annotated[str, typer.Option(help="The engine it is held against.")]
Folder = Annotated[str, typer.Option(metavar="DIR", help="Where the files go.")]
Epochs = Annotated[
    int | None,
    typer.Option(
        min=1, help="Default: the architecture's, 500 for layer sizes.", show_default=False
    ),
]
Rate = Annotated[
    float | None,
    typer.Option("--learning-rate", help="Default: the architecture's.", show_default=False),
]
Samples = Annotated[
    int, typer.Option(min=1, max=MOST_SAMPLES, help="Points of the noisy parabola.")
]
Momentum = Annotated[float, typer.Option(min=0, help="Of SGD.")]
Quick = Annotated[bool, typer.Option("--quick", help=f"At most {QUICK_EPOCHS} epochs.")]


@command
def run_command(
    architectures: Names = None,
    seed: Seed = "0",
    dtype: DType = "float32",
    device: Device = "cpu",
    engine: Engine = "minigrad",
    against: Against = "torch",
    output: Folder = "out",
    epochs: Epochs = None,
    learning_rate: Rate = None,
    momentum: Momentum = 0.0,
    samples: Samples = 100,
    quick: Quick = False,
) -> int:
    """Train on two engines and judge whether they agree: the main job.

    Writes DIR/report.json and DIR/report.html. Exit status: 0 they agree, 1 a verdict failed,
    2 bad usage or input.
    """
    if engine == against:
        raise UsageError(
            f"--engine and --against are both {engine!r}: an engine compared with itself agrees, "
            "and that says nothing. Choose two; `parity engines` lists them"
        )
    actual, expected = Side(engine, factory(engine)), Side(against, factory(against))
    tasks = _tasks(
        architectures, seed, dtype, device, epochs, learning_rate, momentum, samples, quick=quick
    )
    folder = output_folder(output)
    settings = {
        "seed": tasks[0][1].seed,
        "dtype": dtype,
        "device": device,
        "samples": samples,
        "quick": quick,
    }
    with Progress() as progress:
        report = run(tasks, actual, expected, settings, progress.epochs)
    write_whole(folder / "report.json", to_json(report.document))
    write_whole(folder / "report.html", to_html(report))
    console = Output()
    console.print(summary(report.document))
    console.print(f"Report: {folder / 'report.html'} and report.json", soft_wrap=True)
    return 0 if report.document["passed"] else 1


@command
def train_command(
    architectures: Names = None,
    engine: Engine = "minigrad",
    seed: Seed = "0",
    dtype: DType = "float32",
    device: Device = "cpu",
    output: Folder = "out",
    epochs: Epochs = None,
    learning_rate: Rate = None,
    momentum: Momentum = 0.0,
    samples: Samples = 100,
) -> int:
    """Train on one engine, print the final MSE and save the picture of the fit.

    Writes DIR/ARCHITECTURE-ENGINE.png: the data as dots, the prediction as a line, several
    networks side by side.
    """
    side = Side(engine, factory(engine))
    tasks = _tasks(architectures, seed, dtype, device, epochs, learning_rate, momentum, samples)
    folder = output_folder(output)
    with Progress() as progress:
        finished = train(tasks, side, progress.epochs)
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


@command
def bench_command(
    architectures: Names = None,
    engines: Annotated[str, typer.Option(help="Comma-separated names.")] = "minigrad,torch",
    threads: Annotated[
        int | None, typer.Option(min=1, help="For every engine. Default: all cores.")
    ] = None,
    rounds: Annotated[int, typer.Option(min=timing.FEWEST_ROUNDS, help="Interleaved rounds.")] = 30,
    seed: Seed = "0",
    dtype: DType = "float32",
    device: Device = "cpu",
    output: Folder = "out",
    momentum: Momentum = 0.0,
    samples: Samples = 100,
) -> int:
    """Time training steps of several engines side by side.

    Writes DIR/bench.json. Exit status: 1 if the engines do not compute the same, 2 bad usage.
    """
    names = list(dict.fromkeys(filter(None, engines.split(","))))
    factories = {name: factory(name) for name in names}
    tasks = _tasks(architectures, seed, dtype, device, None, None, momentum, samples)
    folder = output_folder(output)
    if not names:
        raise UsageError("--engines names no engine: give at least one, such as minigrad,torch")
    with Progress() as progress:
        document = timing.bench(
            {named.name: task for named, task in tasks}, factories, threads, rounds, progress.rounds
        )
    write_whole(folder / "bench.json", to_json(document))
    console = Output()
    console.print(bench_table(document))
    for warning in document["warnings"]:
        console.print(f"! {warning}", style="bold", soft_wrap=True)
    console.print(f"Written: {folder / 'bench.json'}", soft_wrap=True)
    return 0 if document["agreed"] else 1


@command
def engines_command() -> int:
    """List every known engine: ready, or what is missing."""
    width = max(map(len, ENGINES))
    for name, known in ENGINES.items():
        missing = known.missing()
        state = f"missing: {', '.join(missing)}" if missing else "ready"
        Output().print(f"{name:<{width}}  {state:<8}  {known.description}", soft_wrap=True)
    return 0


def _tasks(
    names: Sequence[str] | None,
    seed: str,
    dtype: str,
    device: str,
    epochs: int | None,
    learning_rate: float | None,
    momentum: float,
    samples: int,
    quick: bool = False,
) -> list[tuple[Architecture, Task]]:
    """Return what is to be trained.

    Raises:
        UsageError: an architecture, the seed, the device or a rate is not one.
    """
    for name, rate in (("learning-rate", learning_rate), ("momentum", momentum)):
        if rate is not None and not 0 <= rate < math.inf:
            raise UsageError(f"--{name} {rate} must be a finite number of at least 0")
    if not re.fullmatch(r"cpu|cuda(:[0-9]{1,3})?", device):
        raise UsageError(f"unknown device {device!r}: give cpu, cuda, or cuda:N for GPU number N")
    tasks = []
    for name in dict.fromkeys(names or ARCHITECTURES):
        try:
            named = architecture(name)
        except ValueError as error:
            raise UsageError(str(error)) from error
        trained_for = epochs or named.epochs
        changes: dict[str, Any] = {
            "epochs": min(trained_for, QUICK_EPOCHS) if quick else trained_for,
            "learning_rate": named.learning_rate if learning_rate is None else learning_rate,
        }
        named = dataclasses.replace(named, **changes)
        task = Task(
            sizes=named.sizes,
            epochs=named.epochs,
            learning_rate=named.learning_rate,
            samples=samples,
            seed=_seed(seed),
            dtype=dtype,
            device=device,
            momentum=momentum,
        )
        tasks.append((named, task))
    return tasks


def _seed(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 20 and int(text) < 2**64):
        raise UsageError(
            f"--seed {text!r} is not a seed: give a whole number from 0 to 2^64 - 1, "
            f"which is {2**64 - 1}"
        )
    return int(text)
