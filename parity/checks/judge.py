"""What judges do in processes of their own: they compute budgets, and compare."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from parity.checks.budget import Budget, budgeted_step, step_budget
from parity.checks.gradients import Comparison, check_gradients, compare
from parity.engines.adapters.minigrad import MinigradEngine
from parity.engines.exchange import Exchange
from parity.engines.process import EngineProcess
from parity.engines.protocol import Array, Start, Task

SIDES = ("actual", "expected")

Judgement = tuple[dict[str, Comparison], int]
"""How the two sides' tensors compare, by what they are, and how many kinks there were."""


KEPT = {
    "MALLOC_MMAP_THRESHOLD_": str(1 << 30),
    "MALLOC_TRIM_THRESHOLD_": str(1 << 30),
    "MALLOC_TOP_PAD_": str(1 << 26),
}
"""With these the GNU C library keeps freed memory. A budget is many arrays of a few megabytes, and
getting them from the system anew each time took half of the time; in other processes it is less."""


class Judge:
    """Judges gradients, and the steps that two engines have left in an exchange."""

    def draw(self, task: Task) -> Start:
        """Return where engines start that do not draw."""
        return MinigradEngine().draw(task)

    def gradients(
        self, task: Task, start: Start, actual: Mapping[str, Array], expected: Mapping[str, Array]
    ) -> dict[str, Any]:
        """Return the verdict on the gradients at the start."""
        budget = step_budget(task, start)
        return check_gradients(actual, expected, budget.gradients, budget.kinks)

    def join(self, task: Task, start: Start, exchange: Exchange) -> None:
        """Prepare for `step`."""
        self._budget, self._exchange, self._dtype = budgeted_step(task, start), exchange, task.dtype

    def step(self, slot: int, momentum_buffers: bool, losses: tuple[float, float]) -> Judgement:
        """Compare the steps in the rooms of a slot; `momentum_buffers`: whether they were given."""

        def room(name: str) -> dict[str, Array]:
            return self._exchange.room(f"{slot} {name}")

        budget = self._budget(
            room("given parameters"), room("given buffers") if momentum_buffers else None
        )
        of: dict[str, dict[str, Budget]] = {
            "gradients": budget.gradients,
            "updated": budget.parameters,
        }
        if budget.momentum_buffers:
            of["buffers"] = budget.momentum_buffers
        actual, expected = ({"loss": np.array(loss, self._dtype)} for loss in losses)
        found = {"loss": compare(actual, expected, {"loss": budget.loss}, "loss")}
        for kind, budgets in of.items():
            actual, expected = (room(f"{side} {kind}") for side in SIDES)
            found[kind] = compare(actual, expected, budgets, kind)
        return found, budget.kinks

    def leave(self) -> None:
        """Let go of the exchange."""
        self._exchange.close()


def judge(name: str = "judge") -> EngineProcess:
    """Return a process of one thread that will hold a judge."""
    return EngineProcess(Judge, 1, name, KEPT)
