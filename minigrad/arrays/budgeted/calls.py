"""What element-wise calls do to values, and to what may move them; choices, and their kinks.

How rounding errors arise and pass on is derived in `minigrad.arrays.budgeted.rounding`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from minigrad.arrays.budgeted import kinks
from minigrad.arrays.budgeted.parts import (
    Budgeted,
    all_moved,
    in_units_of,
    most_repeats,
    shaped,
)
from minigrad.arrays.budgeted.rounding import SMOOTH, added_to_product, propagated, unit_roundoff
from minigrad.arrays.budgeted.sums import matmul

COMPARISONS = frozenset(
    {np.equal, np.not_equal, np.less, np.less_equal, np.greater, np.greater_equal}
)


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
        inputs = tuple(in_units_of(x, value.dtype) for x in inputs)
    if ufunc in (np.maximum, np.minimum):
        return _either(value, *inputs)
    return _smooth(ufunc, value, inputs)


def _smooth(ufunc: np.ufunc, value: Any, inputs: Sequence[Budgeted]) -> Budgeted:
    """Differentiate: σ² = Σ(f'ᵢ·σᵢ)² and the variance of the rounding of the result."""
    slopes, own = SMOOTH[ufunc]
    values = [x.value for x in inputs]
    found = [
        None if slope is None or x.exact else slope(value, *values)
        for slope, x in zip(slopes, inputs, strict=True)
    ]
    variance = propagated([(s, x.variance) for s, x in zip(found, inputs, strict=True)])
    if ufunc is np.sqrt and variance is not None:
        # |√(x + e) - √x| ≤ √|e|, which is less where x is within its own error of 0.
        variance = np.fmin(variance, np.sqrt(inputs[0].variance) / unit_roundoff(value.dtype))
    if ufunc is np.square and variance is not None:
        # (x + e)² - x² = (2·x + e)·e: where x is within its own error of 0, e² is all there is.
        second = np.square(inputs[0].variance)
        second *= (kinks.NEAR * unit_roundoff(value.dtype)) ** 2
        variance = variance + second
    if own and value.dtype.kind == "f":
        rounding = np.square(value, dtype=np.float64)
        rounding *= own
        if ufunc is np.add:
            for product, other in (inputs, inputs[::-1]):
                if product.terms:
                    rounding += added_to_product(product.terms, other.value)
        if variance is not None:
            rounding += variance
        variance = rounding

    def through(i: int, part: Any, absolute: bool) -> Any:
        slope = found[i]
        if slope is None:
            return part
        return np.where(part == 0, 0, part * (np.abs(slope) if absolute else slope))

    slack, shifts = all_moved(inputs, through)
    if ufunc is np.multiply and all(x.slack is not None or x.shifts for x in inputs):
        both = inputs[0].total_slack() * inputs[1].total_slack()
        slack = both if slack is None else slack + both
    result = Budgeted(value, variance, slack, shifts, most_repeats(*inputs))
    return result if own else result.map(np.copy)  # those were the input's own


# ---- kinks ----------------------------------------------------------------------------------


def nearly_equal(x: Budgeted, y: Budgeted) -> Any:
    """Return where x and y are closer than their joint error, which is not 0.

    Beside an overflow the error is not finite, and nobody knows; but a NaN that is certain is.
    """
    unit = unit_roundoff(np.result_type(x.value, y.value))
    variances = [z.variance for z in (x, y) if z.variance is not None]
    slack = x.total_slack() + y.total_slack()
    error = kinks.NEAR * unit * np.sqrt(sum(variances)) + slack
    distance = np.abs(np.subtract(x.value, y.value, dtype=np.float64))
    near = np.logical_and(np.less_equal(distance, error), np.greater(error, 0))
    if not math.isfinite(np.max(error, initial=0.0)):
        near |= ~np.less(slack, np.inf) | (np.isnan(error) & ~np.isnan(distance))
    return near


def _doubt(ufunc: np.ufunc, x: Budgeted, y: Budgeted) -> Any:
    """Return as slack where a comparison may come out otherwise.

    A value is never in doubt about itself. Nor is the equality of two inexact values that have the
    same bits: those are a maximum and the element it is, or two results of one computation.
    """
    if (x.exact and y.exact) or x.value is y.value:
        return None
    near = nearly_equal(x, y)
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
    doubt = (
        None if x.exact else kinks.counted(nearly_equal(x, Budgeted(np.zeros((), x.value.dtype))))
    )
    return None if doubt is None else doubt * (1 + np.abs(value))


def _either(value: Any, x: Budgeted, y: Budgeted) -> Budgeted:
    """Maximum and minimum change by no more than their inputs: by as much as the chosen one, and
    where the choice is in doubt by as much as either.
    """
    if x.exact and y.exact:
        return Budgeted(value, repeats=most_repeats(x, y))
    chosen, near = np.equal(x.value, value), nearly_equal(x, y)
    variance = _chosen(chosen, x.variance, y.variance, near)
    slack, shifts = all_moved(
        (x, y), lambda i, part, _: np.where(chosen, *((part, 0) if i == 0 else (0, part)))
    )
    if x.slack is not None or y.slack is not None or shifts:
        worst = np.maximum(x.total_slack(), y.total_slack())
        slack = np.where(near, worst, 0 if slack is None else slack)
    return Budgeted(value, variance, slack, shifts, most_repeats(x, y))


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
        x, y = in_units_of(x, value.dtype), in_units_of(y, value.dtype)
    if np.ndim(mask) == 0 and condition.slack is None:
        whole = x if mask else y
        return (
            whole._replace(value=np.broadcast_to(whole.value, value.shape))
            .map(np.array)
            ._replace(value=value)
        )
    doubt = None if condition.slack is None else condition.slack > 0
    variance = _chosen(mask, x.variance, y.variance, doubt)
    slack, shifts = all_moved(
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
    return Budgeted(value, variance, slack, shifts, most_repeats(x, y))


def extremum(ufunc: np.ufunc, x: Budgeted, *, axis: Any = 0, keepdims: bool = False) -> Budgeted:
    """Return the largest or smallest along axes, which may move by as much as any of the elements
    that it may be.
    """

    def largest(part: Any, keepdims: bool = keepdims) -> Any:
        whole = shaped(part, x.value.shape)
        return np.maximum.reduce(whole, axis=axis, keepdims=keepdims)  # type: ignore[call-overload]

    value = ufunc.reduce(x.value, axis=axis, keepdims=keepdims)
    if x.exact:
        return Budgeted(value)
    kept = ufunc.reduce(x.value, axis=axis, keepdims=True)
    slack = np.asarray(x.total_slack())
    worst = None if x.variance is None else largest(x.variance, True)
    rivals = nearly_equal(x, Budgeted(kept, worst, largest(slack, True))) | np.equal(x.value, kept)
    variance = None if x.variance is None else largest(np.where(rivals, x.variance, 0.0))
    moved = largest(np.where(rivals, slack, 0.0)) if np.any(slack) else None
    return Budgeted(value, variance, moved)
