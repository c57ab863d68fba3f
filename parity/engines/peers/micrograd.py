"""micrograd: every number a `Value` of its own."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from micrograd.engine import Value
from micrograd.nn import MLP

from parity.engines.peers.peer import Peer
from parity.engines.protocol import Array, Start, Task
from parity.errors import UsageError

BYTES_A_PRODUCT = 1600
"""Two values, of a product and of the sum it goes into, each with its set and its closure."""

MOST_PRODUCTS = 2_000_000


class MicrogradEngine(Peer):
    """`micrograd.nn.MLP`, with the training loop of its demonstration.

    It computes in Python's floats, that is in float64, and keeps its parameters in the run's dtype.
    Its sort of the graph is recursive: the losses of a batch are summed in pairs, since a long
    chain of additions would be too deep.
    """

    def build(self, task: Task, start: Start) -> None:
        """Build the network.

        Raises:
            UsageError: a step would make too many numbers to hold in memory.
        """
        products = task.samples * sum(map(np.size, start.parameters.values()))
        if products > MOST_PRODUCTS:
            raise UsageError(
                f"micrograd would make objects for {products:,} products in a step, about "
                f"{products * BYTES_A_PRODUCT / 2**30:.0f} GiB, and at most {MOST_PRODUCTS:,} are "
                "allowed: give it a smaller network or fewer samples"
            )
        self._model = MLP(task.sizes[0], list(task.sizes[1:]))
        super().build(task, start)
        self._rows, self._targets = start.x.tolist(), start.y.tolist()

    def put(
        self, parameters: Mapping[str, Array], momentum_buffers: Mapping[str, Array] = {}
    ) -> None:
        """Give every number its value."""
        super().put(parameters, momentum_buffers)
        self._fill()

    def step(self) -> object:
        """Take one training step."""
        loss = super().step()
        self._fill()
        return loss

    def predict(self) -> Array:
        """Run forward."""
        return self._copy([[output.data for output in outputs] for outputs in self._forward()])

    def _fill(self) -> None:
        arrays = iter(self._parameters)
        for layer in self._model.layers:
            weight, bias = next(arrays), next(arrays)
            for neuron, row, number in zip(layer.neurons, weight, bias, strict=True):
                for value, element in zip(neuron.w, row, strict=True):
                    value.data = float(element)
                neuron.b.data = float(number)

    def _forward(self) -> list[list[Value]]:
        # Neuron by neuron: a layer of one neuron returns a number that the next cannot iterate.
        batch: list[list[Value]] = self._rows
        for layer in self._model.layers:
            batch = [[neuron(row) for neuron in layer.neurons] for row in batch]
        return batch

    def _backward(self) -> tuple[float, Sequence[Array]]:
        self._model.zero_grad()
        pairs = zip(self._forward(), self._targets, strict=True)
        squares = [
            (output - target) ** 2
            for outputs, targets in pairs
            for output, target in zip(outputs, targets, strict=True)
        ]
        loss = _summed(squares) * (1 / len(squares))
        loss.backward()
        gradients: list[list[Any]] = []
        for layer in self._model.layers:
            gradients.append([[value.grad for value in neuron.w] for neuron in layer.neurons])
            gradients.append([neuron.b.grad for neuron in layer.neurons])
        return loss.data, [self._copy(gradient) for gradient in gradients]


def _summed(values: list[Value]) -> Value:
    if len(values) == 1:
        return values[0]
    middle = len(values) // 2
    return _summed(values[:middle]) + _summed(values[middle:])
