"""`Match`: two engines at one task, and what the verdicts ask of them."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from parity.checks.bitwise import check_bitwise
from parity.checks.locate import locate
from parity.checks.state import state
from parity.checks.steps import Judge
from parity.checks.trajectory import check_trajectory, perturbed_runs
from parity.engines.process import EngineProcess, LocalObject, together
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
        progress: called as `progress(engine or verdict, epochs done, epochs)`.
    """

    sides: Sides
    task: Task
    given: Start | None = None
    momentum_buffers: Mapping[str, Array] = field(default_factory=dict)
    references: Sequence[EngineProcess[Trainer]] = ()
    judges: Sequence[EngineProcess[Judge]] = field(default_factory=lambda: [LocalObject(Judge())])
    twins: Sides | None = None
    progress: Callable[[str, int, int], object] = lambda what, done, total: None

    def report(self, what: str) -> Callable[[int, int], object]:
        """Return what reports the progress of an engine or a verdict."""
        return functools.partial(self.progress, what)

    @cached_property
    def draws(self) -> tuple[Start | None, Start | None]:
        """What each engine draws; None of one that draws nothing."""
        actual, expected = (process.call(Trainer.draw, self.task) for process in self.sides)
        return actual, expected

    @cached_property
    def start(self) -> Start:
        """Where both start: what the reference drew, else the other, else what minigrad draws."""
        drawn = self.given or self.draws[1] or self.draws[0]
        return drawn or self.judges[0].call(Judge.draw, self.task)

    @cached_property
    def gradients(self) -> Entry:
        """The verdict on the gradients at the start."""
        actual, expected = (
            process.call(Trainer.loss_and_gradients, self.task, self.start)[1]
            for process in self.sides
        )
        return self.judges[0].call(Judge.gradients, self.task, self.start, actual, expected)

    @cached_property
    def runs(self) -> tuple[Run, Run]:
        """What training leaves, on both engines at the same time."""
        reports = [self.report(process.name) for process in self.sides]
        for report in reports:
            report(0, self.task.epochs)
        streams = [process.stream(Trainer.train, self.task, self.start) for process in self.sides]
        actual, expected = together(
            streams, lambda side, done: reports[side](done, self.task.epochs)
        )
        return actual, expected

    @property
    def states(self) -> dict[str, str | None]:
        """How both runs ended; None if there are none yet."""
        if "runs" not in vars(self):
            return {"actual": None, "expected": None}
        actual, expected = self.runs
        return {"actual": state(actual, self.start), "expected": state(expected, self.start)}

    @cached_property
    def perturbed(self) -> list[Run]:
        """What training leaves on the reference from perturbed starts."""
        report = self.report(f"{self.sides[1].name} perturbed")
        return perturbed_runs(self.references, self.task, self.start, progress=report)

    @cached_property
    def trajectory(self) -> Entry:
        """The verdict on the runs' losses."""
        return check_trajectory(*self.runs, self.perturbed, self.task.dtype)

    @cached_property
    def bitwise(self) -> Entry | None:
        """The verdict on the reproducible twins; None without them."""
        if self.twins is None:
            return None
        report, buffers = self.report("bitwise"), self.momentum_buffers
        return check_bitwise(*self.twins, self.task, self.start, report, buffers)

    def first_node(self, epoch: int, *, bits: bool) -> dict[str, Any] | None:
        """Return the first node of an epoch's step at which the engines part; see `locate`.

        Args:
            epoch: counted from the start, from 0.
            bits: whether every bit of the reproducible twins counts.
        """
        sides = self.twins if bits and self.twins else self.sides
        start, buffers = self.start, self.momentum_buffers
        if epoch:
            parameters, buffers = sides[1].call(
                Trainer.state_before, self.task, start, epoch, buffers
            )
            start = replace(start, parameters=parameters)
        return locate(*sides, self.task, start, buffers, bits=bits)
