"""What the adapters of peers share."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from parity.engines.protocol import Array, Engine, Start, Task


class Peer(Engine):
    """Holds parameters and momentum buffers as lists of a peer's own arrays, in torch's order.

    Weights are (outputs, inputs), as torch has them. A peer is given data and parameters: it has
    no `draw`.
    """

    def __init__(self) -> None:
        # A diverging network overflows, and that is for the verdicts to say, not for NumPy.
        np.seterr(all="ignore")

    def build(self, task: Task, start: Start) -> None:
        """Take data and parameters."""
        self._names = list(start.parameters)
        self._x, self._y = self._own(start.x), self._own(start.y)
        self.put(start.parameters)

    def put(
        self, parameters: Mapping[str, Array], momentum_buffers: Mapping[str, Array] = {}
    ) -> None:
        """Copy the values."""
        self._parameters = [self._own(parameters[name]) for name in self._names]
        self._buffers = [
            self._own(momentum_buffers[name]) for name in self._names if name in momentum_buffers
        ]

    def momentum_buffers(self) -> dict[str, Array]:
        """Copy the momentum buffers."""
        return self._named(self._buffers)

    def parameters(self) -> dict[str, Array]:
        """Copy the parameters."""
        return self._named(self._parameters)

    def loss_and_gradients(self) -> tuple[float, dict[str, Array]]:
        """Run forward and backward."""
        loss, gradients = self._backward()
        return float(loss), self._named(gradients)

    def step(self) -> object:
        """Take one training step, which makes new arrays of parameters."""
        loss, gradients = self._backward()
        pairs = zip(self._parameters, self._directions(gradients), strict=True)
        rate = self._task.learning_rate
        self._parameters = [parameter - rate * direction for parameter, direction in pairs]
        return loss

    @abstractmethod
    def _backward(self) -> tuple[Any, Sequence[Any]]:
        """Run forward and backward; return the loss, which `float` reads, and the gradients."""

    def _directions(self, gradients: Sequence[Any]) -> list[Any]:
        """Return the directions of a step of SGD; keep them if there is momentum."""
        momentum = self._task.momentum
        directions = sgd_directions(momentum, self._buffers, gradients)
        if momentum:
            self._buffers = directions
        return directions

    def _named(self, values: Sequence[Any]) -> dict[str, Array]:
        """Return copies by the parameters' names; none of no values."""
        return dict(zip(self._names, map(self._copy, values), strict=bool(values)))

    def _own(self, array: Array) -> Any:
        """Return a copy as the peer's own kind of array."""
        return array.copy()

    def _copy(self, value: Any) -> Array:
        """Return a copy as an ndarray of the run's dtype."""
        return np.array(value, dtype=self._task.dtype)


def sgd_directions(momentum: float, buffers: Sequence[Any], gradients: Sequence[Any]) -> list[Any]:
    """Return the directions of a step of SGD; with momentum they are the buffers after it."""
    if not (momentum and buffers):
        return list(gradients)
    pairs = zip(buffers, gradients, strict=True)
    return [momentum * buffer + gradient for buffer, gradient in pairs]


def layers(parameters: Sequence[Any]) -> list[tuple[Any, Any, bool]]:
    """Return each layer's weight and bias, and whether a ReLU follows."""
    pairs = list(zip(parameters[::2], parameters[1::2], strict=True))
    return [(weight, bias, i + 1 < len(pairs)) for i, (weight, bias) in enumerate(pairs)]
