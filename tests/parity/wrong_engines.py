"""Engines with one planted defect each."""

from dataclasses import replace

import numpy as np

from parity.engines import Array, Start, Task
from parity.engines.minigrad import MinigradEngine

SPOILED = "2.weight"


class ScaledGradient(MinigradEngine):
    """One gradient is a thousandth too large, in networks that have this parameter."""

    def loss_and_gradients(self) -> tuple[float, dict[str, Array]]:
        loss, gradients = super().loss_and_gradients()
        if SPOILED in gradients:
            gradients[SPOILED] *= 1 + 1e-3
        return loss, gradients


class AnotherBit(MinigradEngine):
    """One initial weight is one ulp larger."""

    def draw(self, task: Task) -> Start:
        start = super().draw(task)
        weight = start.parameters[SPOILED]
        weight[0, 0] = np.nextafter(weight[0, 0], np.float32(np.inf), dtype=weight.dtype)
        return start


class MissingGradient(MinigradEngine):
    """One gradient is not returned."""

    def loss_and_gradients(self) -> tuple[float, dict[str, Array]]:
        loss, gradients = super().loss_and_gradients()
        del gradients[SPOILED]
        return loss, gradients


class Diverging(MinigradEngine):
    """Learns ten thousand times too fast."""

    def load(self, task: Task, start: Start) -> None:
        super().load(replace(task, learning_rate=1e4 * task.learning_rate), start)
