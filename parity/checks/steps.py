"""steps: at every epoch both engines take one step from the same parameters.

Errors cannot accumulate, so each step is judged as sharply as the first, through chaos too. The
reference drives: at every epoch both engines are given the parameters it has come to. Loss,
gradients and updated parameters are judged by the budget of that very step.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from parity.checks.budget import BudgetedStep
from parity.checks.gradients import Comparison, compare
from parity.engines import Start, Task
from parity.engines.process import EngineProcess
from parity.exchange import Exchange

Progress = Callable[[int], object]
"""Called with the number of epochs that are done."""


def check_steps(
    actual: EngineProcess,
    expected: EngineProcess,
    task: Task,
    start: Start,
    progress: Progress = lambda done: None,
) -> dict[str, Any]:
    """Judge every epoch's step of two engines, which live in `Trainer` processes.

    `worst_at` says in `of` what was worst: `loss`, `gradients` or `updated`, the parameters after
    the step.

    Raises:
        ValueError: an engine returned other tensors, shapes or dtypes than the parameters'.
    """
    budget = BudgetedStep(task.sizes, start.x, start.y, lr=task.learning_rate)
    shapes = {name: value.shape for name, value in start.parameters.items()}
    kinds = ("gradients", "updated")
    rooms = ["given", *(f"{side} {kind}" for side in ("actual", "expected") for kind in kinds)]
    tally = _Tally()
    with Exchange(shapes, task.dtype, rooms) as exchange:
        sides = {"actual": actual, "expected": expected}
        for side, process in sides.items():
            process.call("join", task, start, exchange, side)
        given = exchange.room("given")
        for name, value in start.parameters.items():
            given[name][...] = value
        for epoch in range(task.epochs):
            losses = {side: process.call("forced_step") for side, process in sides.items()}
            found = budget(given)
            judged = {
                "loss": {"loss": found.loss},
                "gradients": found.gradients,
                "updated": found.parameters,
            }
            for kind, budgets in judged.items():
                ours, theirs = (
                    {"loss": np.array(losses[side], task.dtype)}
                    if kind == "loss"
                    else exchange.room(f"{side} {kind}")
                    for side in sides
                )
                tally.add(epoch, kind, compare(ours, theirs, budgets, kind))
            tally.kinks += found.kinks
            for name, value in exchange.room("expected updated").items():
                given[name][...] = value
            progress(epoch + 1)
        for process in sides.values():
            process.call("leave")
    return tally.entry()


class _Tally:
    """The worst of many comparisons."""

    def __init__(self) -> None:
        self._worst: tuple[float, dict[str, Any] | None] = (-1.0, None)
        self._aggregate: tuple[float, dict[str, Any] | None] = (-1.0, None)
        self._elements = self._unlimited = self._choices = self.kinks = 0
        self._passed, self._epochs = True, 0

    def add(self, epoch: int, of: str, found: Comparison) -> None:
        """Count a comparison."""
        place = {"epoch": epoch, "of": of}
        if found.worst_used > self._worst[0]:
            self._worst = found.worst_used, place | found.worst_at
        if found.aggregate_at is not None and found.aggregate_used > self._aggregate[0]:
            self._aggregate = found.aggregate_used, place | found.aggregate_at
        self._passed = self._passed and found.passed
        self._elements += found.elements
        self._unlimited += found.unlimited
        self._choices += found.choices
        self._epochs = epoch + 1

    def entry(self) -> dict[str, Any]:
        """Return the verdict."""
        return {
            "passed": self._passed,
            "epochs": self._epochs,
            "worst_budget_used": max(self._worst[0], 0.0),
            "worst_at": self._worst[1],
            "kinks": self.kinks,
            "choices": self._choices,
            "elements": self._elements,
            "unlimited": self._unlimited,
            "aggregate_used": max(self._aggregate[0], 0.0),
            "aggregate_at": self._aggregate[1],
        }
