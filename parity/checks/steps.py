"""steps: at every epoch both engines take one step from the same state.

Errors cannot accumulate, so each step is judged as sharply as the first, through chaos too. At
every epoch both engines are given the parameters, and momentum buffers, that the reference has
reached. Loss, gradients, updated parameters and buffers are judged by the budget of that very step.

A budget costs far more than a step, and that of one epoch does not depend on that of another. So
judges work in processes of their own, an epoch each, while the engines take the next steps.
"""

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from parity.checks import words
from parity.checks.budget import Budget, budgeted_step, step_budget
from parity.checks.gradients import Comparison, check_gradients, compare
from parity.checks.words import Document
from parity.engines.adapters.minigrad import MinigradEngine
from parity.engines.exchange import Exchange
from parity.engines.process import EngineProcess, LocalObject
from parity.engines.protocol import Array, Start, Task
from parity.engines.trainer import Progress, Trainer, ignore

SIDES = ("actual", "expected")

Compared = tuple[dict[str, Comparison], int]
"""How the two sides' tensors compare, by what they are, and how many kinks there were."""


class Judge:
    """Computes budgets; compares gradients, and the steps that two engines left in an exchange."""

    def draw(self, task: Task) -> Start:
        """Return a start for engines that draw none."""
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

    def step(self, slot: int, momentum_buffers: bool, losses: tuple[float, float]) -> Compared:
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
        """Release the exchange."""
        self._exchange.close()


def check_steps(
    actual: EngineProcess[Trainer],
    expected: EngineProcess[Trainer],
    task: Task,
    start: Start,
    progress: Progress = ignore,
    momentum_buffers: Mapping[str, Array] | None = None,
    judges: Sequence[EngineProcess[Judge]] = (),
) -> dict[str, Any]:
    """Judge every epoch's step of two engines.

    Args:
        actual, expected: the engines' processes.
        task, start: what is trained, and from where.
        progress: called after each epoch.
        momentum_buffers: the state of the optimiser at the start; None if it is fresh.
        judges: what compares; without them this process does.

    Returns:
        the verdict. `worst_at` says in `of` what was worst: `loss`, `gradients`, `updated`, the
        parameters after the step, or `buffers`, those of the momentum; `first_failure` the same of
        the first epoch out of its budget, None if there is none.

    Raises:
        ValueError: an engine returned other tensors, shapes or dtypes than the parameters'.
    """
    judges = judges or [LocalObject(Judge())]
    kinds = ("gradients", "updated", *(("buffers",) if task.momentum else ()))
    given = ("given parameters", *(("given buffers",) if task.momentum else ()))
    slots = len(judges) + 1  # the engines go ahead by one
    rooms = [
        f"{slot} {room}"
        for slot in range(slots)
        for room in (*given, *(f"{side} {kind}" for side in SIDES for kind in kinds))
    ]
    shapes = {name: value.shape for name, value in start.parameters.items()}
    tally = Tally()
    with Exchange(shapes, task.dtype, rooms) as exchange:
        for side, process in zip(SIDES, (actual, expected), strict=True):
            process.call(Trainer.join, task, start, exchange, side)
        for judge in judges:
            judge.call(Judge.join, task, start, exchange)
        _copy(start.parameters, exchange.room("0 given parameters"))
        if momentum_buffers:
            _copy(momentum_buffers, exchange.room("0 given buffers"))
        for epoch, found in enumerate(
            _compared(actual, expected, judges, exchange, slots, task, bool(momentum_buffers))
        ):
            tally.add(epoch, found)
            progress(epoch + 1, task.epochs)
        for process in (actual, expected):
            process.call(Trainer.leave)
        for judge in judges:
            judge.call(Judge.leave)
    return tally.entry()


def describe_steps(verdict: Document, architecture: Document, settings: Document) -> str:
    """Return how many epochs were judged, and how much of their budgets the elements use."""
    return f"{verdict['epochs']:,} epochs; {words.budget(verdict)}"


def _compared(
    actual: EngineProcess[Trainer],
    expected: EngineProcess[Trainer],
    judges: Sequence[EngineProcess[Judge]],
    exchange: Exchange,
    slots: int,
    task: Task,
    buffers: bool,
) -> Iterator[Compared]:
    """Yield the comparisons of every epoch, from the state in slot 0; the judges take turns."""
    waiting: deque[Callable[[], Compared]] = deque()
    for epoch in range(task.epochs + len(judges)):
        slot, judge = epoch % slots, judges[epoch % len(judges)]
        if epoch < task.epochs:
            ours, theirs = (p.ask(Trainer.forced_step, slot, buffers) for p in (actual, expected))
            losses = ours(), theirs()
        if epoch >= len(judges):
            yield waiting.popleft()()
        if epoch < task.epochs:
            waiting.append(judge.ask(Judge.step, slot, buffers, losses))
            after = (slot + 1) % slots
            _copy(
                exchange.room(f"{slot} expected updated"),
                exchange.room(f"{after} given parameters"),
            )
            if task.momentum:
                buffers = True
                _copy(
                    exchange.room(f"{slot} expected buffers"),
                    exchange.room(f"{after} given buffers"),
                )


def _copy(source: Mapping[str, Array], target: Mapping[str, Array]) -> None:
    for name, value in source.items():
        target[name][...] = value


class Tally:
    """The worst of many comparisons, and the first that failed."""

    def __init__(self) -> None:
        self._worst: tuple[float, dict[str, Any] | None] = (-1.0, None)
        self._aggregate: tuple[float, dict[str, Any] | None] = (-1.0, None)
        self._first_failure: dict[str, Any] | None = None
        self._elements = self._unlimited = self._choices = self._kinks = self._epochs = 0

    def add(self, epoch: int, compared: Compared) -> None:
        """Count the comparisons of an epoch."""
        comparisons, kinks = compared
        self._kinks += kinks
        self._epochs = epoch + 1
        for of, found in comparisons.items():
            place = {"epoch": epoch, "of": of}
            if found.worst_used > self._worst[0]:
                self._worst = found.worst_used, place | found.worst_at
            if found.aggregate_at is not None and found.aggregate_used > self._aggregate[0]:
                self._aggregate = found.aggregate_used, place | found.aggregate_at
            if not found.passed and self._first_failure is None:
                at = found.worst_at if found.worst_used > 1 else found.aggregate_at
                self._first_failure = place | (at or {})
            self._elements += found.elements
            self._unlimited += found.unlimited
            self._choices += found.choices

    def entry(self) -> dict[str, Any]:
        """Return the verdict."""
        return {
            "passed": self._first_failure is None,
            "epochs": self._epochs,
            "worst_budget_used": max(self._worst[0], 0.0),
            "worst_at": self._worst[1],
            "first_failure": self._first_failure,
            "kinks": self._kinks,
            "choices": self._choices,
            "elements": self._elements,
            "unlimited": self._unlimited,
            "aggregate_used": max(self._aggregate[0], 0.0),
            "aggregate_at": self._aggregate[1],
        }
