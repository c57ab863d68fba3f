"""What an engine is asked to train."""

import functools
import math
from dataclasses import dataclass, fields, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from minigrad.problems import order
from parity.problems.data import Data
from parity.problems.written import Problem

ACTIVATIONS = {
    "relu": "ReLU",
    "leaky_relu": "LeakyReLU",
    "tanh": "Tanh",
    "sigmoid": "Sigmoid",
    "softplus": "Softplus",
}
LOSSES = {"mse": "MSELoss", "l1": "L1Loss", "smooth_l1": "SmoothL1Loss", "huber": "HuberLoss"}
"""What the command line calls them, and torch in `torch.nn`."""


@dataclass(frozen=True)
class Task:
    """What is trained, and how: a chain of linear layers, or a problem that somebody wrote.

    Attributes:
        sizes: the layer sizes of a chain, an activation between the layers; empty for a problem.
        epochs: how often training goes through all samples.
        learning_rate: of SGD.
        samples: how many there are: of a chain, points of the noisy parabola.
        seed: of the data and the initial parameters, 0 to 2⁶⁴ - 1.
        dtype: "float32" or "float64".
        device: "cpu", "cuda" or "cuda:N"; an engine that only knows the CPU stays there.
        momentum, weight_decay, dampening, nesterov: options of SGD.
        activation: between the layers of a chain, by torch's name in `torch.nn`.
        loss: by torch's name in `torch.nn`; "loss" for a problem's own.
        bias: whether the layers of a chain have one.
        batch_size: how many samples a step is on; None for all of them.
        shuffle: whether each epoch has the samples in an order of its own.
        most_steps: training ends after so many steps, if not before; None for no limit.
        problem: what is trained in place of a chain. Then the options of SGD are those of its
            optimiser's first group, and `activation` and `bias` say nothing.
        data: what a chain is trained on in place of the parabola.
    """

    sizes: tuple[int, ...]
    epochs: int
    learning_rate: float
    samples: int
    seed: int
    dtype: str
    device: str
    momentum: float = 0.0
    weight_decay: float = 0.0
    dampening: float = 0.0
    nesterov: bool = False
    activation: str = "ReLU"
    loss: str = "MSELoss"
    bias: bool = True
    batch_size: int | None = None
    shuffle: bool = False
    most_steps: int | None = None
    problem: Problem | None = None
    data: Data | None = None

    @property
    def steps(self) -> int:
        """How many training steps there are."""
        steps = self.epochs * self.steps_an_epoch
        return steps if self.most_steps is None else min(steps, self.most_steps)

    @property
    def steps_an_epoch(self) -> int:
        """How many mini-batches the samples make; the last may have fewer samples."""
        return math.ceil(self.samples / self.batch_size) if self.batch_size else 1

    @property
    def options(self) -> list[str]:
        """What is asked beyond ReLU, the mean squared error and SGD with momentum, by name."""
        if self.problem is not None:
            return ["problem"]
        return [
            field.name
            for field in fields(self)
            if field.name in OPTIONS and getattr(self, field.name) != field.default
        ]

    @property
    def varies(self) -> bool:
        """Whether steps differ from each other: in samples, learning rate or random numbers."""
        return self.batch_size is not None or self.problem is not None

    def rows(self, step: int) -> NDArray[np.int64] | None:
        """Return the numbers of the samples that a step is on, counted from 0; None for all.

        After the last step that is all of them, so that the final loss is that of the whole data.
        """
        if self.batch_size is None or step >= self.steps:
            return None
        epoch, batch = divmod(step, self.steps_an_epoch)
        order = _order(self.samples, self.seed, epoch) if self.shuffle else np.arange(self.samples)
        return order[batch * self.batch_size :][: self.batch_size]

    def of_steps(self, first: int, count: int) -> Self:
        """Return the task of so many steps, the first of which has the number `first`."""
        if self.varies:
            return replace(self, most_steps=first + count)
        return replace(self, epochs=count)

    def in_dtype(self, dtype: str) -> Self:
        """Return the task in numbers of another dtype."""
        return replace(self, dtype=dtype)


OPTIONS = frozenset(
    ["weight_decay", "dampening", "nesterov", "activation", "loss", "bias", "batch_size", "shuffle"]
)
"""The options of a chain that an engine need not have."""

EVERY_OPTION = OPTIONS | {"problem"}


_order = functools.lru_cache(maxsize=2)(order)


def said(option: str, value: Any) -> str:
    """Return an option as the command line has it."""
    name = option.replace("_", "-")
    if isinstance(value, bool):
        return f"--{name}" if value else f"--no-{name}"
    typed = {torchs: word for word, torchs in (*ACTIVATIONS.items(), *LOSSES.items())}
    return f"--{name} {typed.get(value, value)}"
