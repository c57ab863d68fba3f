"""The networks this project is about: their layer sizes, their training, their data."""

import difflib
import re
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from minigrad.creation import linspace
from minigrad.dtypes import float32
from minigrad.nn import Linear, Module, MSELoss, ReLU, Sequential
from minigrad.optim import SGD
from minigrad.random import manual_seed
from minigrad.random_tensors import randn
from minigrad.tensor import Tensor
from minigrad.tensor.joining import stack

MOST_PARAMETERS = 100_000_000
"""More than this is taken for a typing error."""

MOST_ACTIVATIONS = 500_000_000
"""Of all layers and samples; more would not fit into memory."""

DEFAULT_SEED = 9
"""The smallest seed at which all three networks train: with every engine, in reproducible
arithmetic, in a quick run, and after their first weights were moved by a few last bits. At seed 0
two of them die."""


@dataclass(frozen=True)
class Architecture:
    """Layer sizes with ReLU between the layers, and how the network is trained."""

    name: str
    sizes: tuple[int, ...]
    epochs: int = 500
    learning_rate: float = 0.01

    @property
    def parameters(self) -> int:
        """The number of weights and biases."""
        return sum((fan_in + 1) * fan_out for fan_in, fan_out in pairwise(self.sizes))


ARCHITECTURES = {
    "underfit": Architecture("underfit", (1, 1, 1)),
    "rightfit": Architecture("rightfit", (1, 16, 16, 1)),
    "overfit": Architecture("overfit", (1, 64, 64, 512, 512, 64, 1), epochs=1000),
}
"""Too small to bend, the right size, and far too large for a hundred points."""


def architecture(text: str, features: int = 1) -> Architecture:
    """Return the architecture of this name, or with these layer sizes: `1-32-32-1`.

    Args:
        text: the name or the sizes.
        features: how many numbers a sample has, besides its one target.

    Raises:
        ValueError: it is neither, or does not go from the data's features to its one target.
    """
    if text in ARCHITECTURES:
        return ARCHITECTURES[text]
    if re.fullmatch(r"\d{1,9}(-\d{1,9})+", text, re.ASCII) is None:
        near = difflib.get_close_matches(text, ARCHITECTURES, 1)
        remedy = f"name one of {', '.join(ARCHITECTURES)}, layer sizes such as 1-32-32-1, or a "
        remedy = f"did you mean {near[0]}?" if near else f"{remedy}problem such as tanh.py"
        raise ValueError(f"unknown architecture {text!r}: {remedy}")
    sizes = tuple(map(int, text.split("-")))
    if min(sizes) < 1 or (sizes[0], sizes[-1]) != (features, 1):
        first, has = f"the first {features}, the last 1", f"{features} features"
        if features == 1:
            first, has = "the first and the last exactly 1", "one feature"
        raise ValueError(
            f"architecture {text!r}: sizes must be at least 1, and {first}, since the data has "
            f"{has} and one target"
        )
    found = Architecture("-".join(map(str, sizes)), sizes)
    if found.parameters > MOST_PARAMETERS:
        raise ValueError(
            f"architecture {text!r} has {found.parameters:,} parameters, and {MOST_PARAMETERS:,} "
            "is the most that is trained: make a layer smaller"
        )
    return found


def check_size(sizes: tuple[int, ...], samples: int) -> None:
    """Raise `ValueError` if the values of all layers and samples would not fit into memory."""
    activations = samples * sum(sizes)
    if activations > MOST_ACTIVATIONS:
        raise ValueError(
            f"{samples:,} samples and {len(sizes)} layer sizes up to {max(sizes):,} have "
            f"{activations:,} activations, and {MOST_ACTIVATIONS:,} is the most"
        )


def build(sizes: tuple[int, ...], dtype: Any = float32) -> Sequential:
    """Return linear layers of these sizes with ReLU between them, initialised at random."""
    modules: list[Module] = []
    for in_features, out_features in pairwise(sizes):
        modules += [Linear(in_features, out_features, dtype=dtype), ReLU()]
    return Sequential(*modules[:-1])


def parabola(samples: int = 100, dtype: Any = float32) -> tuple[Tensor, Tensor]:
    """Return x, evenly spaced on [-5, 5], and y = x² + standard normal noise, each (samples, 1).

    The noise is drawn one element at a time: torch draws sixteen and more at once differently.

    Raises:
        ValueError: there are fewer than one sample.
    """
    if samples < 1:
        raise ValueError(f"parabola: samples must be at least 1, not {samples}")
    x = linspace(-5, 5, samples, dtype=dtype)
    y = stack([element**2 + randn(1, dtype=dtype) for element in x])
    return x.reshape(-1, 1), y


def training(
    architecture: Architecture, seed: int = DEFAULT_SEED, epoch: int = 1, samples: int = 100
) -> Callable[[], Tensor]:
    """Return the training step of an epoch, counted from 1; all epochs before it are trained."""
    check_size(architecture.sizes, samples)
    manual_seed(seed)
    x, y = parabola(samples)
    model = build(architecture.sizes)
    criterion = MSELoss()
    step = step_of(model, criterion, SGD(model.parameters(), lr=architecture.learning_rate), x, y)
    for _ in range(epoch - 1):
        step()
    return step


def step_of(
    model: Callable[..., Tensor],
    criterion: Callable[..., Tensor],
    optimizer: SGD,
    x: Any,
    y: Tensor,
) -> Callable[[], Tensor]:
    """Return a training step; `minigrad explain` shows its lines."""

    def step() -> Tensor:
        optimizer.zero_grad()
        prediction = model(x)
        loss = criterion(prediction, y)
        loss.backward()
        optimizer.step()
        return loss

    return step
