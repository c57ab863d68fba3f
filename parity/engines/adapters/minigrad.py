"""minigrad as engines, through its public API alone: eager, captured, and reproducible."""

from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np

import minigrad
from minigrad.arrays.conversion import reproducible
from parity.engines.adapters.modules import ModuleEngine
from parity.engines.adapters.recorded import replayed
from parity.engines.protocol import Array, Start, Task, Traced
from parity.errors import CannotBeJudgedError


class MinigradEngine(ModuleEngine):
    """`nn.Module`s, losses and `optim.SGD`, every step run eagerly."""

    namespace: ModuleType | None = minigrad
    _library = minigrad

    def __init__(self) -> None:
        # A diverging network overflows, and that is for the verdicts to say, not for NumPy.
        np.seterr(all="ignore")


class MinigradCapturedEngine(MinigradEngine):
    """`minigrad.capture` of a training step, and of the forward and backward pass alone."""

    capture = staticmethod(minigrad.capture)

    def build(self, task: Task, start: Start) -> None:
        """Build the network, copy the parameters into it, and have its steps captured."""
        super().build(task, start)
        if self._scheduler is not None:
            raise CannotBeJudgedError(
                "minigrad-captured records a step with its learning rate, so it cannot train with "
                "a schedule: choose --engine minigrad"
            )
        captured: Callable[[Any], Any] = minigrad.capture if task.problem is None else _captured
        self._step, self._backward = map(  # type: ignore[method-assign]
            captured, (super()._step, super()._backward)
        )
        self._values = minigrad.capture(self._traced)
        if not task.varies:
            self.step = self._step  # type: ignore[method-assign]

    def trace(self) -> list[Traced]:
        """Take one training step by a replay; return all it computed, and by which calls."""
        found = replayed(self, self._values, self._batch())
        self._ended()
        return found


def _captured(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a captured function of a problem; one that is refused cannot be judged."""
    captured = minigrad.capture(function)

    def run(*arguments: Any) -> Any:
        try:
            return captured(*arguments)
        except minigrad.CaptureError as error:
            raise CannotBeJudgedError(f"minigrad-captured: {error}") from error

    return run


class MinigradReproducibleEngine(MinigradEngine):
    """The same training on `ReproducibleArray`s: another array type is all that differs."""

    namespace = None  # whose tensors would be of plain arrays

    def _placed(self, model: Any) -> Any:
        return reproducible(model)

    def _tensor(self, array: Array) -> minigrad.Tensor:
        return reproducible(minigrad.tensor(array))
