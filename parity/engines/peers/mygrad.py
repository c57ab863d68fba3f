"""MyGrad: tensors with `backward`, parameters updated through their arrays."""

from collections.abc import Sequence
from typing import Any

import mygrad
from mygrad.nnet import relu

from parity.engines.peers.peer import Peer, layers
from parity.engines.protocol import Array, Start, Task


class MyGradEngine(Peer):
    """The training loop of MyGrad's documentation, without its guard of memory.

    The guard makes arrays read-only for as long as a graph needs them; no training step here
    writes to one that early, and MyGrad's documentation advises to switch it off for speed.
    """

    def __init__(self) -> None:
        super().__init__()
        mygrad.turn_memory_guarding_off()

    def build(self, task: Task, start: Start) -> None:
        """Take the parameters as tensors, and the data as constants."""
        super().build(task, start)
        self._x, self._y = start.x.copy(), start.y.copy()

    def step(self) -> object:
        """Take one training step."""
        loss, gradients = self._backward()
        for parameter, direction in zip(self._parameters, self._directions(gradients), strict=True):
            parameter.data -= self._task.learning_rate * direction
        return loss

    def predict(self) -> Array:
        """Run forward without recording."""
        with mygrad.no_autodiff:
            return self._copy(self._forward().data)

    def _own(self, array: Array) -> Any:
        return mygrad.tensor(array.copy())

    def _copy(self, value: Any) -> Array:
        return super()._copy(value.data if isinstance(value, mygrad.Tensor) else value)

    def _forward(self) -> Any:
        x = self._x
        for weight, bias, activated in layers(self._parameters):
            x = mygrad.matmul(x, weight.T) + bias
            if activated:
                x = relu(x)
        return x

    def _backward(self) -> tuple[Any, Sequence[Any]]:
        loss = mygrad.mean((self._forward() - self._y) ** 2)
        loss.backward()  # replaces the gradients of the step before
        return loss.data, [parameter.grad for parameter in self._parameters]
