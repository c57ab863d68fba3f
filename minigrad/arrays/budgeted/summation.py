"""Sums: how large their rounding errors are, and what they do to values and to what moves them.

A sum of n terms v = Σtᵢ is made in an order nobody knows. Whatever it is, n additions round n
partial sums sᵢ: e = Σδᵢ·sᵢ with |δᵢ| ≤ u (Higham 2002, *Accuracy and Stability of Numerical
Algorithms*, section 4.2). Three parts make σ²; see `rounding_of_sum`, which matrix products use as
well. That errors may be treated as independent and of zero mean, so that sums err by √n·u and not
n·u, is what Higham and Mary 2019 show and test.

Where errors are plainly not independent this is not relied on: equal terms are rounded alike, and
equal rows of data have equal errors (`copies`).
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from minigrad.arrays.budgeted.values import (
    ROUNDED,
    Budgeted,
    certain_nans,
    converted,
    shaped,
    slack_and_shifts,
    unit_roundoff,
    without_certain,
)

ONE_SIDED = 1 / 64
"""The weight of equal terms in the variance of a sum: n errors of n·u·|v|/8."""

LONG = 256
"""The number of terms from which the course of a sum is measured."""

PARTS = 8
"""The number of partial sums that are measured."""


# ---- the rounding error of a sum ------------------------------------------------------------


def rounding_of_sum(
    terms: int, squares: Any, value: Any, path: Any = None, copies: float = 1.0
) -> Any:
    """Return σ² of the rounding of sums: σ² = n·(Σtᵢ² + path + m·v²/64).

    - Terms of random sign: sᵢ wanders, sᵢ² ≈ i·mean(t²), and Σsᵢ² ≈ n·Σtᵢ²/2. With a variance of
      ⅓ for each rounding that is n·Σtᵢ²/6, and the products' own roundings are Σtᵢ²/3.
    - Terms of one sign: sᵢ drifts to v, sᵢ ≈ (i/n)·v, and Σsᵢ² ≈ n·v²/3, of which one third is
      n·v²/9. Sorted data can make partial sums that are large and cancel; then v does not show the
      drift. `path`, the mean square of the partial sums, shows it: it is v²/3 by default, and
      measured where n is large enough for it to matter (`_path_of_sum`).
    - Equal terms: while the partial sums stay between two powers of two, adding the same term
      rounds in the same direction by the same amount, and n such errors add up to n·u·|v|/2 and a
      little more. With d different terms, each m = n/d times, d such errors are independent, in
      all √d·m = √(n·m) of them.

    The first two are 6 and 3 times (in variance) what is typical of adding up one term after the
    other, since the course of a single sum varies as much. Kernels that add in several lanes err
    less.

    Args:
        terms: n, the number of terms.
        squares: Σtᵢ², or None if `wandering(n)·Σtᵢ²` is added elsewhere.
        value: v.
        path: the mean of sᵢ² along the way, or None for v²/3.
        copies: m.
    """
    if terms < 2:
        return np.zeros(np.shape(value))
    own = np.square(value, dtype=np.float64)
    own = own * (terms * ((1 / 3 if path is None else 0.0) + ONE_SIDED * copies))
    if path is not None:
        own += terms * path
    return own if squares is None else own + np.multiply(squares, wandering(terms))


def wandering(terms: int) -> float:
    """Return the factor of Σtᵢ² in the variance; a single product is rounded once."""
    return float(terms) if terms > 1 else ROUNDED


def _path_of_sum(rows: Any) -> Any:
    """Return the mean square of the partial sums of (terms, …) along the first axis.

    Returns None for short sums.
    """
    if len(rows) < LONG:
        return None
    starts = np.arange(PARTS) * (len(rows) // PARTS)
    parts = np.add.reduceat(rows, starts, axis=0, dtype=np.float64)
    return np.square(np.add.accumulate(parts, axis=0)).mean(axis=0)


def copies(rows: Any, resolution: float = 0.0) -> float:
    """Return how often a row of a matrix occurs on average: Σnⱼ²/n, if row j occurs nⱼ times.

    Rows count as equal if their sums are, to within `resolution` times the largest sum.
    """
    marks = np.add.reduce(rows, axis=1)
    if resolution > 0:
        marks = np.rint(marks / (np.abs(marks).max(initial=0.0) * resolution))
    _, counts = np.unique(marks, return_counts=True)
    return float(np.square(counts).sum() / len(rows)) if len(counts) < len(rows) else 1.0


def copies_of_terms(rows: Any, dtype: Any) -> float:
    """Return how often terms (n, …) are the same as far as their sum can tell, 1 for short sums.

    n terms that differ by less than the spacing of numbers near their sum are rounded alike, and
    those that are smaller than that beside the largest terms are lost alike.
    """
    return copies(rows, len(rows) * unit_roundoff(dtype) / 4) if len(rows) >= LONG else 1.0


def slack_of_overflow(
    variance: Any, slack: Any, dtype: Any, finite: Callable[[], Any], sums: Callable[[], Any]
) -> tuple[Any, Any]:
    """Return the slack with infinity where the order of summation decides whether it overflows.

    Where Σ|tᵢ| is below the largest number no partial sum overflows; elsewhere the sum may be
    finite, infinite or NaN. If the terms of one sign cannot overflow, and are the lesser, its sign
    is certain as far as the slack that it inherits does not reach: the second result says where.
    Where a term is not finite to begin with, the sum's class does not depend on the order. A
    variance that has overflowed itself tells nothing.

    Args:
        variance: of which √(n·Σtᵢ²) is a part, which bounds Σ|tᵢ|: it tells that nothing is large.
        slack, dtype: of the sum.
        finite: returns where all terms are finite.
        sums: returns Σ|tᵢ| and Σtᵢ in float64.
    """
    largest = float(np.finfo(dtype).max)
    limit = min(largest, 1e154) ** 2
    if np.max(variance, initial=0.0) < limit:
        return slack, None
    doubt = np.logical_not(variance < limit) & finite()
    if not doubt.any():
        return slack, None
    sizes, total = sums()
    # To a half of the largest number, since partial sums are rounded as well.
    doubt &= ~(np.isfinite(variance) & (sizes < largest / 2))
    inherited = 0.0 if slack is None else slack
    lesser = (sizes - np.abs(total)) / 2 + inherited
    away = doubt & (lesser < largest / 2) & (np.abs(total) - inherited > largest / 2)
    return np.where(doubt, np.inf, inherited), away


# ---- sums -----------------------------------------------------------------------------------


def add_reduce(
    x: Budgeted, *, axis: Any = 0, keepdims: bool = False, dtype: Any = None
) -> Budgeted:
    """Sum along axes: None for all, an int, or a tuple."""
    if dtype is not None:
        x = converted(x, dtype)
    shape = x.value.shape
    named = range(len(shape)) if axis is None else (axis,) if isinstance(axis, int) else axis
    axes = [a % max(len(shape), 1) for a in named]
    terms = math.prod(shape[a] for a in axes)

    def total(part: Any) -> Any:
        return np.add.reduce(shaped(part, shape), axis=axis, keepdims=keepdims)  # type: ignore[call-overload]

    value = total(x.value)
    same = max((x.copies(a - len(shape)) or 1.0 for a in axes), default=1.0)
    variance = None if x.variance is None else total(x.variance) * same
    slack, shifts = slack_and_shifts([x], lambda i, part, absolute: total(part))
    if terms > 1 and value.dtype.kind == "f":
        squares = total(x.squares())
        kept = [a for a in range(len(shape)) if a not in axes]
        rows = np.reshape(np.transpose(x.value, (*axes, *kept)), (terms, -1))
        path = _path_of_sum(rows)
        path = None if path is None else path.reshape(value.shape)
        same = max(same, copies_of_terms(rows, rows.dtype))
        own = rounding_of_sum(terms, squares, value, path, same)
        variance = own if variance is None else variance + own
        wide = x.value.astype(np.float64)
        slack, _ = slack_of_overflow(
            variance,
            slack,
            value.dtype,
            lambda: total(~np.isfinite(x.value)) == 0,
            lambda: (total(np.abs(wide)), total(wide)),
        )
    slack, shifts = without_certain(slack, shifts, lambda: total(certain_nans(x)) > 0)
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
    found = [] if out.variance is None else [out.variance]
    if values.variance is not None:
        found.append(scattered(values.variance))
    if out.value.dtype.kind == "f":
        for n in np.unique(terms[terms > 1]):
            own = rounding_of_sum(int(n), squares, out.value)
            found.append(np.where(terms == n, own, 0.0))
    slack, shifts = slack_and_shifts(
        (out, values), lambda i, part, _: scattered(part) if i else part
    )
    return Budgeted(out.value, sum(found) if found else None, slack, shifts)
