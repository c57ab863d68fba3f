"""minigrad as an engine with reproducible arithmetic."""

from __future__ import annotations

import minigrad
from minigrad.arrays.conversion import reproducible
from parity.engines.adapters.minigrad import MinigradEngine
from parity.engines.protocol import Array, Start, Task


class MinigradReproducibleEngine(MinigradEngine):
    """The same training on `ReproducibleArray`s: another array type is all that differs."""

    namespace = None  # whose tensors would be of plain arrays

    def build(self, task: Task, start: Start) -> None:
        """Build the network, then make it reproducible."""
        super().build(task, start)
        reproducible(self._model)

    def _tensor(self, array: Array) -> minigrad.Tensor:
        return reproducible(minigrad.tensor(array))
