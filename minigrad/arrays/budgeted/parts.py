"""What a budgeted array consists of, and what every call does with it.

See `minigrad.arrays.budgeted.array`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Any, NamedTuple

import numpy as np

from minigrad.arrays.budgeted.rounding import ROUNDED, constant, unit_roundoff


class Budgeted(NamedTuple):
    """An array as the calls see it.

    Attributes:
        value: the ndarray; a Python number stands for itself.
        variance: σ² of the rounding errors in units of u²; None for exact values.
        slack: an absolute bound on what kinks may change; None for nothing.
        shifts: for each kink, by its number, by how much the other choice would move the values.
        repeats: for products of matrices the axis along which the rows of data lie, -2 or -1, and
            how often an average one of them occurs. The errors of different rows are independent;
            those of equal rows are equal, and do not average out in sums over rows.
        terms: of a product of matrices, how many terms each element is the sum of; else 0. What is
            added to it may become one more of them.
    """

    value: Any
    variance: Any = None
    slack: Any = None
    shifts: dict[int, Any] = {}  # noqa: RUF012 - never changed in place
    repeats: tuple[int, float] | None = None
    terms: int = 0

    def map(self, function: Callable[[Any], Any]) -> Budgeted:
        """Apply a function that moves elements."""
        shape = self.value.shape
        variance, slack = (None if p is None else function(shaped(p, shape)) for p in self[1:3])
        shifts = {i: function(shaped(shift, shape)) for i, shift in self.shifts.items()}
        return Budgeted(function(self.value), variance, slack, shifts, self.repeats)

    @property
    def exact(self) -> bool:
        """Whether nothing may move the values."""
        return self.variance is None and self.slack is None and not self.shifts

    def copies(self, axis: int) -> float | None:
        """Return how often the same row occurs if rows lie along this axis, -2 or -1; else None."""
        return self.repeats[1] if self.repeats is not None and self.repeats[0] == axis else None

    def flipped(self) -> Budgeted:
        """Say that the two axes have been exchanged."""
        return (
            self
            if self.repeats is None
            else self._replace(repeats=(-3 - self.repeats[0], self.repeats[1]))
        )

    def squares(self) -> Any:
        """Return the squares of the values that rounding errors are in proportion to, float64.

        Where a kink may give another value, that one is rounded, too.
        """
        squares = np.square(self.value, dtype=np.float64)
        for shift in self.shifts.values():
            squares += np.square(shift)
        return squares

    def total_slack(self) -> Any:
        """Return the absolute bound on what all kinks together may change, 0 for nothing."""
        return sum(map(np.abs, self.shifts.values()), 0.0 if self.slack is None else self.slack)


def shaped(part: Any, shape: tuple[int, ...]) -> Any:
    """Broadcast where that is needed."""
    return part if part.shape == shape else np.broadcast_to(part, shape)


def operand(x: Any, dtype: Any) -> Budgeted:
    """Return what stands in a call beside arrays of `dtype`."""
    if isinstance(x, float) and not isinstance(x, np.generic):
        inexact = constant(x, dtype)
        return Budgeted(x, np.asarray(inexact) if inexact else None)
    return Budgeted(x)


def converted(x: Budgeted, dtype: Any) -> Budgeted:
    """Convert to another dtype: the unit of the variance changes, and narrowing rounds.

    Raises:
        TypeError: the values are inexact, and the dtype is none of floating point.
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


def all_moved(
    inputs: Sequence[Budgeted], through: Callable[[int, Any, bool], Any]
) -> tuple[Any, dict[int, Any]]:
    """Return slack and shifts of a result.

    `through(i, part, absolute)` is how the result changes, to first order, when input i changes by
    `part`; with `absolute` through the absolute values of what it is multiplied by.
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


def concatenated(xs: Sequence[Budgeted], axis: int = 0) -> Budgeted:
    """Join along an axis."""
    value = np.concatenate([x.value for x in xs], axis=axis)
    xs = [in_units_of(x, value.dtype) if value.dtype.kind == "f" else x for x in xs]

    def joined(parts: Sequence[Any]) -> Any:
        pairs = zip(parts, xs, strict=True)
        filled = [
            np.zeros(x.value.shape) if p is None else shaped(p, x.value.shape) for p, x in pairs
        ]
        return np.concatenate(filled, axis=axis)

    variances, slacks = [x.variance for x in xs], [x.slack for x in xs]
    numbers = {number for x in xs for number in x.shifts}
    return Budgeted(
        value,
        None if all(p is None for p in variances) else joined(variances),
        None if all(p is None for p in slacks) else joined(slacks),
        {number: joined([x.shifts.get(number) for x in xs]) for number in numbers},
    )
