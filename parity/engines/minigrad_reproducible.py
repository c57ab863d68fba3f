"""minigrad as an engine with reproducible arithmetic."""

from __future__ import annotations

from minigrad.arrays.conversion import reproducible
from parity.engines import Start, Task
from parity.engines.minigrad import MinigradEngine


class MinigradReproducibleEngine(MinigradEngine):
    """The same training on `ReproducibleArray`s: another array type is all that differs."""

    def load(self, task: Task, start: Start) -> None:
        """Build network and data, then make both reproducible."""
        super().load(task, start)
        reproducible(self._model)
        self._x, self._y = reproducible(self._x), reproducible(self._y)
