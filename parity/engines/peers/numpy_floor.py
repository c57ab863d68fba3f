"""A step written by hand in NumPy, for these networks alone: what an engine can hope to reach."""

from collections.abc import Mapping, Sequence

import numpy as np

from parity.engines.peers.peer import Peer, layers
from parity.engines.protocol import Array, Start, Task


class NumpyFloorEngine(Peer):
    """Every result has a buffer that was allocated beforehand; nothing is remembered or looked up.

    The calls are those that an experienced programmer would write, with `out` wherever NumPy has
    it; there is one update a parameter, as there is in the networks' usual form.
    """

    def build(self, task: Task, start: Start) -> None:
        """Take the parameters and allocate the buffers."""
        super().build(task, start)
        dtype, batch = np.dtype(task.dtype), task.samples
        self._activations: list[Array] = [self._x]
        self._activations += [np.empty((batch, n), dtype) for n in task.sizes[1:]]
        self._inactive = [np.empty((batch, n), bool) for n in task.sizes[1:-1]]
        self._errors = [np.empty((batch, n), dtype) for n in task.sizes[1:]]
        self._squares = np.empty_like(self._errors[-1])
        self._gradients = [np.empty_like(parameter) for parameter in self._parameters]
        self._updates = [np.empty_like(parameter) for parameter in self._parameters]
        self._slope = dtype.type(2 / self._squares.size)
        self._rate, self._momentum = (dtype.type(x) for x in (task.learning_rate, task.momentum))

    def put(
        self, parameters: Mapping[str, Array], momentum_buffers: Mapping[str, Array] = {}
    ) -> None:
        """Copy the values."""
        super().put(parameters, momentum_buffers)
        self._layers = layers(self._parameters)

    def step(self) -> object:
        """Take one training step."""
        loss, _ = self._backward()
        directions = self._gradients
        if self._momentum:
            if self._buffers:
                for buffer, gradient in zip(self._buffers, self._gradients, strict=True):
                    np.multiply(buffer, self._momentum, buffer)
                    np.add(buffer, gradient, buffer)
            else:
                self._buffers = [gradient.copy() for gradient in self._gradients]
            directions = self._buffers
        for parameter, direction, update in zip(
            self._parameters, directions, self._updates, strict=True
        ):
            np.multiply(direction, self._rate, update)
            np.subtract(parameter, update, parameter)
        return loss

    def predict(self) -> Array:
        """Run forward."""
        return self._forward().copy()

    def _forward(self) -> Array:
        for i, (weight, bias, activated) in enumerate(self._layers):
            out = self._activations[i + 1]
            np.dot(self._activations[i], weight.T, out)
            np.add(out, bias, out)
            if activated:
                np.maximum(out, 0, out=out)
        return self._activations[-1]

    def _backward(self) -> tuple[Array, Sequence[Array]]:
        error = self._errors[-1]
        np.subtract(self._forward(), self._y, error)
        np.square(error, self._squares)
        loss: Array = np.add.reduce(self._squares, None) / self._squares.size
        np.multiply(error, self._slope, error)
        for i in range(len(self._layers) - 1, -1, -1):
            error = self._errors[i]
            np.dot(error.T, self._activations[i], self._gradients[2 * i])
            np.add.reduce(error, 0, None, self._gradients[2 * i + 1])
            if i:
                np.dot(error, self._layers[i][0], self._errors[i - 1])
                np.less_equal(self._activations[i], 0, self._inactive[i - 1])
                np.copyto(self._errors[i - 1], 0, where=self._inactive[i - 1])
        return loss, self._gradients
