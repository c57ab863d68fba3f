"""The options that commands share, and the tasks that they name."""

import dataclasses
import re
from collections.abc import Callable, Sequence
from typing import Annotated, Literal

import typer

from minigrad.architectures import (
    ARCHITECTURES,
    DEFAULT_SEED,
    Architecture,
    architecture,
    check_size,
)
from parity.cli import problems
from parity.engines.protocol import Task
from parity.engines.registry import known, same
from parity.errors import UsageError
from parity.problems.data import Data, read_data
from parity.problems.task import ACTIVATIONS, LOSSES, said
from parity.processes import TIMEOUT_S

QUICK_EPOCHS = 50

Names = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="ARCHITECTURE",
        help=f"{', '.join(ARCHITECTURES)}, layer sizes such as 1-32-32-1, or a problem: a file of "
        "functions such as tanh.py, or package.module. Default: the three.",
        show_default=False,
        autocompletion=lambda: list(ARCHITECTURES),
    ),
]
Seed = Annotated[
    str | None,
    typer.Option(
        metavar="N",
        help="Seed of the data and the initial parameters, 0 to 2^64 - 1. Default: "
        f"{DEFAULT_SEED}, or a problem's.",
        show_default=False,
    ),
]
Engine = Annotated[
    str,
    typer.Option(
        metavar="NAME",
        help="The engine under test; `parity engines` lists them.",
        autocompletion=lambda: list(known()),
    ),
]
Against = Annotated[
    str,
    typer.Option(
        metavar="NAME",
        help="The engine it is compared with.",
        autocompletion=lambda: list(known()),
    ),
]
Folder = Annotated[str, typer.Option(metavar="DIR", help="The folder to write files to.")]
Timeout = Annotated[
    float,
    typer.Option(
        metavar="SECONDS",
        help="End an engine that gives no sign of life for so long: a step may take no longer.",
    ),
]
Quick = Annotated[bool, typer.Option("--quick", help=f"Train for at most {QUICK_EPOCHS} epochs.")]

Activation = Literal["relu", "leaky_relu", "tanh", "sigmoid", "softplus"]
Loss = Literal["mse", "l1", "smooth_l1", "huber"]


@dataclasses.dataclass(frozen=True)
class Training:
    """How networks are trained: options that `run`, `train`, `sweep` and `bench` share.

    None is what the architecture or the problem says.
    """

    dtype: Annotated[
        Literal["float32", "float64"], typer.Option(help="Dtype of the data and the parameters.")
    ] = "float32"
    device: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="cpu, cuda or cuda:N, for engines that can use it.",
            autocompletion=lambda: ["cpu", "cuda"],
        ),
    ] = "cpu"
    epochs: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Default: the architecture's, 500 for layer sizes.",
            show_default=False,
        ),
    ] = None
    learning_rate: Annotated[
        float | None,
        typer.Option(metavar="X", help="Default: the architecture's.", show_default=False),
    ] = None
    samples: Annotated[
        int,
        typer.Option(metavar="N", help="How many points of the noisy parabola."),
    ] = 100
    momentum: Annotated[float, typer.Option(metavar="X", help="Momentum of SGD.")] = 0.0
    dampening: Annotated[float, typer.Option(metavar="X", help="Dampening of SGD's momentum.")] = (
        0.0
    )
    nesterov: Annotated[bool, typer.Option("--nesterov", help="Nesterov's momentum.")] = False
    weight_decay: Annotated[float, typer.Option(metavar="X", help="Weight decay of SGD.")] = 0.0
    activation: Annotated[Activation, typer.Option(help="Between the layers.")] = "relu"
    loss: Annotated[Loss, typer.Option(help="What is minimised.")] = "mse"
    bias: Annotated[bool, typer.Option("--bias/--no-bias", help="Of the layers.")] = True
    batch_size: Annotated[
        int | None,
        typer.Option(metavar="N", help="Samples of a step. Default: all.", show_default=False),
    ] = None
    shuffle: Annotated[
        bool, typer.Option("--shuffle", help="Take the samples in another order each epoch.")
    ] = False

    data: Annotated[
        str | None,
        typer.Option(
            metavar="FILE.csv",
            help="Train on these numbers: the first line names the columns.",
            show_default=False,
        ),
    ] = None
    target: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="The column that is predicted; all others are inputs.",
            show_default=False,
        ),
    ] = None
    standardize: Annotated[
        bool,
        typer.Option("--standardize", help="Bring each column to mean 0 and standard deviation 1."),
    ] = False

    def read(self) -> Data | None:
        """Return the numbers of the file that was named, None if none was.

        Raises:
            UsageError: it cannot be used, or options do not go together.
        """
        if self.data is None:
            if self.target is not None or self.standardize:
                raise UsageError("--target and --standardize are for a file: give --data FILE.csv")
            return None
        if self.target is None:
            raise UsageError(f"--data {self.data} needs --target NAME: the column to predict")
        if self.samples != Training.samples:
            raise UsageError("--samples is for the parabola: a file has as many as it has lines")
        found = read_data(self.data, self.target, standardize=self.standardize)
        found.arrays(self.dtype)  # whose numbers may be too large for it
        return found

    def of_chain(self, named: Architecture, seed: int, data: Data | None = None) -> Task:
        """Return the task of an architecture.

        Raises:
            UsageError: options that do not go together, or more than fits into memory.
        """
        if self.nesterov and (not self.momentum or self.dampening):
            raise UsageError("--nesterov needs --momentum above 0, and no --dampening")
        if self.shuffle and self.batch_size is None:
            raise UsageError("--shuffle says in which order mini-batches come: give --batch-size")
        samples = self.samples if data is None else len(data.values)
        try:
            check_size(named.sizes, samples)
        except ValueError as error:
            raise UsageError(str(error)) from error
        chosen = {
            field.name: getattr(self, field.name)
            for field in dataclasses.fields(self)
            if field.name not in ("target", "standardize")
        }
        return Task(
            **chosen
            | {
                "sizes": named.sizes,
                "seed": seed,
                "epochs": named.epochs,
                "learning_rate": named.learning_rate,
                "activation": ACTIVATIONS[self.activation],
                "loss": LOSSES[self.loss],
                "data": data,
                "samples": samples,
            }
        )

    def given(self) -> list[str]:
        """Return the options that are other than by default and that a problem decides itself."""
        return [
            said(field.name, getattr(self, field.name))
            for field in dataclasses.fields(self)
            if field.name not in ("dtype", "device", "epochs")
            and getattr(self, field.name) != field.default
        ]


def tasks(
    names: Sequence[str] | None,
    seed: str | None = None,
    training: Training = Training(),
    *,
    quick: bool = False,
    timeout: float = TIMEOUT_S,
) -> list[tuple[Architecture, Task]]:
    """Return the networks to train, each with its task.

    Raises:
        UsageError: an architecture, the seed, the device or a rate is none, or a problem cannot be
            trained as it is written.
    """
    checked_device(training.device)
    data = training.read()
    found: list[tuple[Architecture, Task]] = []
    for name in dict.fromkeys(names or ARCHITECTURES):
        if (problem := problems.named(name)) is not None:
            if given := training.given():
                raise UsageError(
                    f"{', '.join(given)} cannot be given for {name}: the problem says it itself, "
                    "in the file"
                )
            number = None if seed is None else _seed(seed)
            task = problems.task_of(problem, number, training.dtype, training.device, timeout)
            named = Architecture(problem.name, (), task.epochs, task.learning_rate)
        else:
            named = _architecture(name, data)
            if training.learning_rate is not None:
                named = dataclasses.replace(named, learning_rate=training.learning_rate)
            task = training.of_chain(named, DEFAULT_SEED if seed is None else _seed(seed), data)
        epochs = training.epochs or task.epochs
        if quick:
            epochs = min(epochs, max(1, QUICK_EPOCHS // task.steps_an_epoch))
        named = dataclasses.replace(named, epochs=epochs)
        if any(named.name == other.name for other, _ in found):
            raise UsageError(f"two of what is named are called {named.name}: name them in two runs")
        found.append((named, dataclasses.replace(task, epochs=epochs)))
    return found


def _architecture(name: str, data: Data | None) -> Architecture:
    inputs = 1 if data is None else len(data.columns) - 1
    takes = "1" if name in ARCHITECTURES else name.partition("-")[0]
    if data is not None and takes.isdecimal() and int(takes) != inputs:
        raise UsageError(
            f"{name} takes {takes} input{'s' * (takes != '1')} and {data.path} has {inputs}: give "
            f"sizes such as {inputs}-16-1"
        )
    try:
        return architecture(name, inputs)
    except ValueError as error:
        raise UsageError(str(error)) from error


def require_two(
    engine: str, against: str, trained_by: Callable[[str], str] = lambda name: name
) -> None:
    """Raise `UsageError` if two engines are the same, or are trained by the same."""
    if same(trained_by(engine), trained_by(against)):
        raise UsageError(
            f"--engine and --against are both {engine!r}: an engine compared with itself agrees, "
            "and that says nothing. Choose two; `parity engines` lists them"
        )


def checked_device(device: str) -> str:
    """Return a device's name, whether or not there is one; raise `UsageError` if it is no name."""
    if not re.fullmatch(r"cpu|cuda(:[0-9]{1,3})?", device):
        raise UsageError(f"unknown device {device!r}: give cpu, cuda, or cuda:N for GPU number N")
    return device


def _seed(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 20 and int(text) < 2**64):
        raise UsageError(
            f"--seed {text[:40]!r} is not a seed: give a whole number from 0 to 2^64 - 1, "
            f"which is {2**64 - 1}"
        )
    return int(text)
