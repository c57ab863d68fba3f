"""A tensor that both engines computed, and how far each of them is from what it should be."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from parity.checks.bits import same, ulp_distance
from parity.checks.budget import Budget
from parity.checks.gradients import Comparison, compare, shares, tolerance
from parity.checks.words import wrong_of
from parity.engines.protocol import Array

Key = tuple[str, str, str]
"""Phase, node and tensor, as in `Traced`."""


@dataclass(frozen=True)
class Distance:
    """How far a tensor of one engine is from what minigrad's rule makes of the engine's own inputs.

    Attributes:
        due: the values that the rule gives.
        allowed: by how much each element may differ from that, float64.
        used: the share of it that is used, inf for what is not finite and should be, or the
            reverse; 0 where nothing is judged, beside an overflow.
        found: how they compare.
    """

    due: Array
    allowed: Array
    used: Array
    found: Comparison

    def factor(self, value: Array) -> float | None:
        """Return the factor that the engine's values are multiplied by; None if it is not that."""
        with np.errstate(all="ignore"):
            due, weights = self.due.astype(np.float64), 1 / self.allowed**2
            factor = float((weights * due * value).sum() / (weights * due * due).sum())
            if not math.isfinite(factor) or abs(factor - 1) < 1e-12 or not due.any():
                return None
            explained = np.abs(value - factor * due) <= max(1.0, abs(factor)) * self.allowed
        return factor if explained.all() else None


Sides = tuple[Distance, Distance]
"""Of the engine under test, and of the one it is held against."""


@dataclass(frozen=True)
class Tensor:
    """A tensor of both engines.

    Attributes:
        key: which one it is.
        operation: the node's kind.
        values: of the engine under test, and of the one it is held against; None if it has none.
        problem: why they are not compared element by element; None if they are.
        sides: how far both are from the rule; None if bits are compared, or there is a problem.
        apart: of each element the share of the budget that the worse engine uses, or 0 and 1 for
            whether bits differ; None if there is a problem.
        passed: whether it is within its budget, or the same in every bit; None if that is not
            judged, since what it is computed from could not be compared.
        exact: how far both are from what the exact witness makes of their inputs; None if they
            agree anyway, or there is no witness.
    """

    key: Key
    operation: str
    values: tuple[Array | None, Array | None]
    problem: str | None
    sides: Sides | None
    apart: Array | None
    passed: bool | None
    exact: Sides | None = None

    @property
    def wrong(self) -> str | None:
        """Who is out of the exact witness's budget, as in `wrong_of`; None without a witness."""
        return None if self.exact is None else wrong_of(*(s.found.passed for s in self.exact))

    @property
    def both(self) -> tuple[Array, Array]:
        """The values, where there is no problem."""
        actual, expected = self.values
        assert actual is not None
        assert expected is not None
        return actual, expected

    @property
    def present(self) -> list[Array]:
        """The values of the engines that have it."""
        return [value for value in self.values if value is not None]

    @property
    def worst(self) -> int:
        """The flat index of the element that is furthest apart: with bits, the first that is."""
        return 0 if self.apart is None or not self.apart.size else int(self.apart.argmax())

    @property
    def aggregate(self) -> float:
        """The share of its budget that the tensor as a whole uses."""
        return max((side.found.aggregate_used for side in self.sides or ()), default=0.0)

    @property
    def difference(self) -> Array:
        """Actual less expected, float64; 0 where both are the same NaN or infinity."""
        actual, expected = self.both
        with np.errstate(all="ignore"):
            difference = np.subtract(actual, expected, dtype=np.float64)
        result: Array = np.where(same(actual, expected), 0.0, difference)
        return result

    @property
    def ulps(self) -> Array:
        """How many floating point numbers lie between the elements."""
        return ulp_distance(*self.both).reshape(self.both[1].shape)


def distance(actual: Array, budget: Budget) -> Distance:
    """Compare an engine's tensor with its rule's value, element by element as `compare` does."""
    found = compare({"": actual}, {"": budget.value}, {"": budget})
    due, allowed = budget.value, tolerance(budget)
    with np.errstate(all="ignore"):
        difference = np.subtract(actual, due, dtype=np.float64)
        used = shares(difference, allowed, budget, actual, due)
    return Distance(due, allowed, used, found)
