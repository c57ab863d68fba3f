"""The verdicts: the one table of them.

A verdict to come is a file beside this one, with its check and its words, and a row here.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from parity.checks.accuracy import check_accuracy, describe_accuracy, numbers_lacking
from parity.checks.bitwise import describe_bitwise
from parity.checks.final_mse import check_final_mse, describe_final_mse
from parity.checks.free_steps import describe_free_steps
from parity.checks.gradients import describe_gradients
from parity.checks.locate import NotTracedError, first_node, state_at, traced
from parity.checks.match import Entry, Match
from parity.checks.start import ULPS, check_start, describe_start
from parity.checks.steps import describe_steps
from parity.checks.trajectory import describe_trajectory
from parity.checks.words import Document
from parity.checks.wrong import wrong_in_step
from parity.engines.protocol import PREDICTION
from parity.engines.registry import reproducible


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


def located(match: Match, verdict: "Verdict", entry: Mapping[str, Any]) -> Entry:
    """Return where the engines part in the step at which a verdict failed, and who is wrong.

    Returns:
        `first_node`, and `wrong`, "actual", "expected" or "both"; None of what cannot be told.
    """
    epoch = verdict.failing_epoch(entry) if verdict.has_first_node else None
    if epoch is None:
        return {"first_node": None, "wrong": None}
    place = entry.get("first_failure") or entry.get("worst_at") or {}
    sides = match.twins if verdict.bits and match.twins else match.sides
    leading = sides[0] if verdict.free else sides[1]
    predicted = place.get("of") == PREDICTION
    state: tuple[Any, ...] | None = None
    try:
        if predicted:  # of all samples, while a step may be on some
            state = state_at(leading, match.task, match.start, match.momentum_buffers, epoch)
            task = replace(match.task, batch_size=None)
            traces = traced(*sides, task, replace(state[0], step=0), state[1])
        elif "wrong" not in place:
            traces = traced(
                *sides, match.task, match.start, match.momentum_buffers, epoch, free=verdict.free
            )
        if (predicted or "wrong" not in place) and (node := first_node(traces, bits=verdict.bits)):
            return {"first_node": node, "wrong": node["wrong"]}
    except NotTracedError:
        pass
    if "wrong" in place:  # the judge's own value told
        return {"first_node": None, "wrong": place["wrong"]}
    state = state or state_at(leading, match.task, match.start, match.momentum_buffers, epoch)
    wrong = wrong_in_step(*sides, match.task, *state)
    if wrong == "neither":  # a free step that is wrong only where the engine came by itself
        wrong = "actual" if verdict.free else None
    return {"first_node": None, "wrong": wrong}


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
    if actual is None or expected is None:
        return None
    return check_start(actual, expected, ULPS if match.task.problem else 0.0)


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
