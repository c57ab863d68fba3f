"""steps: at every epoch both engines take one step from the same state.

Errors cannot accumulate, so each step is judged as sharply as the first, through chaos too. At
every epoch both engines are given the same parameters, and momentum buffers. Loss, prediction,
gradients, updated parameters and buffers are judged by the budget of that very step.

A budget costs far more than a step, and that of one epoch does not depend on that of another. So
judges work in processes of their own, an epoch each, while the engines take the next steps. For the
same reason `steps` and `free_steps` are judged together where the engine under test has a second
process, in which it runs freely: then the states given are those of its own run, and one budget
serves both verdicts. Without it they are those that the reference reaches.
"""

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from parity.checks import words
from parity.checks.budget import Budget, BudgetedStep, StepBudget, step_budget
from parity.checks.gradients import Comparison, check_gradients, compare
from parity.checks.read_state import read_budget
from parity.checks.tally import Compared, Tally
from parity.checks.words import Document, wrong_of
from parity.engines.adapters.minigrad import MinigradEngine
from parity.engines.exchange import Exchange
from parity.engines.process import EngineProcess, LocalObject, of_each
from parity.engines.protocol import PREDICTION, Array, Start, Task
from parity.engines.trainer import Progress, Told, Trainer, ignore

VERDICT_OF = {"actual": "steps", "free": "free_steps"}
"""The sides that are held against "expected", and the verdict on each."""


class Judge:
    """Computes budgets; compares gradients, and the steps that engines left in an exchange."""

    def draw(self, task: Task) -> Start:
        """Return a start for engines that draw none."""
        return MinigradEngine().draw(task)

    def gradients(
        self, task: Task, start: Start, *calls: Sequence[Mapping[str, Array]]
    ) -> dict[str, Any]:
        """Return the verdict on the gradients at the start, of both engines at several calls.

        It is that on the first call, or on the first that fails.
        """
        budget = step_budget(task, start)
        found: dict[str, Any] = {}
        for actual, expected in calls:
            verdict = check_gradients(actual, expected, budget.gradients, budget.kinks)
            if not found or not verdict["passed"]:
                found = verdict
            if not found["passed"]:
                break
        return found

    def gradients_at_zero(
        self, task: Task, start: Start, actual: Mapping[str, Array], expected: Mapping[str, Array]
    ) -> dict[str, Any]:
        """Return the verdict at a start from `at_zero`; its `worst_at` says who is wrong."""
        budgets = step_budget(task, start).gradients
        found = check_gradients(actual, expected, budgets, 0)
        if not found["passed"]:
            own = {name: budget.value for name, budget in budgets.items()}
            right = (compare(side, own, budgets).passed for side in (actual, expected))
            found["worst_at"]["wrong"] = wrong_of(*right)
        return found

    def join(self, task: Task, start: Start, exchange: Exchange) -> None:
        """Prepare for `step`."""
        self._budget, self._exchange = BudgetedStep(task, start), exchange
        self._task, self._start, self._failed = task, start, False

    def step(
        self, slot: int, momentum_buffers: bool, told: Mapping[str, Told], number: int
    ) -> dict[str, Compared]:
        """Compare the steps in the rooms of a slot.

        Args:
            slot: whose rooms.
            number: which step of the task it is.
            momentum_buffers: whether they were given.
            told: by every side that took the step.

        Returns:
            how they compare, by the verdict that is on it.
        """
        given = self._room(slot, "given parameters")
        buffers = self._room(slot, "given buffers") if momentum_buffers else {}
        budget = self._budget(given, buffers, number)
        found = {
            verdict: self._compared(slot, side, told, budget)
            for side, verdict in VERDICT_OF.items()
            if side in told
        }
        free = found.get("free_steps", {})
        # Nothing more can be lost once a step has failed: it need not be seen how wrong others are.
        if not self._failed and not all(compared.passed for compared in free.values()):
            wider = read_budget(budget, self._task, self._start, given, buffers, number)
            found["free_steps"] = free = self._compared(slot, "free", told, wider)
            self._failed = not all(compared.passed for compared in free.values())
        return {verdict: (compared, budget.kinks) for verdict, compared in found.items()}

    def _compared(
        self, slot: int, side: str, told: Mapping[str, Told], budget: StepBudget
    ) -> dict[str, Comparison]:
        actual, expected = (
            {"loss": np.array(told[name][0], self._task.dtype)} for name in (side, "expected")
        )
        found = {"loss": compare(actual, expected, {"loss": budget.loss}, "loss")}
        ours, theirs = (told[name][1] for name in (side, "expected"))
        if ours is not None and theirs is not None:
            found[PREDICTION] = _predictions(ours, theirs, budget.prediction)
        of: dict[str, dict[str, Budget]] = {
            "gradients": budget.gradients,
            "updated": budget.parameters,
            "buffers": budget.momentum_buffers,
        }
        for kind in kinds(side, self._task):
            actual, expected = (self._room(slot, f"{name} {kind}") for name in (side, "expected"))
            found[kind] = compare(actual, expected, of[kind], kind)
        return found

    def _room(self, slot: int, name: str) -> dict[str, Array]:
        return self._exchange.room(f"{slot} {name}")

    def leave(self) -> None:
        """Release the exchange."""
        self._exchange.close()


def _predictions(ours: Array, theirs: Array, budget: Budget) -> Comparison:
    """Compare predictions; where they differ, the judge's own tells who is wrong."""

    def compared(actual: Array, expected: Array) -> Comparison:
        sides = ({PREDICTION: actual}, {PREDICTION: expected})
        return compare(*sides, {PREDICTION: budget}, PREDICTION)

    found = compared(ours, theirs)
    if not found.passed:
        right = (compared(side, budget.value).passed for side in (ours, theirs))
        found.worst_at["wrong"] = wrong_of(*right)
    return found


def kinds(side: str, task: Task) -> tuple[str, ...]:
    """Return what a side leaves of a step in the exchange."""
    gradients = () if side == "free" else ("gradients",)
    return (*gradients, "updated", *(("buffers",) if task.momentum else ()))


def check_steps(
    actual: EngineProcess[Trainer],
    expected: EngineProcess[Trainer],
    task: Task,
    start: Start,
    progress: Progress = ignore,
    momentum_buffers: Mapping[str, Array] | None = None,
    judges: Sequence[EngineProcess[Judge]] = (),
) -> dict[str, Any]:
    """Judge every epoch's step of two engines, from the states that the expected one reaches.

    Args, Raises:
        see `judge_steps`.

    Returns:
        the verdict. `worst_at` says in `of` what was worst: `loss`, `prediction`, `gradients`,
        `updated`, the parameters after the step, or `buffers`, those of the momentum;
        `first_failure` the same of the first epoch out of its budget, None if there is none.
    """
    sides = {"actual": actual, "expected": expected}
    return judge_steps(sides, task, start, progress, momentum_buffers, judges)["steps"]


def describe_steps(verdict: Document, architecture: Document, settings: Document) -> str:
    """Return how many steps were judged, and how much of their budgets the elements use."""
    return f"{words.steps(verdict, architecture)}; {words.budget(verdict)}"


def judge_steps(
    sides: Mapping[str, EngineProcess[Trainer]],
    task: Task,
    start: Start,
    progress: Progress = ignore,
    momentum_buffers: Mapping[str, Array] | None = None,
    judges: Sequence[EngineProcess[Judge]] = (),
) -> dict[str, dict[str, Any]]:
    """Judge every epoch's step.

    Args:
        sides: "expected", the process of the reference; "actual", one of the engine under test,
            which takes every step from the state that it is given; "free", one that runs freely.
            One of these two may be missing.
        task, start: what is trained, and from where.
        progress: called after each epoch.
        momentum_buffers: the state of the optimiser at the start; None if it is fresh.
        judges: what compares; without them this process does.

    Returns:
        the verdicts "steps", if there is an actual side, and "free_steps", if there is a free one.

    Raises:
        ValueError: an engine returned other tensors, shapes or dtypes than the parameters'.
    """
    judges = judges or [LocalObject(Judge())]
    buffers = dict(momentum_buffers or {})
    slots = len(judges) + 1  # the engines go ahead by one
    given = ("given parameters", *(("given buffers",) if task.momentum else ()))
    left = (f"{side} {kind}" for side in sides for kind in kinds(side, task))
    rooms = [f"{slot} {room}" for room in (*given, *left) for slot in range(slots)]
    shapes = {name: value.shape for name, value in start.parameters.items()}
    tallies = {verdict: Tally() for side, verdict in VERDICT_OF.items() if side in sides}
    with Exchange(shapes, task.dtype, rooms) as exchange:
        joining = [
            process.ask(Trainer.join, task, start, exchange, side, buffers)
            for side, process in sides.items()
        ]
        of_each(judges, Judge.join, task, start, exchange)
        for joined in joining:
            joined()
        _copy(start.parameters, exchange.room("0 given parameters"))
        if buffers:
            _copy(buffers, exchange.room("0 given buffers"))
        for epoch, found in enumerate(
            _compared(sides, judges, exchange, slots, task, start.step, bool(buffers))
        ):
            for verdict, compared in found.items():
                tallies[verdict].add(epoch, compared)
            progress(epoch + 1, task.steps - start.step)
        of_each(sides.values(), Trainer.leave)
        of_each(judges, Judge.leave)
    return {verdict: tally.entry() for verdict, tally in tallies.items()}


def _compared(
    sides: Mapping[str, EngineProcess[Trainer]],
    judges: Sequence[EngineProcess[Judge]],
    exchange: Exchange,
    slots: int,
    task: Task,
    first: int,
    buffers: bool,
) -> Iterator[dict[str, Compared]]:
    """Yield the comparisons of every epoch, from the state in slot 0; the judges take turns."""
    leading = "free" if "free" in sides else "expected"
    waiting: deque[Callable[[], dict[str, Compared]]] = deque()
    steps = task.steps - first
    for epoch in range(steps + len(judges)):
        slot, judge = epoch % slots, judges[epoch % len(judges)]
        if epoch < steps:
            asked = {
                side: process.ask(Trainer.free_step, slot, epoch == steps - 1)
                if side == "free"
                else process.ask(Trainer.forced_step, slot, buffers, first + epoch)
                for side, process in sides.items()
            }
            told = {side: answer() for side, answer in asked.items()}
        if epoch >= len(judges):
            yield waiting.popleft()()
        if epoch < steps:
            waiting.append(judge.ask(Judge.step, slot, buffers, told, first + epoch))
            after = (slot + 1) % slots
            for kind, room in (("updated", "parameters"), ("buffers", "buffers")):
                if kind in kinds(leading, task):
                    source = exchange.room(f"{slot} {leading} {kind}")
                    _copy(source, exchange.room(f"{after} given {room}"))
            buffers = bool(task.momentum)


def _copy(source: Mapping[str, Array], target: Mapping[str, Array]) -> None:
    for name, value in source.items():
        target[name][...] = value
