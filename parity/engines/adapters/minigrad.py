"""minigrad as an engine, through its public API alone."""

from __future__ import annotations

from collections.abc import Mapping
from types import ModuleType

import numpy as np

import minigrad
from minigrad import nn, optim
from minigrad.architectures import build, parabola
from parity.engines.protocol import Array, Engine, Start, Task, Traced
from parity.engines.trace import traced_step


class MinigradEngine(Engine):
    """`nn.Sequential`, `nn.MSELoss` and `optim.SGD`, every step run eagerly."""

    namespace: ModuleType | None = minigrad

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

    def build(self, task: Task, start: Start) -> None:
        """Build the network and copy the parameters into it."""
        self._model = build(task.sizes, task.dtype)
        self._model.load_state_dict(
            {name: minigrad.tensor(value) for name, value in start.parameters.items()}
        )
        self._x, self._y = self._tensor(start.x), self._tensor(start.y)
        self._optimizer = optim.SGD(
            self._model.parameters(), lr=task.learning_rate, momentum=task.momentum
        )

    def put(
        self, parameters: Mapping[str, Array], momentum_buffers: Mapping[str, Array] = {}
    ) -> None:
        """Copy the values into the network and the optimiser."""
        self._model.load_state_dict({n: minigrad.tensor(a) for n, a in parameters.items()})
        self._optimizer.state.clear()
        for name, parameter in self._model.named_parameters():
            if name in momentum_buffers:
                buffer = self._tensor(momentum_buffers[name])
                self._optimizer.state[parameter] = {"momentum_buffer": buffer}

    def momentum_buffers(self) -> dict[str, Array]:
        """Copy the optimiser's buffers."""
        return {
            name: _copy(self._optimizer.state[parameter]["momentum_buffer"])
            for name, parameter in self._model.named_parameters()
            if parameter in self._optimizer.state
        }

    def loss_and_gradients(self) -> tuple[float, dict[str, Array]]:
        """Run forward and backward."""
        self._optimizer.zero_grad()
        loss = self._loss_function(self._model(self._x), self._y)
        loss.backward()
        gradients = {}
        for name, parameter in self._model.named_parameters():
            assert parameter.grad is not None
            gradients[name] = _copy(parameter.grad)
        return loss.item(), gradients

    def step(self) -> object:
        """Take one training step."""
        self._optimizer.zero_grad()
        loss = self._loss_function(self._model(self._x), self._y)
        loss.backward()
        self._optimizer.step()
        return loss

    def trace(self) -> list[Traced]:
        """Take one training step, layer by layer."""
        return traced_step(
            self._model,
            self._optimizer,
            self._x,
            self._y,
            self._loss_function,
            _copy,
        )

    def parameters(self) -> dict[str, Array]:
        """Copy the parameters."""
        return _copies(self._model)

    def predict(self) -> Array:
        """Run forward without recording."""
        with minigrad.no_grad():
            output: minigrad.Tensor = self._model(self._x)
        return output.numpy()

    def _tensor(self, array: Array) -> minigrad.Tensor:
        """Return a tensor of the values, of the array type that the engine computes with."""
        return minigrad.tensor(array)


def _copies(model: nn.Module) -> dict[str, Array]:
    return {name: _copy(value) for name, value in model.state_dict().items()}


def _copy(tensor: minigrad.Tensor) -> Array:
    return tensor.numpy().copy()
