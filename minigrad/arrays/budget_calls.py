"""What each call of the vocabulary does to values and to what may move them.

Called by `BudgetedArray`, which says what these are; how rounding errors arise and pass on is
derived in `minigrad.arrays.rounding`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Any, NamedTuple

import numpy as np

from minigrad.arrays import kinks
from minigrad.arrays.rounding import (
    SMOOTH,
    constant,
    copies,
    path_of_product,
    path_of_sum,
    propagated,
    summed,
    unit_roundoff,
    wandering,
)

COMPARISONS = frozenset(
    {np.equal, np.not_equal, np.less, np.less_equal, np.greater, np.greater_equal}
)


class Budgeted(NamedTuple):
    """An array as the calls see it.

    Attributes:
        value: the ndarray; a Python number stands for itself.
        variance: σ² of the rounding errors in units of u²; None for exact values.
        slack: an absolute bound on what kinks may change; None for nothing.
        shifts: for each kink, by its number, by how much the other choice would move the values.
        repeats: how many rows of data there are, and how often an average one of them occurs. The
            errors of equal rows are equal, and do not average out in sums over rows.
    """

    value: Any
    variance: Any = None
    slack: Any = None
    shifts: dict[int, Any] = {}
    repeats: tuple[int, float] | None = None

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

    def copies(self, terms: int) -> float:
        """Return how often the errors in a sum of so many terms are the same."""
        return self.repeats[1] if self.repeats is not None and self.repeats[0] == terms else 1.0

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
    x = _in_units_of(x, dtype)
    variance = x.variance
    if narrowed:
        rounding = np.square(value, dtype=np.float64) * SMOOTH[np.add].own
        variance = rounding if variance is None else np.add(variance, rounding)
    return x._replace(value=value, variance=variance)


def _in_units_of(x: Budgeted, dtype: Any) -> Budgeted:
    """Return x with the variance in units of another dtype's roundoff."""
    if x.variance is None or isinstance(x.value, float) or x.value.dtype == dtype:
        return x
    ratio = (unit_roundoff(x.value.dtype) / unit_roundoff(dtype)) ** 2
    return x._replace(variance=np.multiply(x.variance, ratio))


def _repeats(*inputs: Budgeted) -> tuple[int, float] | None:
    """Return the repeats of a result: those of the input with the most."""
    found = [x.repeats for x in inputs if x.repeats is not None]
    return max(found, key=itemgetter(1), default=None)


def _moved(
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


# ---- element by element ---------------------------------------------------------------------


def elementwise(ufunc: np.ufunc, *inputs: Budgeted) -> Budgeted:
    """Return the result of a ufunc of the vocabulary."""
    if ufunc is np.matmul:
        return matmul(*inputs)
    value = ufunc(*(x.value for x in inputs))
    if ufunc in COMPARISONS:
        return Budgeted(value, slack=_doubt(ufunc, *inputs))
    if ufunc is np.logical_and:
        return Budgeted(value, slack=_doubt_of_both(*inputs))
    if ufunc is np.sign:
        return Budgeted(value, slack=_sign_slack(value, *inputs))
    if value.dtype.kind == "f":
        inputs = tuple(_in_units_of(x, value.dtype) for x in inputs)
    if ufunc in (np.maximum, np.minimum):
        return _either(value, *inputs)
    return _smooth(ufunc, value, inputs)


def _smooth(ufunc: np.ufunc, value: Any, inputs: Sequence[Budgeted]) -> Budgeted:
    """Differentiate: σ² = Σ(f'ᵢ·σᵢ)² and the variance of the rounding of the result."""
    slopes, own = SMOOTH[ufunc]
    found: list[Any] = [None] * len(inputs)
    if not all(x.exact for x in inputs) and any(slopes):
        values = [np.asarray(v, np.float64) for v in (value, *(x.value for x in inputs))]
        for i, (slope, x) in enumerate(zip(slopes, inputs, strict=True)):
            if slope is not None and not x.exact:
                found[i] = slope(*values)
    variance = propagated([(s, x.variance) for s, x in zip(found, inputs, strict=True)])
    if ufunc is np.sqrt and variance is not None:
        # |√(x + e) - √x| ≤ √|e|, which is less where x is within its own error of 0.
        variance = np.fmin(variance, np.sqrt(inputs[0].variance) / unit_roundoff(value.dtype))
    if own and value.dtype.kind == "f":
        rounding = np.square(value, dtype=np.float64) * own
        variance = rounding if variance is None else np.add(variance, rounding)

    def through(i: int, part: Any, absolute: bool) -> Any:
        slope = found[i]
        if slope is None:
            return -part if ufunc is np.subtract and i == 1 and not absolute else part
        return np.where(part == 0, 0, part * (np.abs(slope) if absolute else slope))

    slack, shifts = _moved(inputs, through)
    if ufunc is np.multiply and all(x.slack is not None or x.shifts for x in inputs):
        both = inputs[0].total_slack() * inputs[1].total_slack()
        slack = both if slack is None else slack + both
    result = Budgeted(value, variance, slack, shifts, _repeats(*inputs))
    return result if own else result.map(np.copy)  # those were the input's own


# ---- kinks ----------------------------------------------------------------------------------


def _near(x: Budgeted, y: Budgeted) -> Any:
    """Return where x and y are closer than their joint error, which is not 0."""
    unit = unit_roundoff(np.result_type(x.value, y.value))
    variances = [z.variance for z in (x, y) if z.variance is not None]
    error = kinks.NEAR * unit * np.sqrt(sum(variances)) + (x.total_slack() + y.total_slack())
    distance = np.abs(np.subtract(x.value, y.value, dtype=np.float64))
    return np.logical_and(np.less_equal(distance, error), np.greater(error, 0))


def _doubt(ufunc: np.ufunc, x: Budgeted, y: Budgeted) -> Any:
    """Return as slack where a comparison may come out otherwise.

    A value is never in doubt about itself. Nor is the equality of two inexact values that have the
    same bits: those are a maximum and the element it is, or two results of one computation.
    """
    if (x.exact and y.exact) or x.value is y.value:
        return None
    near = _near(x, y)
    if ufunc in (np.equal, np.not_equal):
        near = np.logical_and(near, np.not_equal(x.value, y.value))
    return kinks.counted(near)


def _doubt_of_both(x: Budgeted, y: Budgeted) -> Any:
    """An and is in doubt where one side is, and the other may be true."""
    if x.slack is None and y.slack is None:
        return None
    dx, dy = (np.zeros((), bool) if z.slack is None else z.slack > 0 for z in (x, y))
    return ((dx & (y.value | dy)) | (dy & (x.value | dx))).astype(np.float64)


def _sign_slack(value: Any, x: Budgeted) -> Any:
    """A sign near 0 may be another: ±1 may be the opposite, 0 may be either."""
    doubt = None if x.exact else kinks.counted(_near(x, Budgeted(np.zeros((), x.value.dtype))))
    return None if doubt is None else doubt * (1 + np.abs(value))


def _either(value: Any, x: Budgeted, y: Budgeted) -> Budgeted:
    """Maximum and minimum change by no more than their inputs: by as much as the chosen one, and
    where the choice is in doubt by as much as either.
    """
    if x.exact and y.exact:
        return Budgeted(value, repeats=_repeats(x, y))
    chosen, near = np.equal(x.value, value), _near(x, y)
    variance = _chosen(chosen, x.variance, y.variance, near)
    slack, shifts = _moved(
        (x, y), lambda i, part, _: np.where(chosen, *((part, 0) if i == 0 else (0, part)))
    )
    if x.slack is not None or y.slack is not None or shifts:
        worst = np.maximum(x.total_slack(), y.total_slack())
        slack = np.where(near, worst, 0 if slack is None else slack)
    return Budgeted(value, variance, slack, shifts, _repeats(x, y))


def _chosen(mask: Any, x: Any, y: Any, doubt: Any) -> Any:
    """Choose between variances, in doubt the larger."""
    if x is None and y is None:
        return None
    x, y = (0.0 if part is None else part for part in (x, y))
    variance = np.where(mask, x, y)
    return variance if doubt is None else np.where(doubt, np.maximum(x, y), variance)


def where(condition: Budgeted, x: Budgeted, y: Budgeted) -> Budgeted:
    """Choose; where the choice is in doubt, the other one is a shift."""
    mask = condition.value
    value = np.where(mask, x.value, y.value)
    if value.dtype.kind == "f":
        x, y = _in_units_of(x, value.dtype), _in_units_of(y, value.dtype)
    if np.ndim(mask) == 0 and condition.slack is None:
        whole = x if mask else y
        return (
            whole._replace(value=np.broadcast_to(whole.value, value.shape))
            .map(np.array)
            ._replace(value=value)
        )
    doubt = None if condition.slack is None else condition.slack > 0
    variance = _chosen(mask, x.variance, y.variance, doubt)
    slack, shifts = _moved(
        (x, y), lambda i, part, _: np.where(mask, *((part, 0) if i == 0 else (0, part)))
    )
    if doubt is not None:
        jump = np.where(mask, -1.0, 1.0) * np.subtract(x.value, y.value, dtype=np.float64)
        jump = np.where(doubt, jump, 0.0)
        new, rest = kinks.shifts(jump)
        if not (x.exact and y.exact):  # what moves the other value moves the jump
            rest = rest + np.where(doubt, x.total_slack() + y.total_slack(), 0.0)
        shifts |= new
        if np.any(rest):
            slack = rest if slack is None else slack + rest
    return Budgeted(value, variance, slack, shifts, _repeats(x, y))


# ---- sums and products ----------------------------------------------------------------------


def matmul(x: Budgeted, y: Budgeted) -> Budgeted:
    """Product of matrices. With σ² the sum of what its terms bring and of `rounding.summed`:

    Σ(xᵢ²·σ²(yᵢ) + yᵢ²·σ²(xᵢ)) + w·Σ(xᵢ·yᵢ)² = (x²)·(σ_y² + w·y²) + (σ_x²)·(y²) are themselves
    products of matrices: two, and a single one where a factor is exact.
    """
    value = np.matmul(x.value, y.value)
    if value.dtype.kind != "f":
        return Budgeted(value)
    x, y = _in_units_of(x, value.dtype), _in_units_of(y, value.dtype)
    terms = x.value.shape[-1]
    same = max(x.copies(terms), y.copies(terms))
    weight = wandering(terms) / same
    x2, y2 = (np.square(z.value, dtype=np.float64) for z in (x, y))
    if y.variance is None:
        own = x2 * weight
        variance = np.matmul(own if x.variance is None else own + x.variance, y2)
    else:
        variance = np.matmul(x2, y2 * weight + y.variance)
        if x.variance is not None:
            variance += np.matmul(shaped(x.variance, x2.shape), y2)
    if same > 1:
        variance = variance * same
    path = path_of_product(x.value, y.value)
    variance = variance + summed(terms, None, value, path, same)

    def through(i: int, part: Any, absolute: bool) -> Any:
        part, other = shaped(part, (x, y)[i].value.shape), (x, y)[1 - i].value
        other = np.abs(other) if absolute else other
        return _sparse(part, other) if i == 0 else _sparse(part.mT, other.mT).mT

    slack, shifts = _moved((x, y), through)
    if all(z.slack is not None or z.shifts for z in (x, y)):
        both = np.matmul(*(shaped(z.total_slack(), z.value.shape) for z in (x, y)))
        slack = both if slack is None else slack + both
    repeats = _repeats(x, Budgeted(value, repeats=_measured(value)))
    return Budgeted(value, variance, slack, shifts, repeats)


def _measured(rows: Any) -> tuple[int, float] | None:
    """Return the repeats of a matrix."""
    if rows.ndim != 2 or len(rows) < 2:
        return None
    found = copies(rows)
    return (len(rows), found) if found > 1 else None


def _sparse(part: Any, other: Any) -> Any:
    """Return part·other in float64, part being mostly 0: a kink belongs to one row of the data."""
    if part.ndim != 2 or other.ndim != 2:
        return np.matmul(part, np.asarray(other, np.float64))
    rows, columns = (np.flatnonzero(part.any(axis=axis)) for axis in (1, 0))
    out = np.zeros((part.shape[0], other.shape[1]))
    out[rows] = np.matmul(part[np.ix_(rows, columns)], np.asarray(other[columns], np.float64))
    return out


def add_reduce(
    x: Budgeted, *, axis: Any = 0, keepdims: bool = False, dtype: Any = None
) -> Budgeted:
    """Sum along axes: None for all, an int, or a tuple."""
    if dtype is not None:
        x = converted(x, dtype)
    shape = x.value.shape
    axes = range(len(shape)) if axis is None else (axis,) if isinstance(axis, int) else axis
    terms = math.prod(shape[a] for a in axes)

    def total(part: Any) -> Any:
        return np.add.reduce(shaped(part, shape), axis=axis, keepdims=keepdims)

    value = total(x.value)
    same = x.copies(terms)
    variance = None if x.variance is None else total(x.variance) * same
    if terms > 1 and value.dtype.kind == "f":
        squares = total(np.square(x.value, dtype=np.float64))
        kept = [a for a in range(len(shape)) if a not in {b % len(shape) for b in axes}]
        rows = np.reshape(np.transpose(x.value, (*axes, *kept)), (terms, -1))
        path = path_of_sum(rows)
        path = None if path is None else path.reshape(value.shape)
        own = summed(terms, squares, value, path, same)
        variance = own if variance is None else variance + own
    return Budgeted(value, variance, *_moved([x], lambda i, part, absolute: total(part)))


def extremum(ufunc: np.ufunc, x: Budgeted, *, axis: Any = 0, keepdims: bool = False) -> Budgeted:
    """Return the largest or smallest along axes, which may move by as much as any of the elements
    that it may be.
    """

    def largest(part: Any, keepdims: bool = keepdims) -> Any:
        return np.maximum.reduce(shaped(part, x.value.shape), axis=axis, keepdims=keepdims)

    value = ufunc.reduce(x.value, axis=axis, keepdims=keepdims)
    if x.exact:
        return Budgeted(value)
    kept = ufunc.reduce(x.value, axis=axis, keepdims=True)
    slack = np.asarray(x.total_slack())
    worst = None if x.variance is None else largest(x.variance, True)
    rivals = _near(x, Budgeted(kept, worst, largest(slack, True))) | np.equal(x.value, kept)
    variance = None if x.variance is None else largest(np.where(rivals, x.variance, 0.0))
    moved = largest(np.where(rivals, slack, 0.0)) if np.any(slack) else None
    return Budgeted(value, variance, moved)


def add_at(out: Budgeted, key: Any, values: Budgeted) -> Budgeted:
    """Add values at `key`, each element as often as it is named; `out.value` is written to."""
    shape, size = out.value.shape, out.value.size
    places = np.arange(size).reshape(shape)[key]

    def scattered(part: Any) -> Any:
        total = np.zeros(size)
        np.add.at(total, np.ravel(places), np.broadcast_to(part, places.shape).ravel())
        return total.reshape(shape)

    old = np.square(out.value, dtype=np.float64)
    terms = scattered(1.0) + (old != 0)
    squares = old + scattered(np.square(values.value, dtype=np.float64))
    np.add.at(out.value, key, values.value)
    both = (out, values)
    found = [
        z.variance if z is out else scattered(z.variance) for z in both if z.variance is not None
    ]
    if out.value.dtype.kind == "f":
        for n in np.unique(terms[terms > 1]):
            own = summed(int(n), squares, out.value)
            found.append(np.where(terms == n, own, 0.0))
    slack, shifts = _moved(both, lambda i, part, _: scattered(part) if i else part)
    return Budgeted(out.value, sum(found) if found else None, slack, shifts)


def concatenated(xs: Sequence[Budgeted], axis: int = 0) -> Budgeted:
    """Join along an axis."""
    value = np.concatenate([x.value for x in xs], axis=axis)
    xs = [_in_units_of(x, value.dtype) if value.dtype.kind == "f" else x for x in xs]

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
