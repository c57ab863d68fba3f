"""HIPS autograd: `value_and_grad` of a function written in `autograd.numpy`."""

from collections.abc import Sequence
from typing import Any

import autograd.numpy as np
from autograd import value_and_grad

from parity.engines.peers.peer import Peer, layers
from parity.engines.protocol import Array


def forward(parameters: list[Any], x: Any) -> Any:
    """Return the network's output."""
    for weight, bias, activated in layers(parameters):
        x = np.dot(x, weight.T) + bias
        if activated:
            # Its maximum has the derivative 1/2 at a tie, where torch's ReLU has 0.
            x = np.where(x <= 0, np.zeros_like(x), x)
    return x


def mse_loss(parameters: list[Any], x: Any, y: Any) -> Any:
    """Return the mean squared error."""
    return np.mean((forward(parameters, x) - y) ** 2)


loss_and_gradients = value_and_grad(mse_loss)


class AutogradEngine(Peer):
    """Every step computes new parameters with NumPy."""

    def predict(self) -> Array:
        """Run forward."""
        return self._copy(forward(self._parameters, self._x))

    def _backward(self) -> tuple[Any, Sequence[Any]]:
        loss, gradients = loss_and_gradients(self._parameters, self._x, self._y)
        return loss, gradients
