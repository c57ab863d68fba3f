"""What sums and products of matrices do to values, and to what may move them.

The rounding error of a sum is derived in `minigrad.arrays.budgeted.rounding`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from minigrad.arrays.budgeted.parts import (
    Budgeted,
    all_moved,
    converted,
    in_units_of,
    shaped,
)
from minigrad.arrays.budgeted.rounding import (
    copies,
    grain,
    grain_of_products,
    path_of_product,
    path_of_sum,
    product,
    summed,
    wandering,
)


def matmul(x: Budgeted, y: Budgeted) -> Budgeted:
    """Multiply matrices; σ² is what the terms bring, and `rounding.summed`.

    Σ(xᵢ²·σ²(yᵢ) + yᵢ²·σ²(xᵢ)) + w·Σ(xᵢ·yᵢ)² = (x²)·(σ_y² + w·y²) + (σ_x²)·(y²) are themselves
    products of matrices: two, and a single one where a factor is exact.
    """
    value = np.matmul(x.value, y.value)
    if value.dtype.kind != "f":
        return Budgeted(value)
    x, y = in_units_of(x, value.dtype), in_units_of(y, value.dtype)
    terms = x.value.shape[-1]
    over_rows = [n for n in (x.copies(-1), y.copies(-2)) if n is not None]
    same = max(over_rows, default=1.0)
    weight = wandering(terms) / same
    x2, y2 = x.squares(), y.squares()
    if y.variance is None:
        x2 *= weight
        if x.variance is not None:
            x2 += x.variance
        variance = product(x2, y2, value.dtype)
    else:
        variance = product(x2, y2 * weight + y.variance, value.dtype)
        if x.variance is not None:
            variance += product(shaped(x.variance, x2.shape), y2, value.dtype)
    variance *= same
    if not over_rows:
        np.maximum(variance, _common(x, y, value), out=variance)
    path = path_of_product(x.value, y.value)
    if path is not None:
        same = max(same, grain(x.value.mT), grain(y.value), grain_of_products(x.value, y.value))
    variance += summed(terms, None, value, path, same)

    def through(i: int, part: Any, absolute: bool) -> Any:
        part, other = shaped(part, (x, y)[i].value.shape), (x, y)[1 - i].value
        other = np.abs(other) if absolute else other
        return _sparse(part, other) if i == 0 else _sparse(part.mT, other.mT).mT

    slack, shifts = all_moved((x, y), through)
    if all(z.slack is not None or z.shifts for z in (x, y)):
        both = np.matmul(*(shaped(z.total_slack(), z.value.shape) for z in (x, y)))
        slack = both if slack is None else slack + both
    slack = _overflowing(
        variance,
        slack,
        value.dtype,
        lambda: (
            np.isfinite(x.value).all(axis=-1)[..., :, None]
            & np.isfinite(y.value).all(axis=-2)[..., None, :]
        ),
    )
    found = [n for n in (x.copies(-2), _measured(value)) if n is not None]
    repeats = (-2, max(found)) if found else None
    return Budgeted(value, variance, slack, shifts, repeats, terms)


def _common(x: Budgeted, y: Budgeted, value: Any) -> Any:
    """Return the variance of products of vectors whose elements all have the same relative error.

    A network's gradient by a layer is the residual's, times a matrix for each row of data, and so
    is its error: it does not average out in sums whose terms are of one sign. Of a vector z with
    errors σ the relative error is ρ, ρ² = Σσᵢ²/Σzᵢ², and that of a product ρ as well.
    """
    shares = []
    for z, axis in ((x, -1), (y, -2)):
        if z.variance is not None and z.value.ndim >= 2:
            errors, size = (
                np.add.reduce(
                    shaped(part, z.value.shape), axis=axis, keepdims=True, dtype=np.float64
                )
                for part in (z.variance, np.square(z.value, dtype=np.float64))
            )
            shares.append(np.divide(errors, size, out=np.zeros(errors.shape), where=size > 0))
    if not shares:
        return 0.0
    return sum(shares) * np.square(value, dtype=np.float64)


def _overflowing(variance: Any, slack: Any, dtype: Any, finite: Callable[[], Any]) -> Any:
    """Return the slack with infinity where the order of summation decides whether it overflows.

    √(n·Σtᵢ²), which bounds Σ|tᵢ|, is part of the variance. Where it is below the largest number no
    partial sum overflows; elsewhere the sum may be finite, infinite or NaN. Where a term is not
    finite to begin with (`finite` tells), the sum's class does not depend on the order.
    """
    limit = min(float(np.finfo(dtype).max), 1e154) ** 2
    if np.max(variance, initial=0.0) < limit:
        return slack
    doubt = np.logical_not(variance < limit) & finite()
    if not doubt.any():
        return slack
    return np.where(doubt, np.inf, 0.0 if slack is None else slack)


def _measured(rows: Any) -> float | None:
    """Return how often an average row of a matrix occurs."""
    return copies(rows) if rows.ndim == 2 else None


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
        return np.add.reduce(shaped(part, shape), axis=axis, keepdims=keepdims)  # type: ignore[call-overload]

    value = total(x.value)
    summed_axes = {a % max(len(shape), 1) - len(shape) for a in axes}
    same = max((x.copies(a) or 1.0 for a in summed_axes), default=1.0)
    variance = None if x.variance is None else total(x.variance) * same
    if terms > 1 and value.dtype.kind == "f":
        squares = total(x.squares())
        kept = [a for a in range(len(shape)) if a not in {b % len(shape) for b in axes}]
        rows = np.reshape(np.transpose(x.value, (*axes, *kept)), (terms, -1))
        path = path_of_sum(rows)
        path = None if path is None else path.reshape(value.shape)
        own = summed(terms, squares, value, path, max(same, grain(rows)))
        variance = own if variance is None else variance + own
    slack, shifts = all_moved([x], lambda i, part, absolute: total(part))
    if terms > 1 and value.dtype.kind == "f":
        slack = _overflowing(
            variance, slack, value.dtype, lambda: total(~np.isfinite(x.value)) == 0
        )
    return Budgeted(value, variance, slack, shifts)


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
    slack, shifts = all_moved(both, lambda i, part, _: scattered(part) if i else part)
    return Budgeted(out.value, sum(found) if found else None, slack, shifts)
