"""The verdicts: the one table of them, and `Match`, what they are reached on.

A verdict to come is a file beside this one, with its check and its words, and a row here.
"""

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

from parity.checks.accuracy import check_accuracy, describe_accuracy, numbers_lacking
from parity.checks.bitwise import check_bitwise, describe_bitwise, refusal
from parity.checks.final_mse import check_final_mse, describe_final_mse
from parity.checks.free_steps import describe_free_steps
from parity.checks.gradients import at_zero, describe_gradients
from parity.checks.locate import NotTracedError, first_node, state_at, traced
from parity.checks.start import check_start, describe_start
from parity.checks.state import state
from parity.checks.steps import VERDICT_OF, Judge, describe_steps, judge_steps
from parity.checks.trajectory import check_trajectory, describe_trajectory, perturbed_runs
from parity.checks.words import Document
from parity.checks.wrong import wrong_in_step
from parity.engines.process import EngineProcess, LocalObject, together
from parity.engines.protocol import Array, Start, Task
from parity.engines.registry import reproducible
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
        progress: called as `progress(engine or verdict, epochs done, epochs)`.
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
        return [p.call(asked, self.task, start)[1] for p in self.sides]

    @cached_property
    def runs(self) -> tuple[Run, Run]:
        """What training leaves, on both engines at the same time."""
        reports = [self.report(process.name) for process in self.sides]
        steps = self.task.steps - self.start.step
        for report in reports:
            report(0, steps)
        streams = [process.stream(Trainer.train, self.task, self.start) for process in self.sides]
        actual, expected = together(streams, lambda side, done: reports[side](done, steps))
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
        report = self.report(f"{self.sides[1].name} perturbed")
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

    def located(self, verdict: "Verdict", entry: Mapping[str, Any]) -> Entry:
        """Return where the engines part in the step at which a verdict failed, and who is wrong.

        Returns:
            `first_node`, and `wrong`, "actual", "expected" or "both"; None of what cannot be told.
        """
        epoch = verdict.failing_epoch(entry) if verdict.has_first_node else None
        if epoch is None:
            return {"first_node": None, "wrong": None}
        place = entry.get("first_failure") or entry.get("worst_at") or {}
        if "wrong" in place:  # the judge's own value told
            return {"first_node": None, "wrong": place["wrong"]}
        sides = self.twins if verdict.bits and self.twins else self.sides
        try:
            traces = traced(
                *sides, self.task, self.start, self.momentum_buffers, epoch, free=verdict.free
            )
            if node := first_node(traces, bits=verdict.bits):
                return {"first_node": node, "wrong": node["wrong"]}
        except NotTracedError:
            pass
        leading = sides[0] if verdict.free else sides[1]
        state = state_at(leading, self.task, self.start, self.momentum_buffers, epoch)
        wrong = wrong_in_step(*sides, self.task, *state)
        if wrong == "neither":  # a free step that is wrong only where the engine came by itself
            wrong = "actual" if verdict.free else None
        return {"first_node": None, "wrong": wrong}


@dataclass(frozen=True)
class Verdict:
    """A row of the table.

    Attributes:
        name: in report.json.
        label: for people.
        turn: when a run reaches it, the lowest first; the table has the order of the report.
        of: what it is on: what is drawn from a seed, the first step, every step or a whole run.
        check: returns the verdict, None if it cannot be reached with these engines.
        describe: called as `describe(verdict, architecture, settings)`, parts of report.json;
            returns what was seen, in words.
        bits: whether it is of the reproducible twins, and every bit counts.
        free: whether it is on the run of the engine under test, and not on steps from given states.
        not_reached: returns why it cannot be reached, None if it can.
    """

    name: str
    label: str
    turn: int
    of: Literal["draw", "first step", "every step", "whole run"]
    check: Callable[[Match], Entry | None]
    describe: Callable[[Document, Document, Document], str]
    bits: bool = False
    free: bool = False
    not_reached: Callable[[Match], str | None] = lambda match: None

    @property
    def drawn(self) -> bool:
        """Whether it is drawn from the seed whenever it is judged, so that a case has no arrays."""
        return self.of == "draw"

    @property
    def resumes(self) -> bool:
        """Whether it may be judged from the middle of a run, with a state of the optimiser."""
        return self.of == "every step"

    @property
    def has_first_node(self) -> bool:
        """Whether it fails in a single step, so that the first node apart can be located."""
        return self.of in ("first step", "every step")

    def failing_epoch(self, entry: Mapping[str, Any]) -> int | None:
        """Return the epoch at which a verdict failed; None if it passed, or does not say."""
        if entry["passed"] is not False:
            return None
        if self.of == "first step":
            return 0
        places = (entry.get(name) for name in ("first_failure", "first_difference", "worst_at"))
        found: int | None = next((p["epoch"] for p in places if p), None)
        return found


def _draws_nothing(match: Match) -> str | None:
    pairs = zip(match.sides, match.draws, strict=True)
    names = [process.name for process, drawn in pairs if drawn is None]
    return f"nothing is drawn by {' and '.join(names)}" if names else None


def _has_no_twin(match: Match) -> str | None:
    names = [p.name for p in match.sides if not match.twins and reproducible(p.name) is None]
    if names:
        return f"no twin in reproducible arithmetic for {' and '.join(names)}"
    return match.refusal


def _has_no_numbers(match: Match) -> str | None:
    dtype = numbers_lacking(match.task)
    return f"no numbers beyond {dtype}" if dtype else None


def _start(match: Match) -> Entry | None:
    actual, expected = match.draws
    return check_start(actual, expected, match.task) if actual and expected else None


def _final_mse(match: Match) -> Entry:
    actual, expected = match.runs
    return check_final_mse(actual.final_mse, expected.final_mse, match.trajectory, match.bitwise)


ROWS = (
    Verdict("start", "start", 0, "draw", _start, describe_start,
            not_reached=_draws_nothing),
    Verdict("gradients", "gradients", 1, "first step", lambda m: m.gradients, describe_gradients),
    Verdict("steps", "steps", 3, "every step", lambda m: m.stepped("steps"), describe_steps),
    Verdict(
        "free_steps", "free steps", 4, "every step", lambda m: m.stepped("free_steps"),
        describe_free_steps, free=True,
    ),
    Verdict(
        "accuracy", "accuracy", 7, "whole run", lambda m: check_accuracy(
            *m.sides, m.task, m.start, m.runs[1].parameters, m.report("accuracy"), m.judges
        ), describe_accuracy, not_reached=_has_no_numbers,
    ),
    Verdict(
        "trajectory", "trajectory", 2, "whole run", lambda m: m.trajectory, describe_trajectory,
    ),
    Verdict(
        "bitwise", "bitwise", 5, "every step", lambda m: m.bitwise, describe_bitwise,
        bits=True, not_reached=_has_no_twin,
    ),
    Verdict("final_mse", "final MSE", 6, "whole run", _final_mse, describe_final_mse),
)  # fmt: skip

VERDICTS = {verdict.name: verdict for verdict in ROWS}
"""The verdicts on a network by their names, in the order of the report."""


def passed(entry: Mapping[str, Any]) -> bool:
    """Return whether every verdict that was reached passed, and at least one was reached.

    Args:
        entry: of a network, in the report.
    """
    reached = [entry[name]["passed"] for name in VERDICTS if entry[name] is not None]
    reached = [verdict for verdict in reached if verdict is not None]
    return bool(reached) and all(reached)


def not_reached(**others: Entry) -> dict[str, Entry | None]:
    """Return a part of a report's entry in which no verdict is reached, but for those given."""
    return {**dict.fromkeys(VERDICTS), **others}
