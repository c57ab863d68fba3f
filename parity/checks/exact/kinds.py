"""Kinds of numbers, from the most exact to the fastest, and in which of them something is computed.

Floating-point numbers are rational numbers. So sums and products of them are rational, and
`fractions.Fraction` has them without rounding. Where there are quotients, roots or functions such
as tanh, mpmath's numbers of 50 digits take their place. Both are slow: where there is too much to
compute, 80-bit floating-point numbers are used. Their error is below 1/1000 of that of float64,
and 10⁻¹² of that of float32.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import mpmath  # type: ignore[import-untyped]
import numpy as np

MOST = {"fractions": 40_000, "50 digits": 40_000, "80 bits": 100_000_000}
"""How many numbers are computed at most in each kind, in about half a second."""

MOST_CALLS = 40_000
"""How many operations on arrays, however small, are computed, in a few seconds."""

MOST_BITS = 5_000
"""A fraction of more bits is no longer taken for one: its bits double with each product."""

MP = mpmath.MPContext()  # one of its own, so that nobody else's precision is changed
MP.dps = 50


class NotRationalError(ArithmeticError):
    """What is computed is no fraction, or not a short one."""


@dataclass
class Run:
    """A computation: in numbers of which kind, of a run in which dtype, and how large it is.

    `deviations` tells whether an engine's errors are wanted, too.
    """

    kind: str = "80 bits"
    dtype: str = "float64"
    deviations: bool = True
    products: int = 0
    calls: int = 0


_runs = [Run()]


def current() -> Run:
    """Return the computation that is going on."""
    return _runs[-1]


@contextmanager
def running(kind: str, dtype: str, deviations: bool = True) -> Iterator[Run]:
    """Have all that is computed within computed in numbers of a kind."""
    _runs.append(Run(kind, dtype, deviations))
    try:
        with np.errstate(all="ignore"):
            yield current()
    finally:
        _runs.pop()


def exactly(dtype: str, compute: Callable[[], Any], *, deviations: bool = True) -> Any:
    """Run a computation in the most exact numbers there is time for; return None if in none.

    It is counted first: that is done in float64, and without the derivatives.
    """
    with running("counted", dtype, False) as count:
        compute()
    wide = np.finfo(np.longdouble).eps < np.finfo(np.float64).eps
    for kind, most in MOST.items():
        too_many = count.products > most or count.calls > MOST_CALLS
        if too_many or (kind == "80 bits" and not wide and dtype == "float64"):
            continue
        try:
            with running(kind, dtype, deviations):
                return compute()
        except (ArithmeticError, ValueError):  # infinities and NaN are only among floats
            if kind == "80 bits":
                raise
    return None


# ---- arrays of numbers ---------------------------------------------------------------------------


def make(values: Any) -> Any:
    """Return values, rounded to the run's dtype as torch does with options, as exact numbers."""
    run, values = current(), np.asarray(values)
    if values.dtype == object:
        return values
    values = values.astype(run.dtype)
    if run.kind == "counted":
        return values.astype(np.float64)
    if run.kind == "80 bits":
        return values.astype(np.longdouble)
    if run.kind == "fractions":
        return np.asarray(_fractions(values.astype(object)))
    if not np.isfinite(values).all():
        raise OverflowError("50 digits are for finite numbers")
    return np.asarray(_mpfs(values.astype(object)))


_fractions, _mpfs = np.frompyfunc(Fraction, 1, 1), np.frompyfunc(MP.mpf, 1, 1)


def floats(values: Any) -> Any:
    """Return exact numbers as float64."""
    values = np.asarray(values)
    try:
        return values.astype(np.float64)
    except OverflowError:
        return np.vectorize(_float, otypes=[np.float64])(values)


def _float(value: Any) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.copysign(math.inf, value)


def rounded(values: Any, dtype: str) -> Any:
    """Return exact numbers, rounded once."""
    values = np.asarray(values)
    with np.errstate(all="ignore"):
        return (floats(values) if values.dtype == object else values).astype(dtype)


def as_numbers(v: Any) -> Any:
    """Return an array as numbers, whole ones too."""
    return make(v) if v.dtype.kind in "biu" else v
