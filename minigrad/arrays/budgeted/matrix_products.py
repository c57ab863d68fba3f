"""The tolerance of a matrix product: how errors pass through `matmul`.

σ² of an element has two parts: the errors that it inherits from the factors, and the rounding of
its own sum, which `summation` derives. Both take errors as independent. Two cases where they are
not are treated apart: equal rows of data have equal errors (`Budgeted.copies`), and the error of a
residual is common to its whole row in the backward pass (`_common`).
"""

from typing import Any

import numpy as np

from minigrad.arrays.budgeted.summation import (
    LONG,
    PARTS,
    copies,
    copies_of_terms,
    rounding_of_sum,
    slack_of_overflow,
    wandering,
)
from minigrad.arrays.budgeted.values import (
    ROUNDED,
    Budgeted,
    certain_nans,
    in_units_of,
    shaped,
    slack_and_shifts,
    without_certain,
)

SMALLEST = 1e-18
"""A bound above which products of two numbers do not underflow in float32."""


def matmul(x: Budgeted, y: Budgeted) -> Budgeted:
    """Multiply matrices; σ² is the error inherited from the factors and the rounding of the sum.

    With w the `wandering` of a sum of so many terms,
    Σ(xᵢ²·σ²(yᵢ) + yᵢ²·σ²(xᵢ)) + w·Σ(xᵢ·yᵢ)² = (x²)·(σ_y² + w·y²) + (σ_x²)·(y²). These are matrix
    products themselves: two, or a single one if a factor is exact.
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
        variance = product_of_variances(x2, y2, value.dtype)
    else:
        variance = product_of_variances(x2, y2 * weight + y.variance, value.dtype)
        if x.variance is not None:
            own = shaped(x.variance, x2.shape)
            variance += product_of_variances(own, y2, value.dtype)
    variance *= same
    if not over_rows:
        np.maximum(variance, _common(x, y, value), out=variance)
    path = _path_of_product(x.value, y.value)
    if path is not None:
        same = max(
            same,
            copies_of_terms(x.value.mT, x.value.dtype),
            copies_of_terms(y.value, y.value.dtype),
            copies_of_terms(_sizes_of_terms(x.value, y.value), x.value.dtype),
        )
    variance += rounding_of_sum(terms, None, value, path, same)

    def through(i: int, part: Any, absolute: bool) -> Any:
        part, other = shaped(part, (x, y)[i].value.shape), (x, y)[1 - i].value
        other = np.abs(other) if absolute else other
        return _sparse(part, other) if i == 0 else _sparse(part.mT, other.mT).mT

    slack, shifts = slack_and_shifts((x, y), through)
    if all(z.slack is not None or z.shifts for z in (x, y)):
        both = np.matmul(*(shaped(z.total_slack(), z.value.shape) for z in (x, y)))
        slack = both if slack is None else slack + both
    slack, away = slack_of_overflow(
        variance,
        slack,
        value.dtype,
        lambda: (
            np.isfinite(x.value).all(axis=-1)[..., :, None]
            & np.isfinite(y.value).all(axis=-2)[..., None, :]
        ),
        lambda: [
            np.matmul(*(size(z.value, dtype=np.float64) for z in (x, y)))
            for size in (np.abs, np.positive)
        ],
    )
    slack, shifts = without_certain(
        slack,
        shifts,
        lambda: (
            certain_nans(x).any(axis=-1)[..., :, None] | certain_nans(y).any(axis=-2)[..., None, :]
        ),
    )
    found = [n for n in (x.copies(-2), copies(value) if value.ndim == 2 else None) if n is not None]
    repeats = (-2, max(found)) if found else None
    return Budgeted(value, variance, slack, shifts, repeats, terms, away)


def added_to_product(terms: int, other: Any) -> Any:
    """Return what adding b to a matrix product brings to σ² beside one rounding: n·b²/3.

    x·Wᵀ + b is one call in many libraries, and they may begin with b: then each of the n additions
    rounds a partial sum b + sᵢ. Σ(b + sᵢ)²/3 ≈ n·(b² + 2·b·s̄ + s̄²)/3, and `rounding_of_sum` has
    three times s̄² already, which covers the mixed part. Beside a large b that is much more than
    what the sum of small terms and a single rounding of the result would have.
    """
    return np.square(other, dtype=np.float64) * (terms * ROUNDED)


def product_of_variances(x: Any, y: Any, dtype: Any) -> Any:
    """Return the product of matrices of variances, as precisely as is needed.

    For float32 values it is computed in float32, which is twice as fast. Every row of x and column
    of y is scaled to 1 for that; where smaller elements would be lost, it is computed in float64.
    """
    if dtype.itemsize == 8 or x.ndim != 2 or y.ndim != 2 or x.shape[1] == 0:
        return np.matmul(x, y)
    rows, columns = x.max(axis=1, keepdims=True), y.max(axis=0, keepdims=True)
    if not (np.isfinite(rows).all() and np.isfinite(columns).all()):
        return np.matmul(x, y)
    rows, columns = (np.where(z > 0, z, 1.0) for z in (rows, columns))
    narrow = [np.divide(x, rows).astype(dtype), np.divide(y, columns).astype(dtype)]
    for part, whole in zip(narrow, (x, y), strict=True):
        if np.count_nonzero(part > SMALLEST) < np.count_nonzero(whole):
            return np.matmul(x, y)
    out = np.matmul(*narrow).astype(np.float64)
    out *= rows
    out *= columns
    return out


def _common(x: Budgeted, y: Budgeted, value: Any) -> Any:
    """Return the variance of products of vectors whose elements all have the same relative error.

    In the backward pass each row's gradient is the residual of that row of data times a matrix. So
    the relative error of the residual reaches every element of the row, and does not average out
    in sums whose terms are of one sign. For a vector z with errors σ the relative error is ρ,
    ρ² = Σσᵢ²/Σzᵢ², and a product has the relative error ρ, too.
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


def _path_of_product(x: Any, y: Any) -> Any:
    """Return the mean square of the partial sums of x·y, or None for short sums.

    It measures PARTS partial sums, which together cost one more matrix product.
    """
    terms = x.shape[-1]
    if terms < LONG or x.ndim != 2 or y.ndim != 2:
        return None
    width = terms // PARTS
    total: Any = 0
    squares = np.zeros((x.shape[0], y.shape[1]))
    for i in range(PARTS):
        some = slice(i * width, (i + 1) * width)
        total = total + np.matmul(x[:, some], y[some])
        squares += np.square(total, dtype=np.float64)
    squares *= 1 / PARTS
    return squares


def _sizes_of_terms(x: Any, y: Any) -> Any:
    """Return the sizes (n, 1) of the n terms of x·y, by the sizes of their factors.

    The terms may span far more than either factor does.
    """
    sizes = np.add.reduce(np.abs(x), axis=0, dtype=np.float64)
    sizes *= np.add.reduce(np.abs(y), axis=1, dtype=np.float64)
    return sizes[:, None]


def _sparse(part: Any, other: Any) -> Any:
    """Return part·other in float64, part being mostly 0: a kink belongs to one row of the data."""
    if part.ndim != 2 or other.ndim != 2:
        return np.matmul(part, np.asarray(other, np.float64))
    rows, columns = (np.flatnonzero(part.any(axis=axis)) for axis in (1, 0))
    out = np.zeros((part.shape[0], other.shape[1]))
    out[rows] = np.matmul(part[np.ix_(rows, columns)], np.asarray(other[columns], np.float64))
    return out
