"""minigrad as an engine, through its public API alone."""

from __future__ import annotations

from types import ModuleType

import numpy as np

import minigrad
from minigrad import nn
from minigrad.architectures import build, parabola
from parity.engines.adapters.sequential import SequentialEngine
from parity.engines.protocol import Start, Task


class MinigradEngine(SequentialEngine):
    """`nn.Sequential`, `nn.MSELoss` and `optim.SGD`, every step run eagerly."""

    namespace: ModuleType | None = minigrad
    _library = minigrad

    def __init__(self) -> None:
        # A diverging network overflows, and that is for the verdicts to say, not for NumPy.
        np.seterr(all="ignore")
        self._loss_function = nn.MSELoss()

    def draw(self, task: Task) -> Start:
        """Draw data and parameters with `minigrad.random`."""
        minigrad.manual_seed(task.seed)
        x, y = parabola(task.samples, task.dtype)
        model = build(task.sizes, task.dtype)
        return Start(x.numpy(), y.numpy(), self._copies(model))

    def build(self, task: Task, start: Start) -> None:
        """Build the network and copy the parameters into it."""
        self._model = build(task.sizes, task.dtype)
        self._fill(self._model, start.parameters)
        self._x, self._y = self._tensor(start.x), self._tensor(start.y)
        self._optimizer = self._sgd(task)
