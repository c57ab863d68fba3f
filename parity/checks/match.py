"""`Match`: two engines at one task, and what several verdicts need of them."""

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from parity.checks.bitwise import check_bitwise, refusal
from parity.checks.gradients import at_zero
from parity.checks.state import state
from parity.checks.steps import VERDICT_OF, Judge, judge_steps
from parity.checks.trajectory import check_trajectory, perturbed_runs
from parity.engines.process import EngineProcess, LocalObject, of_each, together
from parity.engines.protocol import Array, Start, Task
from parity.engines.trainer import Run, Trainer

Entry = dict[str, Any]
"""What report.json holds of a verdict that was reached."""

Sides = tuple[EngineProcess[Trainer], EngineProcess[Trainer]]
"""The engine under test, and the one it is held against."""


@dataclass
class Match:
    """Two engines at one task. What several verdicts need is computed once, when it is asked for.

    Attributes:
        sides: the processes of the engine under test and of the one it is held against.
        task: what is trained.
        given: where both start; None for what they draw.
        momentum_buffers: the state of the optimiser at the start; empty if it is fresh.
        references: processes that train the reference from perturbed starts.
        judges: what computes budgets and compares; by default an object in this process.
        twins: the two engines in reproducible arithmetic; None if one of them has no twin.
        free: another process of the engine under test, which runs freely while the first is forced.
            Without it `steps` and `free_steps` are judged one after the other.
        progress: called as `progress(training or verdict, epochs done, epochs)`.
    """

    sides: Sides
    task: Task
    given: Start | None = None
    momentum_buffers: Mapping[str, Array] = field(default_factory=dict)
    references: Sequence[EngineProcess[Trainer]] = ()
    judges: Sequence[EngineProcess[Judge]] = field(default_factory=lambda: [LocalObject(Judge())])
    twins: Sides | None = None
    free: EngineProcess[Trainer] | None = None
    progress: Callable[[str, int, int], object] = lambda what, done, total: None
    _stepped: dict[str, Entry] = field(default_factory=dict, init=False)

    def report(self, what: str) -> Callable[[int, int], object]:
        """Return what reports the progress of training or of a verdict."""
        return functools.partial(self.progress, what)

    @cached_property
    def draws(self) -> tuple[Start | None, Start | None]:
        """What each engine draws; None of one that draws nothing."""
        actual, expected = of_each(self.sides, Trainer.draw, self.task)
        return actual, expected

    @cached_property
    def start(self) -> Start:
        """Where both start: what the reference drew, else the other, else what minigrad draws."""
        drawn = self.given or self.draws[1] or self.draws[0]
        return drawn or self.judges[0].call(Judge.draw, self.task)

    @cached_property
    def gradients(self) -> Entry:
        """The verdict on the gradients at the start; and with other data, and ReLUs of exactly 0.

        Those at the start are of an engine's first call, and of one that is no first call.
        """
        judge = self.judges[0]
        first = self._gradients(Trainer.loss_and_gradients, self.start)
        later = self._gradients(Trainer.later_loss_and_gradients, self.start)
        found = judge.call(Judge.gradients, self.task, self.start, first, later)
        if found["passed"] and self.task.problem is None:
            zero = at_zero(self.start)
            sides = self._gradients(Trainer.later_loss_and_gradients, zero)
            there = judge.call(Judge.gradients_at_zero, self.task, zero, *sides)
            if not there["passed"]:
                found = {**there, "kinks": found["kinks"], "at_zero": True}
        return found

    def _gradients(self, asked: Callable[..., Any], start: Start) -> list[dict[str, Array]]:
        return [gradients for _, gradients in of_each(self.sides, asked, self.task, start)]

    @cached_property
    def runs(self) -> tuple[Run, Run]:
        """What training leaves, on both engines at the same time."""
        report, done = self.report("training"), [0, 0]

        def seen(side: int, steps: int) -> None:
            done[side] = steps
            report(sum(done), 2 * (self.task.steps - self.start.step))

        streams = [process.stream(Trainer.train, self.task, self.start) for process in self.sides]
        actual, expected = together(streams, seen)
        return actual, expected

    @property
    def states(self) -> dict[str, str | None]:
        """How both runs ended; None if there are none yet."""
        if "runs" not in vars(self):
            return {"actual": None, "expected": None}
        actual, expected = self.runs
        return {
            "actual": state(actual, self.start, self.task),
            "expected": state(expected, self.start, self.task),
        }

    @cached_property
    def perturbed(self) -> list[Run]:
        """What training leaves on the reference from perturbed starts."""
        report = self.report("perturbed runs")
        return perturbed_runs(self.references, self.task, self.start, progress=report)

    @cached_property
    def trajectory(self) -> Entry:
        """The verdict on the runs' losses."""
        return check_trajectory(*self.runs, self.perturbed, self.task.dtype)

    def stepped(self, verdict: str) -> Entry:
        """Return the verdict `steps` or `free_steps`; with `free` they are reached together."""
        if verdict not in self._stepped:
            actual, expected = self.sides
            sides = {side: actual for side, of in VERDICT_OF.items() if of == verdict}
            if self.free is not None:
                sides = {"actual": actual, "free": self.free}
            report, buffers = self.report(verdict), self.momentum_buffers
            sides["expected"] = expected
            self._stepped |= judge_steps(sides, self.task, self.start, report, buffers, self.judges)
        return self._stepped[verdict]

    @cached_property
    def refusal(self) -> str | None:
        """Why the reproducible twins cannot take a step of the task; None if they can."""
        if self.twins is None or not self.task.options:
            return None
        for process in self.twins:
            refused = process.call(refusal, self.task, self.start)
            if refused is not None:
                return f"{process.name}: {refused}"
        return None

    @cached_property
    def bitwise(self) -> Entry | None:
        """The verdict on the reproducible twins; None without them."""
        if self.twins is None or self.refusal is not None:
            return None
        report, buffers = self.report("bitwise"), self.momentum_buffers
        return check_bitwise(*self.twins, self.task, self.start, report, buffers)
