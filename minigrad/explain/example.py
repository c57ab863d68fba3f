"""One training step of a named network, written as a user would write it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from minigrad.architectures import Architecture, build, parabola
from minigrad.nn import MSELoss
from minigrad.optim import SGD
from minigrad.random import manual_seed
from minigrad.tensor import Tensor


def training(
    architecture: Architecture, seed: int = 0, epoch: int = 1, samples: int = 100
) -> Callable[[], Tensor]:
    """Return the training step of an epoch, counted from 1; all epochs before it are trained."""
    manual_seed(seed)
    x, y = parabola(samples)
    model = build(architecture.sizes)
    criterion = MSELoss()
    optimizer = SGD(model.parameters(), lr=architecture.learning_rate)

    def step() -> Any:
        optimizer.zero_grad()
        prediction = model(x)
        loss = criterion(prediction, y)
        loss.backward()
        optimizer.step()
        return loss

    for _ in range(epoch - 1):
        step()
    return step
