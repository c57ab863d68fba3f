"""Reproducible engines with planted defects, which the seed selects."""

import numpy as np

from minigrad.arrays.reproducible import sums
from parity.engines.adapters.minigrad import MinigradReproducibleEngine
from parity.engines.protocol import Array, Start, Task

PAYLOAD, SOUND, PLAIN_PRODUCTS, ANOTHER_BIT, ANOTHER_LOSS, LATE, UNREPEATABLE = range(7)
ANOTHER_BUFFER = 7
"""Seeds, and what is wrong in the runs that start from them."""


class UnfaithfulEngine(MinigradReproducibleEngine):
    """minigrad on reproducible arrays, but for what the seed asks for."""

    runs = 0

    def load(self, task: Task, start: Start) -> None:
        super().load(task, start)
        self._seed, self._epoch = task.seed, -1
        UnfaithfulEngine.runs += 1
        if task.seed == PLAIN_PRODUCTS:
            sums.matmul = lambda x, y: np.matmul(x.x, y.x)

    def step(self) -> object:
        self._epoch += 1
        loss = super().step()
        if self._seed == ANOTHER_LOSS and self._epoch == 3:
            return np.nextafter(float(loss), 0)  # type: ignore[arg-type]
        return loss

    def parameters(self) -> dict[str, Array]:
        parameters = super().parameters()
        weight = parameters["2.weight"]
        if (self._seed == ANOTHER_BIT and self._epoch == 2) or (
            self._seed == UNREPEATABLE and UnfaithfulEngine.runs == 1
        ):
            weight[1, 3] = np.nextafter(weight[1, 3], np.float32(np.inf))
        if self._seed == PAYLOAD:  # another NaN than NumPy's is no difference
            weight[np.isnan(weight)] = -np.float32(np.nan)
        return parameters

    def momentum_buffers(self) -> dict[str, Array]:
        buffers = super().momentum_buffers()
        if self._seed == ANOTHER_BUFFER and self._epoch == 4:
            buffers["0.bias"][2] = np.nextafter(buffers["0.bias"][2], np.float32(np.inf))
        return buffers

    def loss_and_gradients(self) -> tuple[float, dict[str, Array]]:
        loss, gradients = super().loss_and_gradients()
        return loss * 2 if self._seed == LATE else loss, gradients
