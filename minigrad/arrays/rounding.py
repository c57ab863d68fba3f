"""How large the rounding error of a call is, and how the errors of its inputs pass through it.

The error e of a value v is taken as a random variable of mean 0 and variance σ²·u², u the unit
roundoff of the dtype: 2⁻²⁴ for float32, 2⁻⁵³ for float64. σ² is what is computed here, in float64,
where neither it nor its products underflow for float32 values.

*Propagation* is to first order: f(x + eₓ, y + e_y) - f(x, y) ≈ f'ₓ·eₓ + f'_y·e_y, with errors of
different values taken as independent, so that σ² = f'ₓ²·σₓ² + f'_y²·σ_y². That errors may be
treated as independent and of zero mean, and that sums then err by √n·u and not n·u, is what Higham
and Mary 2019 (*A new approach to probabilistic rounding error analysis*, SIAM J. Sci. Comput. 41)
show and test.

*The call's own rounding.* IEEE 754 rounds + − × ÷ √ correctly: the error is uniform within half a
unit in the last place, which is at most u·|v|: variance ≤ v²/3. Functions of a mathematics library
are within a few units in the last place (NumPy states up to 4): variance 4·v².

*Sums and products of matrices* are sums v = Σtᵢ of n terms, in an order nobody knows. Whatever it
is, n additions round n partial sums sᵢ: e = Σδᵢ·sᵢ with |δᵢ| ≤ u (Higham 2002, *Accuracy and
Stability of Numerical Algorithms*, section 4.2). Three parts make σ²; see `summed`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Float64 = NDArray[np.float64]

ROUNDED = 1 / 3
"""Variance of the relative error of a correctly rounded result, in u²."""

LIBRARY = 4.0
"""The same of exp, log, tanh and power."""

WANDERING, DRIFTING, ONE_SIDED = 4.0, 1.0, 1 / 64
"""The weights of the three parts of a sum's variance; `make calibrate` tests them."""


def summed(terms: int, squares: Any, value: Any) -> Any:
    """Return σ² of the rounding of sums: σ² = n·(4·Σtᵢ² + v²) + (n·v/8)².

    - Terms of random sign: sᵢ wanders, sᵢ² ≈ i·mean(t²), and Σsᵢ² ≈ n·Σtᵢ²/2.
    - Terms of one sign: sᵢ drifts to v, sᵢ ≈ (i/n)·v, and Σsᵢ² ≈ n·v²/3.
    - Equal terms: while the partial sums stay between two powers of two, every addition rounds
      in the same direction by the same amount, and these errors add up, as |e| ≤ n·u·|v|/2 and a
      little more from the smaller partial sums. Rows of data that occur twice do that.

    The first two have factors above ½·ROUNDED and ⅓·ROUNDED because an order of summation can be
    worse than the typical one: data that is sorted makes large partial sums that cancel.

    Args:
        terms: n, the number of terms.
        squares: Σtᵢ², or None if `WANDERING·n·Σtᵢ²` is added elsewhere.
        value: v.
    """
    if terms == 0:
        return np.zeros(np.shape(value))
    drift = DRIFTING * terms + ONE_SIDED * terms**2 if terms > 1 else 0.0
    own = np.multiply(np.square(value, dtype=np.float64), drift)
    return own if squares is None else np.add(own, np.multiply(squares, wandering(terms)))


def wandering(terms: int) -> float:
    """Return what Σtᵢ² is multiplied by; a single product is rounded once."""
    return WANDERING * terms if terms > 1 else ROUNDED


class Smooth(NamedTuple):
    """An element-wise call that is differentiable wherever it is finite.

    Attributes:
        slopes: for each input |∂f/∂x|, a function of (out, *inputs) in float64; None for 1.
        own: the variance of its own relative error.
    """

    slopes: tuple[Callable[..., Any] | None, ...]
    own: float


SMOOTH: dict[np.ufunc, Smooth] = {
    np.add: Smooth((None, None), ROUNDED),
    np.subtract: Smooth((None, None), ROUNDED),
    np.multiply: Smooth((lambda out, x, y: np.abs(y), lambda out, x, y: np.abs(x)), ROUNDED),
    np.divide: Smooth(
        (lambda out, x, y: np.abs(1 / y), lambda out, x, y: np.abs(out / y)), ROUNDED
    ),
    np.square: Smooth((lambda out, x: np.abs(2 * x),), ROUNDED),
    np.sqrt: Smooth((lambda out, x: 0.5 / out,), ROUNDED),
    np.exp: Smooth((lambda out, x: out,), LIBRARY),
    np.log: Smooth((lambda out, x: np.abs(1 / x),), LIBRARY),
    np.tanh: Smooth((lambda out, x: 1 - np.square(out),), LIBRARY),
    np.power: Smooth(
        (
            lambda out, x, y: np.abs(y * np.power(x, y - 1)),
            lambda out, x, y: np.abs(out * np.log(x)),
        ),
        LIBRARY,
    ),
    np.negative: Smooth((None,), 0.0),
    np.absolute: Smooth((None,), 0.0),
}
"""What differentiation rules say. |x| and maximum are not smooth, but change by no more than their
inputs do, and that is what is needed here."""


def unit_roundoff(dtype: Any) -> float:
    """Return u, half the distance from 1 to the next number; 0 for integers and bools."""
    return float(np.finfo(dtype).eps) / 2 if dtype.kind == "f" else 0.0


def constant(number: float, dtype: Any) -> float:
    """Return σ² of a Python number that becomes part of an array: exact if the dtype has it.

    Where it stands in a formula decides whether it is rounded before it is used or kept in double
    precision, and that differs between correct engines.
    """
    if dtype.kind != "f" or not math.isfinite(number) or float(dtype.type(number)) == number:
        return 0.0
    return ROUNDED * number**2


def propagated(parts: list[tuple[Any, Any]]) -> Any:
    """Return Σ slope²·σ² over inputs (slope, σ²); where σ² is 0 the slope does not matter."""
    total: Any = None
    for slope, variance in parts:
        part = variance
        if slope is not None:
            part = np.multiply(variance, np.square(slope))
            if np.isnan(part).any():  # an infinite slope times an exact value
                part = np.where(np.equal(variance, 0), 0, part)
        total = part if total is None else np.add(total, part)
    return total
