"""Products and sums of matrices by way of their slices.

Numbers in parentheses refer to the list in `minigrad.arrays.reproducible`.
"""

import math
from collections.abc import Callable
from functools import cache
from itertools import chain
from typing import Any, TypeAlias

import numpy as np

from minigrad.arrays.reproducible.slices import (
    FORMATS,
    SCRATCH,
    Array,
    Factor,
    Slices,
    Splits,
    scaled,
)

MARGIN = 8
"""How many bits below the last one of a result a product of slices may be left out."""

FACTORS = 16
"""How many factors a power may have."""


Pairs: TypeAlias = tuple[tuple[int, int], ...]


def pairs(left: Slices, right: Slices, precision: int) -> Pairs:
    """Return which slices are multiplied, in the order in which the products are added (4)."""
    worth = precision + left.span + right.span + MARGIN
    return _pairs(len(left.parts), left.width + 1, len(right.parts), right.width + 1, worth)


@cache
def _pairs(left: int, left_bits: int, right: int, right_bits: int, worth: int) -> Pairs:
    found = [(i, j) for i in range(left) for j in range(right)]
    found = [(i, j) for i, j in found if i * left_bits + j * right_bits < worth]
    return tuple(sorted(found, key=lambda pair: (-sum(pair), pair[0])))


def matmul(x: Factor, y: Factor) -> Array:
    """Return the product of (n, k) and (k, m) of one dtype, in that dtype."""
    dtype = x.x.dtype
    left, right = x.along(1), y.along(0)
    shape = (x.x.shape[0], y.x.shape[1])
    total, product = SCRATCH.matrix("total", shape), SCRATCH.matrix("product", shape)
    for n, (i, j) in enumerate(pairs(left, right, FORMATS[dtype].precision)):
        np.dot(left.parts[i], right.parts[j], product if n else total)  # exact, and begins sooner
        if n:
            np.add(total, product, out=total)
    out = _rounded(total, left.shift + right.shift, dtype)
    if x.nonfinite or y.nonfinite:
        _put_classes(out, x.x, y.x)
    return out


def outer(x: Array, y: Array) -> Array:
    """Return the product of (n, 1) and (1, m): a single term needs no slices (5)."""
    out = np.multiply(x, y)
    return np.add(out, 0, out=out)


def is_product(exponent: Any) -> bool:
    """Return whether a power is a product of a few factors, or divided by it (8)."""
    return isinstance(exponent, (int, float)) and exponent in range(-FACTORS, FACTORS + 1)


def power(x: Array, exponent: float) -> Array:
    """Return x multiplied by itself, or for a negative exponent the reciprocal of that."""
    out = np.ones_like(x)
    for _ in range(abs(int(exponent))):
        np.multiply(out, x, out=out)
    return np.divide(1, out) if exponent < 0 else out


def total(x: Factor, axis: int) -> Array:
    """Return the sums of a matrix along an axis, which stays with length 1."""
    slices = x.along(axis)
    sums: Array | None = None
    for part in reversed(slices.parts):
        exact = np.add.reduce(part, axis=axis, keepdims=True)
        sums = exact if sums is None else np.add(sums, exact, out=sums)
    assert sums is not None
    out = _rounded(sums, slices.shift, x.x.dtype)
    if x.nonfinite:
        infinite = np.add.reduce(_not_finite(x.x), axis=axis, keepdims=True)
        np.copyto(out, infinite, where=infinite != 0)
    return out


def scattered(x: Splits, places: Array, size: int) -> Array:
    """Return the sums (size,) of the terms (1, n) that have the same place, (n,)."""
    slices = x.along(1)
    sums = np.zeros(size)
    for part in reversed(slices.parts):
        exact = np.zeros(size)
        np.add.at(exact, places, part[0])
        np.add(sums, exact, out=sums)
    out = _rounded(sums, np.max(slices.shift), x.x.dtype)
    if x.nonfinite:
        infinite = np.zeros(size)
        np.add.at(infinite, places, _not_finite(x.x)[0])
        np.copyto(out, infinite, where=infinite != 0, casting="same_kind")
    return out


def _not_finite(x: Array) -> Array:
    """Return the infinities and NaNs, else 0. Their sums are those of (7) in any order."""
    return np.where(np.isfinite(x), 0, x)


def _rounded(values: Array, shift: Any, dtype: Any) -> Array:
    """Return values · 2**shift rounded to the dtype, without negative zeros (6)."""
    if isinstance(shift, np.ndarray) or shift != 0:
        values = scaled(values, shift)
    out: Array = values.astype(dtype)
    np.add(out, 0, out=out)
    return out


def _put_classes(out: Array, x: Array, y: Array) -> None:
    """Write NaN and ±inf where non-finite terms decide the sum of a product's element (7).

    Signs and counts are small integers, so these products are exact as well.
    """
    infinite_x, infinite_y = np.isinf(x), np.isinf(y)
    if infinite_x.any() or infinite_y.any():
        sign_x, sign_y = (np.sign(np.nan_to_num(z)).astype(np.float64) for z in (x, y))
        a, b = infinite_x.astype(np.float64), infinite_y.astype(np.float64)
        # The terms with an infinite factor, and those among them that are +inf less those -inf.
        count = a.sum(axis=1, keepdims=True) + np.matmul(1 - a, b)
        balance = np.matmul(sign_x * a, sign_y) + np.matmul(sign_x * (1 - a), sign_y * b)
        np.copyto(out, np.copysign(np.inf, balance), where=count > 0, casting="same_kind")
        np.copyto(out, np.nan, where=np.abs(balance) < count)  # a zero factor, or both signs
    out[np.isnan(x).any(axis=1)] = np.nan
    out[:, np.isnan(y).any(axis=0)] = np.nan


def sum_along(x: Array, axes: tuple[int, ...], factor: Callable[[], Factor]) -> Array:
    """Return the sums of an array along axes, counted from the front, which are left out (5).

    `factor` is asked for what the array is split into if it is a matrix and one axis is summed.
    """
    kept = tuple(a for a in range(x.ndim) if a not in axes)
    shape = tuple(x.shape[a] for a in kept)
    terms = math.prod(x.shape[a] for a in axes)
    if terms == 1:
        return np.asarray(np.add(np.reshape(x, shape), 0))
    if x.ndim == 2 and len(axes) == 1:
        sums = total(factor(), axes[0])
    else:
        rows = np.reshape(np.transpose(x, tuple(chain(kept, axes))), (math.prod(shape), terms))
        sums = total(Splits(rows), 1)
    return np.reshape(sums, shape)
