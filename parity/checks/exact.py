"""Exact numbers, and what linear layers, ReLU, the mean squared error and SGD are.

Floating-point numbers are rational numbers. So everything that these make of them is rational, and
`fractions.Fraction` has it without rounding.

Derivatives are found with dual numbers, v + d·ε with ε² = 0 (forward mode: Wengert 1964, *A simple
automatic derivative evaluation program*). One input is given d = 1; what comes out as d is the
derivative by it. The definitions below are all that is needed, and nobody's derivative rules are.

How far rounding may move an engine's value is told by the same definitions: run on the squares of
their inputs they give the sum of the squares of all terms, run on ones the number of terms.

Fractions are slow. Where there are too many products for them, 80-bit floating-point numbers take
their place: their error is below 1/1000 of that of float64, and 10⁻¹² of that of float32.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from parity.engines.protocol import Array

MOST_FRACTIONS, MOST_FLOATS = 20_000, 100_000_000
"""How many products are computed at most, in less than half a second."""

# ---- numbers ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Dual:
    """The numbers v + d·ε: two arrays of one shape."""

    v: Any
    d: Any

    def __add__(self, other: Dual) -> Dual:
        return type(self)(self.v + other.v, self.d + other.d)

    def __sub__(self, other: Dual) -> Dual:
        return type(self)(self.v - other.v, self.d - other.d)

    def __mul__(self, other: Dual) -> Dual:
        return type(self)(self.v * other.v, self.v * other.d + self.d * other.v)

    def __matmul__(self, other: Dual) -> Dual:
        return type(self)(self.v @ other.v, self.v @ other.d + self.d @ other.v)

    @property
    def T(self) -> Dual:
        """The transposed matrix."""
        return type(self)(self.v.T, self.d.T)

    def where(self, kept: Array) -> Dual:
        """Return the numbers where they are kept, else 0."""
        return type(self)(np.where(kept, self.v, 0 * self.v), np.where(kept, self.d, 0 * self.d))

    def mean(self) -> Dual:
        """Return the mean of all elements."""
        return type(self)(np.sum(self.v) / self.v.size, np.sum(self.d) / self.v.size)


class Squares(Dual):
    """The sums of the squares of the terms that a number is the sum of."""

    __sub__ = Dual.__add__

    def mean(self) -> Dual:
        """Return the squares of the terms of the mean."""
        return Squares(np.sum(self.v) / self.v.size**2, np.sum(self.d) / self.v.size**2)


class Counts(Dual):
    """The number of these terms."""

    __sub__ = Dual.__add__

    def mean(self) -> Dual:
        """Return how many terms the mean has."""
        return Counts(np.sum(self.v), np.sum(self.d))


# ---- the definitions --------------------------------------------------------------------------


def linear(x: Dual, weight: Dual, bias: Dual) -> Dual:
    """Return x·Wᵀ + b: (samples, in), (out, in), (out,) to (samples, out)."""
    return x @ weight.T + bias


def relu(x: Dual) -> Dual:
    """Return x where it is positive, else 0; the derivative at 0 is torch's, 0. NaN stays NaN."""
    return x.where(~(x.v <= 0))


def mse_loss(prediction: Dual, y: Dual) -> Dual:
    """Return the mean of (prediction - y)²: of two arrays of one shape to a scalar."""
    error = prediction - y
    return (error * error).mean()


def momentum_buffer(gradient: Dual, buffer: Dual | None, momentum: Dual) -> Dual:
    """Return SGD's buffer after a step: in its first step the gradient."""
    return gradient if buffer is None else momentum * buffer + gradient


def updated(parameter: Dual, direction: Dual, lr: Dual) -> Dual:
    """Return the parameter after a step of SGD along the buffer, or the gradient."""
    return parameter - lr * direction


# ---- running them -----------------------------------------------------------------------------

Function = Callable[[Mapping[str, Dual]], Dual]
"""A function of all inputs by their names."""


def run(
    kind: type[Dual],
    make: Callable[[Array], Array],
    function: Function,
    inputs: Mapping[str, Array],
    by: str | None = None,
) -> Any:
    """Return what a function comes to in numbers of one kind, or its derivative.

    Args:
        kind: of the numbers.
        make: turns an array into what these are made of.
        function, inputs: the function, and its inputs by name.
        by: the input by each of whose elements to differentiate; None for the value itself. The
            output's elements are weighted by the input `grad_out`, of its shape, and added up.
    """
    made = {name: make(array) for name, array in inputs.items()}
    given = {name: kind(array, 0 * array) for name, array in made.items()}
    with np.errstate(all="ignore"):
        if by is None:
            return function(given).v
        found = np.empty_like(made[by])
        for index in np.ndindex(found.shape):
            d = np.zeros_like(made[by])
            d[index] += 1
            moved = {by: kind(made[by], d)}
            found[index] = np.sum(made["grad_out"] * function({**given, **moved}).d)
        return found


def squares(array: Array) -> Array:
    """Return what `Squares` are made of."""
    return np.square(array, dtype=np.float64)


def ones(array: Array) -> Array:
    """Return what `Counts` are made of."""
    return np.ones(array.shape)


def number(products: int, arrays: Iterable[Array]) -> Callable[[Array], Array] | None:
    """Return what turns an array into numbers exact enough, None if that takes too long."""
    arrays = list(arrays)
    if products <= MOST_FRACTIONS and all(np.isfinite(array).all() for array in arrays):
        return np.vectorize(Fraction, otypes=[object])
    exact = np.finfo(np.longdouble).eps < np.finfo(np.float64).eps
    if products <= MOST_FLOATS and (exact or arrays[0].dtype == np.float32):
        return lambda array: np.asarray(array, np.longdouble)
    return None


def rounded(values: Any, dtype: str) -> Array:
    """Return exact numbers, rounded once."""
    values = np.asarray(values)
    if values.dtype == object:
        values = np.vectorize(_float, otypes=[np.float64])(values)
    with np.errstate(all="ignore"):
        result: Array = values.astype(dtype)
    return result


def _float(value: Fraction) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.copysign(math.inf, value)
