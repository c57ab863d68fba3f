"""The worst of all steps that were compared, and the first that failed."""

from typing import Any

from parity.checks.gradients import Comparison

Compared = tuple[dict[str, Comparison], int]
"""How two sides' tensors compare, by what they are, and how many kinks there were."""


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
