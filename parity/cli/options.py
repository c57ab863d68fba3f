"""The options that commands share, and what they ask for."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Sequence
from typing import Annotated, Any, Literal

import typer

from minigrad.architectures import ARCHITECTURES, Architecture, architecture
from parity.engines.protocol import Task
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
    """Return what is to be trained.

    Raises:
        UsageError: an architecture, the seed, the device or a rate is not one.
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


def checked_device(device: str) -> str:
    """Return the device if it is the name of one, there or not; raise `UsageError` otherwise."""
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
