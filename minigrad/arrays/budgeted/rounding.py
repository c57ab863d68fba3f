"""How large the rounding error of a call is, and how the errors of its inputs pass through it.

The error e of a value v is taken as a random variable of mean 0 and variance σ²·u², u the unit
roundoff of the dtype: 2⁻²⁴ for float32, 2⁻⁵³ for float64. σ² is what is computed here, in float64,
where neither it nor its products underflow for float32 values.

*Propagation* is to first order: f(x + eₓ, y + e_y) - f(x, y) ≈ f'ₓ·eₓ + f'_y·e_y, with errors of
different values taken as independent, so that σ² = f'ₓ²·σₓ² + f'_y²·σ_y². That errors may be
treated as independent and of zero mean, and that sums then err by √n·u and not n·u, is what Higham
and Mary 2019 (*A new approach to probabilistic rounding error analysis*, SIAM J. Sci. Comput. 41)
show and test.

Where errors are plainly not independent that would be too little, and it is not relied on: equal
rows of data have equal errors (`copies`), and the error of a residual is common to its whole row of
the backward pass (`budget_sums.matmul`).

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

ONE_SIDED = 1 / 64
"""The weight of equal terms in the variance of a sum: n errors of n·u·|v|/8."""

LONG, PARTS = 256, 8
"""Sums of so many terms are looked at in so many parts."""


SMALLEST = 1e-18
"""Products of larger numbers do not underflow in float32."""


def summed(terms: int, squares: Any, value: Any, path: Any = None, copies: float = 1.0) -> Any:
    """Return σ² of the rounding of sums: σ² = n·(Σtᵢ² + path + m·v²/64).

    - Terms of random sign: sᵢ wanders, sᵢ² ≈ i·mean(t²), and Σsᵢ² ≈ n·Σtᵢ²/2. With a variance of
      ⅓ for each rounding that is n·Σtᵢ²/6, and the products' own roundings are Σtᵢ²/3.
    - Terms of one sign: sᵢ drifts to v, sᵢ ≈ (i/n)·v, and Σsᵢ² ≈ n·v²/3, of which one third is
      n·v²/9. Data that is sorted can make partial sums that are large and cancel; then the drift
      is not seen in v. `path`, the mean square of the partial sums, sees it: it is v²/3 by
      default, and measured where n is large enough for it to matter (`path_of_product`).
    - Equal terms: while the partial sums stay between two powers of two, adding the same term
      rounds in the same direction by the same amount, and n such errors add up to n·u·|v|/2 and a
      little more. With d different terms, each m = n/d times, d such errors are independent, in
      all √d·m = √(n·m) of them.

    The first two are 6 and 3 times (in variance) what is typical of adding up one term after the
    other, since a sum's own course varies as much; kernels that add in several lanes err less.

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
    """Return what Σtᵢ² is multiplied by; a single product is rounded once."""
    return float(terms) if terms > 1 else ROUNDED


def added_to_product(terms: int, other: Any) -> Any:
    """Return what adding b to a product of matrices brings to σ² beside one rounding: n·b²/3.

    x·Wᵀ + b is one call in many libraries, and they may begin with b: then each of the n additions
    rounds a partial sum b + sᵢ. Σ(b + sᵢ)²/3 ≈ n·(b² + 2·b·s̄ + s̄²)/3, and `summed` has three times
    s̄² already, of which the mixed part is made. Beside a large b that is much more than what the
    sum of small terms and a single rounding of the result would have.
    """
    return np.square(other, dtype=np.float64) * (terms * ROUNDED)


def path_of_product(x: Any, y: Any) -> Any:
    """Return the mean square of the partial sums of x·y, or None for short sums.

    Looks at PARTS partial sums, which together cost one more product of matrices.
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


def path_of_sum(rows: Any) -> Any:
    """Return the mean square of the partial sums of (terms, …) along the first axis."""
    if len(rows) < LONG:
        return None
    starts = np.arange(PARTS) * (len(rows) // PARTS)
    parts = np.add.reduceat(rows, starts, axis=0, dtype=np.float64)
    return np.square(np.add.accumulate(parts, axis=0)).mean(axis=0)


def copies(rows: Any, resolution: float = 0.0) -> float:
    """Return how often an average row of a matrix is there: Σnⱼ²/n, if row j is there nⱼ times.

    Rows count as equal if their sums are, to within `resolution` times the largest sum.
    """
    marks = np.add.reduce(rows, axis=1)
    if resolution > 0:
        marks = np.rint(marks / (np.abs(marks).max(initial=0.0) * resolution))
    _, counts = np.unique(marks, return_counts=True)
    return float(np.square(counts).sum() / len(rows)) if len(counts) < len(rows) else 1.0


def product(x: Any, y: Any, dtype: Any) -> Any:
    """Return the product of matrices of variances, as precisely as is needed.

    For float32 values it is computed in float32, twice as fast. Every row of x and column of y is
    scaled to 1 for that; where smaller elements would be lost, it is computed in float64.
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


def grain(rows: Any) -> float:
    """Return how often terms are the same as far as a sum of them can tell, 1 for short sums.

    n terms that differ by less than the spacing of numbers near their sum are rounded alike, and
    those that are smaller than that beside the largest terms are lost alike.
    """
    if len(rows) < LONG:
        return 1.0
    return copies(rows, len(rows) * unit_roundoff(rows.dtype) / 4)


def grain_of_products(x: Any, y: Any) -> float:
    """Return the same for the terms of a product of matrices, by the sizes of their factors.

    Terms may span far more than either factor does.
    """
    if len(y) < LONG:
        return 1.0
    sizes = np.add.reduce(np.abs(x), axis=0, dtype=np.float64)
    sizes *= np.add.reduce(np.abs(y), axis=1, dtype=np.float64)
    return copies(sizes[:, None], len(y) * unit_roundoff(x.dtype) / 4)


class Smooth(NamedTuple):
    """An element-wise call that is differentiable wherever it is finite.

    Attributes:
        slopes: for each input ∂f/∂x, a function of (out, *inputs); None for 1.
        own: the variance of its own relative error.
    """

    slopes: tuple[Callable[..., Any] | None, ...]
    own: float


def _double(ufunc: np.ufunc, *inputs: Any) -> Any:
    return ufunc(*inputs, dtype=np.float64)


SMOOTH: dict[np.ufunc, Smooth] = {
    np.add: Smooth((None, None), ROUNDED),
    np.subtract: Smooth((None, lambda out, x, y: -1.0), ROUNDED),
    np.multiply: Smooth((lambda out, x, y: y, lambda out, x, y: x), ROUNDED),
    np.divide: Smooth(
        (
            lambda out, x, y: _double(np.divide, 1, y),
            lambda out, x, y: -_double(np.divide, out, y),
        ),
        ROUNDED,
    ),
    np.square: Smooth((lambda out, x: _double(np.multiply, 2, x),), ROUNDED),
    np.sqrt: Smooth((lambda out, x: _double(np.divide, 0.5, out),), ROUNDED),
    np.exp: Smooth((lambda out, x: out,), LIBRARY),
    np.log: Smooth((lambda out, x: _double(np.divide, 1, x),), LIBRARY),
    np.tanh: Smooth((lambda out, x: 1 - _double(np.square, out),), LIBRARY),
    np.power: Smooth(
        (
            lambda out, x, y: y * _double(np.power, x, y - 1),
            lambda out, x, y: out * _double(np.log, x),
        ),
        LIBRARY,
    ),
    np.negative: Smooth((lambda out, x: -1.0,), 0.0),
    np.absolute: Smooth((lambda out, x: np.sign(x),), 0.0),
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
    """Return Σ slope²·σ² over inputs (slope or None for 1, σ² or None for 0); None for none."""
    total: Any = None
    for slope, variance in parts:
        if variance is None:
            continue
        part = variance
        if slope is not None:
            part = np.multiply(variance, np.square(slope, dtype=np.float64))
            if np.isnan(np.max(part, initial=0.0)):
                # An infinite slope and an exact value; or an overflow where the slope is 0: what
                # another engine has there changes the result by less than the smallest number.
                part = np.where(np.equal(variance, 0) | np.equal(slope, 0), 0, part)
        total = part if total is None else np.add(total, part)
    return total
