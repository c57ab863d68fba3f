"""minigrad as an engine, through its public API alone."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

import minigrad
from minigrad import nn, optim
from minigrad.architectures import build, parabola
from parity.engines import Array, Start, Task


class MinigradEngine:
    """`nn.Sequential`, `nn.MSELoss` and `optim.SGD`, every step run eagerly."""

    def __init__(self) -> None:
        # A diverging network overflows, and that is for the verdicts to say, not for NumPy.
        np.seterr(all="ignore")
        self._loss_function = nn.MSELoss()

    def draw(self, task: Task) -> Start:
        """Draw data and parameters with `minigrad.random`."""
        minigrad.manual_seed(task.seed)
        x, y = parabola(task.samples, task.dtype)
        model = build(task.sizes, task.dtype)
        return Start(x.numpy(), y.numpy(), _copies(model))

    def load(self, task: Task, start: Start) -> None:
        """Build the network and copy the parameters into it."""
        self._model = build(task.sizes, task.dtype)
        self._model.load_state_dict(
            {name: minigrad.tensor(value) for name, value in start.parameters.items()}
        )
        self._x, self._y = minigrad.tensor(start.x), minigrad.tensor(start.y)
        self._optimizer = optim.SGD(
            self._model.parameters(), lr=task.learning_rate, momentum=task.momentum
        )

    def put(self, parameters: Mapping[str, Array]) -> None:
        """Copy the values into the network."""
        self._model.load_state_dict({n: minigrad.tensor(a) for n, a in parameters.items()})

    def loss_and_gradients(self) -> tuple[float, dict[str, Array]]:
        """Run forward and backward."""
        self._optimizer.zero_grad()
        loss = self._loss_function(self._model(self._x), self._y)
        loss.backward()
        gradients = {}
        for name, parameter in self._model.named_parameters():
            assert parameter.grad is not None
            gradients[name] = parameter.grad.numpy().copy()
        return loss.item(), gradients

    def step(self) -> object:
        """Take one training step."""
        self._optimizer.zero_grad()
        loss = self._loss_function(self._model(self._x), self._y)
        loss.backward()
        self._optimizer.step()
        return loss

    def parameters(self) -> dict[str, Array]:
        """Copy the parameters."""
        return _copies(self._model)

    def predict(self) -> Array:
        """Run forward without recording."""
        with minigrad.no_grad():
            output: minigrad.Tensor = self._model(self._x)
        return output.numpy()

    def synchronize(self) -> None:
        """Return at once: NumPy has finished when it returns."""


def _copies(model: nn.Module) -> dict[str, Array]:
    return {name: value.numpy().copy() for name, value in model.state_dict().items()}
