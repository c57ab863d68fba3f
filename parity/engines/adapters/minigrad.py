"""minigrad as engines, through its public API alone: eager, captured, and reproducible."""

from types import ModuleType

import numpy as np

import minigrad
from minigrad import nn
from minigrad.architectures import build, parabola
from minigrad.arrays.conversion import reproducible
from parity.engines.adapters.recorded import replayed
from parity.engines.adapters.sequential import SequentialEngine
from parity.engines.protocol import Array, Start, Task, Traced


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


class MinigradCapturedEngine(MinigradEngine):
    """`minigrad.capture` of a training step, and of the forward and backward pass alone."""

    capture = staticmethod(minigrad.capture)

    def build(self, task: Task, start: Start) -> None:
        """Build the network, copy the parameters into it, and have its steps captured."""
        super().build(task, start)
        self.step = minigrad.capture(super().step)  # type: ignore[method-assign]
        self._loss = minigrad.capture(self._backward)
        self._values = minigrad.capture(self._traced)

    def loss_and_gradients(self) -> tuple[float, dict[str, Array]]:
        """Run forward and backward."""
        loss = self._loss()
        return loss.item(), self._gradients()

    def trace(self) -> list[Traced]:
        """Take one training step by a replay; return all it computed, and by which calls."""
        return replayed(self, self._values)


class MinigradReproducibleEngine(MinigradEngine):
    """The same training on `ReproducibleArray`s: another array type is all that differs."""

    namespace = None  # whose tensors would be of plain arrays

    def build(self, task: Task, start: Start) -> None:
        """Build the network, then make it reproducible."""
        super().build(task, start)
        reproducible(self._model)

    def _tensor(self, array: Array) -> minigrad.Tensor:
        return reproducible(minigrad.tensor(array))
