"""`Budgeted`: values, and what may move them. Every call takes and returns these.

The functions here move values about or convert them, and create no rounding error but that of
a conversion to fewer bits.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Any, NamedTuple

import numpy as np

ROUNDED = 1 / 3
"""The variance of the relative error of a correctly rounded result, in u².

IEEE 754 rounds + − × ÷ √ and conversions correctly: the error is uniform within half a unit in the
last place, which is at most u·|v|, so its variance is at most v²/3.
"""


class Budgeted(NamedTuple):
    """An array as the calls see it.

    Attributes:
        value: the ndarray; a Python number stands for itself.
        variance: σ² of the rounding errors in units of u²; None for exact values.
        slack: an absolute bound on what kinks may change; None for nothing.
        shifts: for each kink, by its number, by how much the other choice would move the values.
        repeats: for matrix products, the axis along which the rows of data lie, -2 or -1, and how
            often a row occurs on average. The errors of different rows are independent. Those of
            equal rows are equal, and do not average out in sums over rows.
        terms: for a matrix product, how many terms each element is the sum of; else 0. What is
            added to the product may become one more term.
        away: where the slack is infinite, as a sum may overflow, and the value is on the side of 0
            where it is for certain; None for nowhere.
    """

    value: Any
    variance: Any = None
    slack: Any = None
    shifts: dict[int, Any] = {}  # noqa: RUF012 - never changed in place
    repeats: tuple[int, float] | None = None
    terms: int = 0
    away: Any = None

    def map(self, function: Callable[[Any], Any]) -> Budgeted:
        """Apply a function that moves elements."""
        shape = self.value.shape
        variance, slack = (
            None if part is None else function(shaped(part, shape))
            for part in (self.variance, self.slack)
        )
        shifts = {i: function(shaped(shift, shape)) for i, shift in self.shifts.items()}
        return Budgeted(function(self.value), variance, slack, shifts, self.repeats)

    @property
    def mT(self) -> Budgeted:
        """The matrix with its axes exchanged."""
        moved = self.map(lambda part: part.mT)
        if self.repeats is None:
            return moved
        axis, count = self.repeats
        return moved._replace(repeats=(-3 - axis, count))

    @property
    def exact(self) -> bool:
        """Whether nothing may move the values."""
        return self.variance is None and self.slack is None and not self.shifts

    def copies(self, axis: int) -> float | None:
        """Return how often the same row occurs if rows lie along this axis, -2 or -1; else None."""
        return self.repeats[1] if self.repeats is not None and self.repeats[0] == axis else None

    def squares(self) -> Any:
        """Return the squares of the values, float64: rounding errors are in proportion to them.

        Where a kink may give another value, that value is rounded, too.
        """
        squares = np.square(self.value, dtype=np.float64)
        for shift in self.shifts.values():
            squares += np.square(shift)
        return squares

    def total_slack(self) -> Any:
        """Return the absolute bound on what all kinks together may change, 0 for nothing."""
        return sum(map(np.abs, self.shifts.values()), 0.0 if self.slack is None else self.slack)


def unit_roundoff(dtype: Any) -> float:
    """Return u, half the distance from 1 to the next number; 0 for integers and bools."""
    return float(np.finfo(dtype).eps) / 2 if dtype.kind == "f" else 0.0


def shaped(part: Any, shape: tuple[int, ...]) -> Any:
    """Broadcast if necessary."""
    return part if part.shape == shape else np.broadcast_to(part, shape)


def operand(x: Any, dtype: Any) -> Budgeted:
    """Return an operand that is not budgeted, beside arrays of `dtype`.

    It is exact, except for a Python number that the dtype does not have. Where the number stands
    in a formula decides whether it is rounded before it is used or kept in double precision, and
    correct engines differ there.
    """
    if isinstance(x, float) and not isinstance(x, np.generic):
        has_it = dtype.kind != "f" or not math.isfinite(x) or float(dtype.type(x)) == x
        if not has_it:
            return Budgeted(x, np.asarray(ROUNDED * x**2))
    return Budgeted(x)


def converted(x: Budgeted, dtype: Any) -> Budgeted:
    """Convert to another dtype: the unit of the variance changes, and narrowing rounds.

    Raises:
        TypeError: the values are inexact, and the dtype is not a floating-point one.
    """
    dtype = np.dtype(dtype)
    value = np.astype(np.asarray(x.value), dtype)
    if dtype.kind != "f":
        if not x.exact and dtype != x.value.dtype:
            raise TypeError(
                f"astype: inexact values cannot become {dtype}, which is a jump at every step: "
                "compare them instead"
            )
        return x._replace(value=value)
    narrowed = getattr(x.value, "itemsize", 0) > dtype.itemsize
    x = in_units_of(x, dtype)
    variance = x.variance
    if narrowed:
        rounding = np.square(value, dtype=np.float64) * ROUNDED
        variance = rounding if variance is None else np.add(variance, rounding)
    return x._replace(value=value, variance=variance)


def in_units_of(x: Budgeted, dtype: Any) -> Budgeted:
    """Return x with the variance in units of another dtype's roundoff."""
    if x.variance is None or isinstance(x.value, float) or x.value.dtype == dtype:
        return x
    ratio = (unit_roundoff(x.value.dtype) / unit_roundoff(dtype)) ** 2
    return x._replace(variance=np.multiply(x.variance, ratio))


def most_repeats(*inputs: Budgeted) -> tuple[int, float] | None:
    """Return the repeats of a result: those of the input with the most."""
    found = [x.repeats for x in inputs if x.repeats is not None]
    return max(found, key=itemgetter(1), default=None)


def slack_and_shifts(
    inputs: Sequence[Budgeted], through: Callable[[int, Any, bool], Any]
) -> tuple[Any, dict[int, Any]]:
    """Return the slack and the shifts of a result.

    Args:
        inputs: of the call.
        through: `through(i, part, absolute)` returns how the result changes, to first order, when
            input i changes by `part`. With `absolute` it takes the absolute values of what `part`
            is multiplied by.
    """
    slack: Any = None
    shifts: dict[int, Any] = {}
    for i, x in enumerate(inputs):
        if x.slack is not None:
            part = through(i, x.slack, True)
            slack = part if slack is None else np.add(slack, part)
        for number, shift in x.shifts.items():
            part = through(i, shift, False)
            shifts[number] = np.add(shifts[number], part) if number in shifts else part
    return slack, shifts


def certain_nans(x: Budgeted) -> Any:
    """Return where x is NaN in every correct engine."""
    return np.isnan(x.value) & np.equal(x.total_slack(), 0)


def without_certain(
    slack: Any, shifts: dict[int, Any], certain: Callable[[], Any]
) -> tuple[Any, dict[int, Any]]:
    """Return slack and shifts with 0 where the result is certainly NaN.

    What has a NaN among its inputs is NaN, whatever became of the others; but an infinite slack of
    these, times NaN, would make it look as if it were in doubt. `certain` returns where that is.
    """
    parts = [part for part in (slack, *shifts.values()) if part is not None]
    if all(math.isfinite(np.sum(part)) for part in parts) or not (mask := certain()).any():
        return slack, shifts
    cleared = {number: np.where(mask, 0.0, shift) for number, shift in shifts.items()}
    return None if slack is None else np.where(mask, 0.0, slack), cleared


def concatenated(xs: Sequence[Budgeted], axis: int = 0) -> Budgeted:
    """Join along an axis."""
    value = np.concatenate([x.value for x in xs], axis=axis)
    xs = [in_units_of(x, value.dtype) if value.dtype.kind == "f" else x for x in xs]

    def joined(parts: Sequence[Any]) -> Any:
        if all(part is None for part in parts):
            return None
        pairs = zip(parts, xs, strict=True)
        filled = [
            np.zeros(x.value.shape) if p is None else shaped(p, x.value.shape) for p, x in pairs
        ]
        return np.concatenate(filled, axis=axis)

    numbers = {number for x in xs for number in x.shifts}
    return Budgeted(
        value,
        joined([x.variance for x in xs]),
        joined([x.slack for x in xs]),
        {number: joined([x.shifts.get(number) for x in xs]) for number in numbers},
    )
