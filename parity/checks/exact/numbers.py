"""Arrays of exact numbers, and how far rounding moves them in an engine that computes the same."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np

from parity.checks.exact.kinds import MP, NotRationalError, as_numbers, current, floats, make

ONCE, LIBRARY = math.sqrt(1 / 3), 2.0
"""The deviations of a correctly rounded result, and of exp and the like, in u times the value."""


class Numbers:
    """An array of exact numbers `v`, and of what an engine's rounding adds to each.

    `s` is the standard deviation of an engine's error, float64, in units of the dtype's unit
    roundoff u. It is carried to first order. Errors of operands may depend on one another, so their
    deviations are added (Minkowski's inequality), as if they were the same error.
    """

    def __init__(self, v: Any, s: Callable[[], Any] | None = None) -> None:
        self.v, run = np.asarray(v), current()
        run.products += self.v.size
        run.calls += 1
        wanted = s is not None and run.deviations and self.v.dtype.kind not in "biu"
        self.s = s() if s and wanted else np.zeros(self.v.shape)

    def __neg__(self) -> Numbers:
        return Numbers(-self.v, lambda: self.s)

    def __add__(self, other: Numbers) -> Numbers:
        v = self.v + other.v
        exact = (self.v == 0) | (other.v == 0)
        return Numbers(v, lambda: self.s + other.s + np.where(exact, 0, ONCE * size(v)))

    def __sub__(self, other: Numbers) -> Numbers:
        return self + -other

    def __mul__(self, other: Numbers) -> Numbers:
        v = self.v * other.v

        def s() -> Any:
            own = np.where(self.trivial | other.trivial, 0, ONCE * size(v))
            return self.s * other.size + self.size * other.s + own

        return Numbers(v, s)

    def __truediv__(self, other: Numbers) -> Numbers:
        if current().kind == "fractions" and other.v.size > 1:
            raise NotRationalError("sums of many quotients are long fractions")
        v = as_numbers(self.v) / as_numbers(other.v)

        def s() -> Any:
            # It may be a product by the reciprocal, of which both are rounded.
            own = np.where((self.v == 0) | (other.v == 1), 0, math.sqrt(2) * ONCE * size(v))
            return (self.s + size(v) * other.s) / other.size + own

        return Numbers(v, s)

    def __matmul__(self, other: Numbers) -> Numbers:
        v = np.asarray(self.v @ other.v)
        current().products += v.size * self.v.shape[-1]

        def s() -> Any:
            moved = self.s @ other.size + self.size @ other.s
            terms = (self.v != 0).astype(float) @ (other.v != 0)
            squares = self.size**2 @ other.size**2
            products = (self.size * ~self.trivial) ** 2 @ (other.size * ~other.trivial) ** 2
            columns, axis = np.moveaxis(self.size, -1, 0), max(-2, -other.v.ndim)
            same = copies(columns, np.moveaxis(other.size, axis, 0))
            return moved + _of_sum(v, terms, squares, same, products)

        return Numbers(v, s)

    def sum(self, axis: Any, keepdims: bool) -> Numbers:
        """Return sums along axes, all of them if None."""

        def total(part: Any) -> Any:
            return np.asarray(np.sum(part, axis=axis, keepdims=keepdims))

        v = total(self.v)

        def s() -> Any:
            axes = range(self.v.ndim) if axis is None else np.atleast_1d(axis)
            rows = np.moveaxis(self.size, tuple(axes), range(len(axes)))
            split = math.prod(rows.shape[: len(axes)]), math.prod(rows.shape[len(axes) :])
            same = copies(rows.reshape(split))
            return total(self.s) + _of_sum(v, total(self.v != 0), total(self.size**2), same)

        return Numbers(v, s)

    @functools.cached_property
    def size(self) -> Any:
        """The absolute values, float64."""
        return size(self.v)

    @functools.cached_property
    def trivial(self) -> Any:
        """Where a product by these is not rounded."""
        return np.asarray((self.v == 0) | (self.v == 1) | (self.v == -1))


def size(values: Any) -> Any:
    """Return absolute values, float64."""
    return np.abs(floats(values))


def _of_sum(v: Any, terms: Any, squares: Any, same: float, products: Any = 0.0) -> Any:
    """Return the deviation of sums that `minigrad.arrays.budgeted.summation` derives.

    The parts are terms of random sign, of one sign, and equal ones. `products` are the squares of
    the terms that are rounded before they are added.
    """
    own = terms * (squares + floats(v) ** 2 * (1 / 3 + same / 64))
    return np.sqrt(np.where(terms > 1, own, products * ONCE**2))


def copies(*rows: Any) -> float:
    """Return how often a row (terms, …) occurs on average; equal terms are rounded alike."""
    marks = np.stack([part.sum(axis=tuple(range(1, part.ndim))) for part in rows], axis=1)
    marks = marks[(marks != 0).all(axis=1)]
    return len(marks) / len(np.unique(marks, axis=0)) if len(marks) > 1 else 1.0


def each(function: Callable[..., Any], *numbers: Numbers) -> Numbers:
    """Apply a function that only moves, repeats or selects elements."""
    return Numbers(function(*(n.v for n in numbers)), lambda: function(*(n.s for n in numbers)))


# ---- functions that are not rational ----------------------------------------------------------

SLOPES: dict[str, Callable[[Any, Any], Any]] = {
    "exp": lambda x, out: out,
    "log": lambda x, out: one() / x,
    "log1p": lambda x, out: one() / (one() + x),
    "sqrt": lambda x, out: one() / (out + out),
    "sin": lambda x, out: elementary("cos", x),
    "cos": lambda x, out: -elementary("sin", x),
    "tanh": lambda x, out: one() - out * out,
    "sigmoid": lambda x, out: out * (one() - out),
}
"""The derivatives of elementary functions, as calculus has them; tests hold them against mpmath."""


def one() -> Numbers:
    """Return the number 1."""
    return Numbers(make(1))


def elementary(name: str, x: Numbers) -> Numbers:
    """Return one of the functions in `SLOPES`."""
    v = _library(name, as_numbers(x.v))

    def s() -> Any:
        own = size(v) * (ONCE if name == "sqrt" else LIBRARY)
        return own + SLOPES[name](Numbers(x.v), Numbers(v)).size * x.s if x.s.any() else own

    return Numbers(v, s)


def power(x: Numbers, y: Numbers) -> Numbers:
    """Return x to the power of y."""
    v = _library("power", as_numbers(x.v), as_numbers(y.v))

    def s() -> Any:
        own = np.where((y.v == 0) | (y.v == 1), 0, LIBRARY * size(v))
        of_x = np.where(x.s == 0, 0, size(v) * y.size / x.size * x.s)
        return own + of_x + np.where(v == 0, 0, size(v) * np.abs(np.log(x.size)) * y.s)

    return Numbers(v, s)


def _library(name: str, *arrays: Any) -> Any:
    kind = current().kind
    if kind == "fractions":
        if name != "power":
            raise NotRationalError(f"{name} is not rational")
        return np.frompyfunc(_short_power, 2, 1)(*arrays)
    if kind != "50 digits":
        return 1 / (1 + np.exp(-arrays[0])) if name == "sigmoid" else getattr(np, name)(*arrays)
    function = getattr(MP, name, lambda x: 1 / (1 + MP.exp(-x)))
    found = np.frompyfunc(function, len(arrays), 1)(*arrays)
    if not np.all([isinstance(value, MP.mpf) and MP.isfinite(value) for value in np.ravel(found)]):
        raise ArithmeticError(f"{name} is no finite number there")
    return found


def _short_power(x: Fraction, y: Fraction) -> Fraction:
    if y.denominator != 1 or not 0 <= y <= 16:
        raise NotRationalError("a power that is no short fraction")
    return Fraction(x ** int(y))
