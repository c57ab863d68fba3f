"""The options that commands share, and the tasks that they name."""

import dataclasses
import math
import re
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Literal

import typer

from minigrad.architectures import ARCHITECTURES, Architecture, architecture
from parity.engines.protocol import Task
from parity.engines.registry import same
from parity.errors import UsageError

QUICK_EPOCHS = 50
MOST_SAMPLES = 10_000_000

Names = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="ARCHITECTURE",
        help=f"{', '.join(ARCHITECTURES)}, or layer sizes such as 1-32-32-1. Default: the three.",
        show_default=False,
    ),
]
Seed = Annotated[
    str, typer.Option(help="Seed of the data and the initial parameters, 0 to 2^64 - 1.")
]
DType = Annotated[
    Literal["float32", "float64"], typer.Option(help="Dtype of the data and the parameters.")
]
Device = Annotated[str, typer.Option(help="cpu, cuda or cuda:N, for engines that can use it.")]
Engine = Annotated[str, typer.Option(help="The engine under test; `parity engines` lists them.")]
Against = Annotated[str, typer.Option(help="The engine it is compared with.")]
Folder = Annotated[str, typer.Option(metavar="DIR", help="The folder to write files to.")]
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
    int, typer.Option(min=1, max=MOST_SAMPLES, help="How many points of the noisy parabola.")
]
Momentum = Annotated[float, typer.Option(min=0, help="Momentum of SGD.")]
Timeout = Annotated[
    float,
    typer.Option(
        min=0.1,
        metavar="SECONDS",
        help="End an engine that gives no sign of life for so long: a step may take no longer.",
    ),
]
Quick = Annotated[bool, typer.Option("--quick", help=f"Train for at most {QUICK_EPOCHS} epochs.")]


def tasks(
    names: Sequence[str] | None,
    seed: str,
    dtype: str,
    device: str = "cpu",
    epochs: int | None = None,
    learning_rate: float | None = None,
    momentum: float = 0.0,
    samples: int = 100,
    quick: bool = False,
) -> list[tuple[Architecture, Task]]:
    """Return the networks to train, each with its task.

    Raises:
        UsageError: an architecture, the seed, the device or a rate is none.
    """
    for name, rate in (("learning-rate", learning_rate), ("momentum", momentum)):
        if rate is not None and not 0 <= rate < math.inf:
            raise UsageError(f"--{name} {rate} must be a finite number of at least 0")
    checked_device(device)
    found = []
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
        found.append((named, task))
    return found


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
            f"--seed {text!r} is not a seed: give a whole number from 0 to 2^64 - 1, "
            f"which is {2**64 - 1}"
        )
    return int(text)
