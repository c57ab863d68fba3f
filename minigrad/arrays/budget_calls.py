"""What each call of the vocabulary does to values, variances and slacks.

Called by `BudgetedArray`, which says what these are. Here an array is a `Budgeted`: a tuple of
values, variances or None, and slacks or None.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from minigrad.arrays.kinks import NEAR, count
from minigrad.arrays.rounding import (
    SMOOTH,
    constant,
    propagated,
    summed,
    unit_roundoff,
    wandering,
)

COMPARISONS = frozenset(
    {np.equal, np.not_equal, np.less, np.less_equal, np.greater, np.greater_equal}
)


class Budgeted(NamedTuple):
    """Values, their variances in units of u², their slacks; None where all are 0."""

    value: Any
    variance: Any = None
    slack: Any = None

    def map(self, function: Callable[[Any], Any]) -> Budgeted:
        """Apply a function that moves elements."""
        shape = self.value.shape
        parts = (None if p is None else function(shaped(p, shape)) for p in self[1:])
        return Budgeted(function(self.value), *parts)


def shaped(part: Any, shape: tuple[int, ...]) -> Any:
    """Broadcast where that is needed."""
    return part if part.shape == shape else np.broadcast_to(part, shape)


def converted(x: Budgeted, dtype: Any) -> Budgeted:
    """Convert to another dtype: the unit of the variance changes, and narrowing rounds."""
    dtype, before = np.dtype(dtype), x.value.dtype
    value = np.astype(x.value, dtype)
    if dtype == before:
        return x._replace(value=value)
    if dtype.kind != "f":
        if x.variance is not None or x.slack is not None:
            raise TypeError(
                f"astype: inexact values cannot become {dtype}, which is a jump at every step: "
                "compare them instead"
            )
        return Budgeted(value)
    variance = x.variance
    if before.kind == "f":
        ratio = (unit_roundoff(before) / unit_roundoff(dtype)) ** 2
        variance = None if variance is None else np.multiply(variance, ratio)
        if ratio < 1:
            rounding = np.square(value, dtype=np.float64) / 3
            variance = rounding if variance is None else np.add(variance, rounding)
    return Budgeted(value, variance, x.slack)


# ---- element by element ---------------------------------------------------------------------


def elementwise(ufunc: np.ufunc, *inputs: Budgeted) -> Budgeted | None:
    """Return the result of a ufunc; None if it is not in the vocabulary."""
    if ufunc is np.matmul:
        return matmul(*inputs)
    value = ufunc(*(x.value for x in inputs))
    if ufunc in COMPARISONS:
        return Budgeted(value, None, _doubt(ufunc, *inputs))
    inputs = tuple(_in_units_of(x, value.dtype) for x in inputs)
    if ufunc in SMOOTH:
        return _smooth(ufunc, value, inputs)
    if ufunc in (np.maximum, np.minimum):
        return _larger(ufunc, value, *inputs)
    if ufunc is np.logical_and:
        return Budgeted(value, None, _and_slack(*inputs))
    if ufunc is np.sign:
        (x,) = inputs
        near = None if _exact(x) else count(_near(x, Budgeted(np.zeros((), x.value.dtype))))
        return Budgeted(value, None, None if near is None else near * (1 + np.abs(value)))
    return None


def _in_units_of(x: Budgeted, dtype: Any) -> Budgeted:
    """Return x with the variance in units of another dtype's roundoff."""
    if x.variance is None or isinstance(x.value, float) or x.value.dtype == dtype:
        return x
    ratio = (unit_roundoff(x.value.dtype) / unit_roundoff(dtype)) ** 2
    return x._replace(variance=np.multiply(x.variance, ratio))


def _smooth(ufunc: np.ufunc, value: Any, inputs: Sequence[Budgeted]) -> Budgeted:
    slopes, own = SMOOTH[ufunc]
    values: Any = None
    found: list[Any] = []
    for slope, x in zip(slopes, inputs, strict=True):
        if slope is not None and not (x.variance is None and x.slack is None):
            if values is None:
                values = [np.asarray(v, np.float64) for v in (value, *(i.value for i in inputs))]
            found.append(slope(*values))
        else:
            found.append(None)
    variance = propagated(
        [(s, x.variance) for s, x in zip(found, inputs, strict=True) if x.variance is not None]
    )
    if ufunc is np.sqrt and variance is not None:
        # |√(x + e) - √x| ≤ √|e|, which is less where x is within its own error of 0.
        deviation = np.sqrt(inputs[0].variance) / unit_roundoff(value.dtype)
        variance = np.fmin(variance, deviation)
    if own and value.dtype.kind == "f":
        rounding = np.square(value, dtype=np.float64) * own
        variance = rounding if variance is None else np.add(variance, rounding)
    slack = None
    for slope, x in zip(found, inputs, strict=True):
        if x.slack is not None:
            part = x.slack if slope is None else _times(slope, x.slack)
            slack = part if slack is None else np.add(slack, part)
    if slack is not None and ufunc is np.multiply and all(x.slack is not None for x in inputs):
        slack = slack + inputs[0].slack * inputs[1].slack
    result = Budgeted(value, variance, slack)
    return result if own else result.map(np.copy)  # those were the input's own


def _times(slope: Any, slack: Any) -> Any:
    """Return slope·slack, 0 where the slack is 0 although the slope may be infinite."""
    return np.where(np.equal(slack, 0), 0, np.multiply(slope, slack))


# ---- kinks ----------------------------------------------------------------------------------


def _exact(*inputs: Budgeted) -> bool:
    return all(x.variance is None and x.slack is None for x in inputs)


def _near(x: Budgeted, y: Budgeted) -> Any:
    """Return where x and y are closer than their joint error, which is not 0."""
    variance, slack = 0.0, 0.0
    unit = unit_roundoff(np.result_type(x.value, y.value))
    for z in (x, y):
        variance = variance if z.variance is None else variance + z.variance
        slack = slack if z.slack is None else slack + z.slack
    error = NEAR * unit * np.sqrt(variance) + slack
    distance = np.abs(np.subtract(x.value, y.value, dtype=np.float64))
    return np.logical_and(np.less_equal(distance, error), np.greater(error, 0))


def _doubt(ufunc: np.ufunc, x: Budgeted, y: Budgeted) -> Any:
    """Return as slack where a comparison may come out otherwise.

    A value is never in doubt about itself. Nor is the equality of two inexact values that have the
    same bits: those are a maximum and the element it is, or two results of one computation.
    """
    if _exact(x, y) or x.value is y.value:
        return None
    near = _near(x, y)
    if ufunc in (np.equal, np.not_equal):
        near = np.logical_and(near, np.not_equal(x.value, y.value))
    return count(near)


def _and_slack(x: Budgeted, y: Budgeted) -> Any:
    """An and is in doubt where one side is, and the other may be true."""
    if x.slack is None and y.slack is None:
        return None
    (dx, dy) = (False if z.slack is None else np.greater(z.slack, 0) for z in (x, y))
    doubt = (dx & (y.value | dy)) | (dy & (x.value | dx))
    return doubt.astype(np.float64)


def _larger(ufunc: np.ufunc, value: Any, x: Budgeted, y: Budgeted) -> Budgeted:
    """Maximum and minimum change by no more than their inputs: by the chosen one's error, and
    where the choice is in doubt by the larger of both.
    """
    if _exact(x, y):
        return Budgeted(value)
    chosen, near = np.equal(x.value, value), _near(x, y)
    parts = []
    for a, b in ((x.variance, y.variance), (x.slack, y.slack)):
        if a is None and b is None:
            parts.append(None)
            continue
        a, b = (0.0 if part is None else part for part in (a, b))
        parts.append(np.where(near, np.maximum(a, b), np.where(chosen, a, b)))
    return Budgeted(value, *parts)


def where(condition: Any, x: Budgeted, y: Budgeted) -> Budgeted:
    """Choose; where the choice is in doubt, the slack grows by the distance to the other value."""
    mask = condition.value if isinstance(condition, Budgeted) else condition
    value = np.where(mask, x.value, y.value)
    x, y = _in_units_of(x, value.dtype), _in_units_of(y, value.dtype)
    variance, slack = (
        None if a is None and b is None else np.where(mask, 0 if a is None else a, 0 if b is None else b)
        for a, b in ((x.variance, y.variance), (x.slack, y.slack))
    )
    doubt = condition.slack if isinstance(condition, Budgeted) else None
    if doubt is not None:
        jump = np.abs(np.subtract(x.value, y.value, dtype=np.float64))
        either = [np.maximum(*(0.0 if p is None else p for p in pair)) for pair in
                  ((x.variance, y.variance), (x.slack, y.slack))]
        unsure = np.greater(doubt, 0)
        if variance is not None:
            variance = np.where(unsure, either[0], variance)
        slack = np.where(unsure, either[1] + jump, 0 if slack is None else slack)
    return Budgeted(value, variance, slack)


# ---- sums and products ----------------------------------------------------------------------


def matmul(x: Budgeted, y: Budgeted) -> Budgeted:
    """Product of matrices. With σ² the sum of what its terms bring and of `rounding.summed`:

    Σ(xᵢ²·σ²(yᵢ) + yᵢ²·σ²(xᵢ)) + 4·n·Σ(xᵢ·yᵢ)² = (x² (σ_y² + 4·n·y²)) + (σ_x² (y²)), products of
    matrices themselves: two, and one where a factor is exact.
    """
    value = np.matmul(x.value, y.value)
    if value.dtype.kind != "f":
        return Budgeted(value)
    x, y = _in_units_of(x, value.dtype), _in_units_of(y, value.dtype)
    terms = x.value.shape[-1]
    share = wandering(terms)
    x2, y2 = (np.square(z.value, dtype=np.float64) for z in (x, y))
    if y.variance is None:
        left = x2 * share if x.variance is None else x2 * share + x.variance
        variance = np.matmul(left, y2)
    else:
        variance = np.matmul(x2, y2 * share + y.variance)
        if x.variance is not None:
            variance = variance + np.matmul(shaped(x.variance, x2.shape), y2)
    variance = variance + summed(terms, None, value)
    slack = None
    if x.slack is not None or y.slack is not None:
        ax, ay = (np.abs(z.value).astype(np.float64) for z in (x, y))
        slack = 0.0
        if x.slack is not None:
            slack = np.matmul(shaped(x.slack, ax.shape), ay)
        if y.slack is not None:
            widened = ax if x.slack is None else ax + x.slack
            slack = slack + np.matmul(widened, shaped(y.slack, ay.shape))
    return Budgeted(value, variance, slack)


def add_reduce(
    x: Budgeted, *, axis: Any = 0, keepdims: bool = False, dtype: Any = None
) -> Budgeted:
    """Sum along axes: None for all, an int, or a tuple."""
    if dtype is not None and np.dtype(dtype) != x.value.dtype:
        x = converted(x, dtype)
    shape = x.value.shape
    value = np.add.reduce(x.value, axis=axis, keepdims=keepdims)
    axes = range(len(shape)) if axis is None else (axis,) if isinstance(axis, int) else axis
    terms = math.prod(shape[a] for a in axes)

    def total(part: Any) -> Any:
        whole = np.broadcast_to(part, shape)
        return np.add.reduce(whole, axis=axis, keepdims=keepdims)

    variance = x.variance if x.variance is None else total(x.variance)
    if terms > 1 and value.dtype.kind == "f":
        squares = total(np.square(x.value, dtype=np.float64))
        own = summed(terms, squares, value)
        variance = own if variance is None else variance + own
    return Budgeted(value, variance, None if x.slack is None else total(x.slack))


def extremum(ufunc: np.ufunc, x: Budgeted, *, axis: Any = 0, keepdims: bool = False) -> Budgeted:
    """Return the largest or smallest along axes, with the largest error of those it may be."""
    value = ufunc.reduce(x.value, axis=axis, keepdims=keepdims)
    if _exact(x):
        return Budgeted(value)
    kept = Budgeted(ufunc.reduce(x.value, axis=axis, keepdims=True))
    worst = [
        None
        if part is None
        else np.maximum.reduce(np.broadcast_to(part, x.value.shape), axis=axis, keepdims=True)
        for part in x[1:]
    ]
    rivals = _near(x, Budgeted(kept.value, *worst)) | np.equal(x.value, kept.value)
    parts = (
        None
        if part is None
        else np.maximum.reduce(np.where(rivals, part, 0.0), axis=axis, keepdims=keepdims)
        for part in x[1:]
    )
    return Budgeted(value, *parts)


def add_at(out: Budgeted, key: Any, values: Budgeted) -> Budgeted:
    """Add values at `key`, each element as often as it is named; `out` is written to."""
    places = np.arange(out.value.size).reshape(out.value.shape)[key]
    flat = np.ravel(places)

    def scattered(part: Any) -> Any:
        total = np.zeros(out.value.size)
        np.add.at(total, flat, np.broadcast_to(part, places.shape).ravel())
        return total.reshape(out.value.shape)

    old = np.square(out.value, dtype=np.float64)
    terms = scattered(1.0) + (old != 0)
    squares = old + scattered(np.square(values.value, dtype=np.float64))
    np.add.at(out.value, key, values.value)
    parts = [
        a if b is None else scattered(b) + (0.0 if a is None else a)
        for a, b in zip(out[1:], values[1:], strict=True)
    ]
    if out.value.dtype.kind == "f" and (terms > 1).any():
        value = out.value
        own = np.zeros(value.shape)
        for n in np.unique(terms[terms > 1]):
            at = terms == n
            own[at] = summed(int(n), squares[at], value[at])
        parts[0] = own if parts[0] is None else parts[0] + own
    return Budgeted(out.value, *parts)


def concatenated(xs: Sequence[Budgeted], axis: int = 0) -> Budgeted:
    """Join along an axis."""
    value = np.concatenate([x.value for x in xs], axis=axis)
    parts = []
    for i in (1, 2):
        if all(x[i] is None for x in xs):
            parts.append(None)
            continue
        filled = [
            np.zeros(x.value.shape) if x[i] is None else shaped(x[i], x.value.shape)
            for x in (_in_units_of(x, value.dtype) for x in xs)
        ]
        parts.append(np.concatenate(filled, axis=axis))
    return Budgeted(value, *parts)


def operand(x: Any, dtype: Any) -> Budgeted:
    """Return an input of a call; a Python number takes its place beside arrays of `dtype`."""
    if isinstance(x, Budgeted):
        return x
    if isinstance(x, float) and not isinstance(x, np.generic):
        inexact = constant(x, dtype)
        return Budgeted(x, np.asarray(inexact) if inexact else None)
    return Budgeted(x)
