"""The verdicts: the one table of them.

A verdict to come is a file beside this one, with its check and its words, and a row here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from parity.checks.bitwise import describe_bitwise
from parity.checks.final_mse import check_final_mse, describe_final_mse
from parity.checks.gradients import describe_gradients
from parity.checks.match import Entry, Match
from parity.checks.start import check_start, describe_start
from parity.checks.steps import check_steps, describe_steps
from parity.checks.trajectory import describe_trajectory
from parity.checks.words import Document
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
        lacking: returns the names of the engines with which it cannot be reached.
        reason: why it cannot be reached with them, in front of their names.
    """

    name: str
    label: str
    turn: int
    of: Literal["draw", "first step", "every step", "whole run"]
    check: Callable[[Match], Entry | None]
    describe: Callable[[Document, Document, Document], str]
    bits: bool = False
    lacking: Callable[[Match], list[str]] = lambda match: []
    reason: str = ""

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

    def not_reached(self, match: Match) -> str | None:
        """Return why it cannot be reached, None if it can."""
        names = self.lacking(match)
        return f"{self.reason} {' and '.join(names)}" if names else None

    def failing_epoch(self, entry: Mapping[str, Any]) -> int | None:
        """Return the epoch at which a verdict failed; None if it passed, or does not say."""
        if entry["passed"] is not False:
            return None
        if self.of == "first step":
            return 0
        places = (entry.get(name) for name in ("first_failure", "first_difference", "worst_at"))
        found: int | None = next((p["epoch"] for p in places if p), None)
        return found


def _draws_nothing(match: Match) -> list[str]:
    pairs = zip(match.sides, match.draws, strict=True)
    return [process.name for process, drawn in pairs if drawn is None]


def _has_no_twin(match: Match) -> list[str]:
    return [p.name for p in match.sides if not match.twins and reproducible(p.name) is None]


def _start(match: Match) -> Entry | None:
    actual, expected = match.draws
    return check_start(actual, expected) if actual and expected else None


def _steps(match: Match) -> Entry:
    return check_steps(
        *match.sides,
        match.task,
        match.start,
        match.report("steps"),
        match.momentum_buffers,
        match.judges,
    )


def _final_mse(match: Match) -> Entry:
    actual, expected = match.runs
    return check_final_mse(actual.final_mse, expected.final_mse, match.trajectory, match.bitwise)


ROWS = (
    Verdict(
        "start", "start", 0, "draw", _start, describe_start,
        lacking=_draws_nothing, reason="nothing is drawn by",
    ),
    Verdict("gradients", "gradients", 1, "first step", lambda m: m.gradients, describe_gradients),
    Verdict("steps", "steps", 3, "every step", _steps, describe_steps),
    Verdict(
        "trajectory", "trajectory", 2, "whole run", lambda m: m.trajectory, describe_trajectory,
    ),
    Verdict(
        "bitwise", "bitwise", 4, "every step", lambda m: m.bitwise, describe_bitwise,
        bits=True, lacking=_has_no_twin, reason="no twin in reproducible arithmetic for",
    ),
    Verdict("final_mse", "final MSE", 5, "whole run", _final_mse, describe_final_mse),
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
