"""The fused multiply-add, and `arange` and `linspace`, which torch computes with it.

Compilers turn ``a * b + c`` in torch's kernels into one instruction that rounds once where NumPy
rounds twice. To draw torch's numbers in every bit, NumPy has to imitate that instruction.
"""

import math
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from minigrad.dtypes import number_as

_Float64 = NDArray[np.float64]

# Between these magnitudes no step of the float64 algorithm overflows, and the rounding error of a
# product is itself a float64 (its last bit may be 2**-105 times the product's first, and the
# smallest float64 is 2**-1074).
_SMALLEST, _LARGEST = 2.0**-900, 2.0**990


def fused_multiply_add(a: ArrayLike, b: ArrayLike, c: ArrayLike) -> NDArray[Any]:
    """Return ``a * b + c`` rounded once, as IEEE 754's fusedMultiplyAdd and C's `fma` round it.

    float32: the product of two float32 is exact in float64. Rounding the sum to float64 and then to
    float32 would round twice, which is wrong where the first rounding ends on the midpoint of two
    float32 (about one sum in 2**29; with bounds like 100 and 101.1, `uniform` would meet it). So
    the sum is rounded *to odd*, after which the second rounding is always right.

    float64: Dekker's product and Knuth's sum lose nothing, and the small parts are again added with
    rounding to odd. This is exact while ``a * b`` is between 2**-900 and 2**990 in magnitude and
    ``a``, ``b``, ``c`` are below 2**990. Elements outside are computed in rational arithmetic,
    which is slow and as exact.

    Both methods are Boldo and Melquiond 2008, *Emulation of a FMA and correctly rounded sums:
    proved algorithms using rounding to odd*. Subnormals, infinities, NaN and the sign of zero are
    those of the instruction.

    Args:
        a, b, c: arrays or scalars, float32 or float64, that broadcast together. A Python number
            takes the dtype of the arrays beside it.

    Returns:
        An array of the broadcast shape and the common dtype.

    Raises:
        TypeError: the common dtype is neither float32 nor float64.
    """
    dtype = np.result_type(a, b, c)
    if dtype not in (np.float32, np.float64):
        raise TypeError(
            f"fused_multiply_add takes float32 or float64, but its arguments combine to {dtype}; "
            "convert them with astype first"
        )
    x, y, z = (np.asarray(value, dtype) for value in (a, b, c))
    with np.errstate(all="ignore"):
        if (y == 1).all():  # nothing to fuse: the product is exact
            return np.asarray(x + z)
        if dtype == np.float32:
            product = np.multiply(x, y, dtype=np.float64)
            return _add_rounding_to_odd(product, z.astype(np.float64)).astype(np.float32)
        return _fused_float64(x, y, z)


def arange(start: float, end: float, step: float, dtype: DTypeLike = np.float32) -> NDArray[Any]:
    """Return the numbers from `start` in steps of `step`, before `end`.

    torch computes them in blocks, as many numbers as fit into 32 bytes: each block's first number
    by a fused multiply-add, in float64, then rounded to `dtype`, and the others from that one in
    the same way. What is left after the last pair of blocks is computed number by number. So it is
    here, and the result is torch's in every bit, where torch

    * has a processor with AVX2, as all it is built for on x86 since 2013. Without it, or with
      vectors of another width, float64 is rounded differently;
    * works in one thread, as it does for less than 32,768 numbers. Otherwise each thread begins
      new blocks with its share.

    Elsewhere, floating-point numbers may differ by up to 4 units in the last place of the larger
    end. Integers are exact.

    Args:
        start, end, step: Python numbers. For int64 each is truncated first.
        dtype: float32, float64 or int64.

    Returns:
        Array of shape [⌈(end - start)/step⌉], the quotient in float64 unless `dtype` is int64.

    Raises:
        RuntimeError: the step is 0, not a number, or leads away from the end; or the range is not
            finite, or beyond int64.
        ValueError: the step becomes 0 when it is truncated.
    """
    kind = np.dtype(dtype)
    first, last, by = (
        map(int, (start, end, step)) if kind == np.int64 else map(float, (start, end, step))
    )
    leads_away = (end - start) * step < 0
    if step != 0 == by and not leads_away:
        raise ValueError(f"arange: a step of {step} is 0 as an integer, and must not be 0")
    distance = last - first
    if kind == np.int64:
        count = -(-distance // by) if by else 0
        counted = abs(distance) + abs(by) <= 2**63  # torch's division rounds up after an addition
    else:
        quotient = distance / by if by else 0
        counted = math.isfinite(distance) and abs(quotient) < 2**63
        count = math.ceil(quotient) if counted else 0
    if leads_away or not counted or not ((by > 0 and last >= first) or (by < 0 and last <= first)):
        raise RuntimeError(
            f"arange: from {start} to {end} in steps of {step} is not possible: the range must be "
            "finite (and within int64), and the step not 0 and of the sign of end - start"
        )
    index = np.arange(count)
    if kind == np.int64:
        return first + by * index
    block = 32 // kind.itemsize
    within = np.where(index < count - count % (2 * block), index % block, 0)
    with np.errstate(over="ignore"):
        base = fused_multiply_add((index - within).astype(float), by, first).astype(kind)
        inner = fused_multiply_add(within.astype(float), by, base.astype(float)).astype(kind)
    return np.where(within, inner, base)  # not the same where base is -0.0


def linspace(start: float, end: float, steps: int, dtype: DTypeLike = np.float32) -> NDArray[Any]:
    """Return evenly spaced numbers from `start` to `end`: `torch.linspace` in every bit.

    That is torch on a processor with fused multiply-add. The sign of a NaN is left open.

    Element i is ``start + step * i`` in the first half and ``end - step * (steps - 1 - i)`` in the
    second, which includes the middle one, so both ends are met. Each is one fused multiply-add. All
    intermediates have the precision of `dtype`. With one step the result is `start`.

    Args:
        start, end: the first and the last value.
        steps: the number of them, at least 0.
        dtype: float32 or float64.

    Returns:
        Array of shape [steps].

    Raises:
        TypeError: `steps` is not an integer, or an end is not a number.
        NotImplementedError: `dtype` is neither float32 nor float64.
        RuntimeError: `steps` is negative, or an end is finite and beyond `dtype` (OverflowError for
            an int beyond int64).
    """
    kind = np.dtype(dtype)
    if isinstance(steps, bool) or not isinstance(steps, (int, np.integer)):
        raise TypeError(f"linspace expected an integer number of steps, but got {steps!r}")
    if steps < 0:
        raise RuntimeError(f"linspace: number of steps must be non-negative, but got {steps}")
    if kind not in (np.float32, np.float64):
        raise NotImplementedError(f"linspace makes float32 or float64, but dtype is {kind}")
    for name, value in (("start", start), ("end", end)):
        if not isinstance(value, (int, float, np.floating, np.integer)):
            raise TypeError(f"linspace: {name} must be a number, not {type(value).__name__}")
        number_as(f"linspace: {name}", value, kind)
    first, last = np.array([start, end], kind)
    if steps < 2:
        return np.full(steps, first)
    with np.errstate(all="ignore"):
        step = (last - first) / np.array(steps - 1, kind)
    half = steps // 2
    return np.concatenate(
        [
            fused_multiply_add(np.arange(half).astype(kind), step, first),
            fused_multiply_add(np.arange(steps - half)[::-1].astype(kind), -step, last),
        ]
    )


def _fused_float64(x: _Float64, y: _Float64, z: _Float64) -> _Float64:
    """Return ``x * y + z`` rounded once."""
    x, y, z = np.broadcast_arrays(x, y, z)
    product, product_error = _multiply_exactly(x, y)
    small, small_error = _add_exactly(z, product_error)
    total, total_error = _add_exactly(product, small)
    out = np.asarray(total + _add_rounding_to_odd(small_error, total_error))
    without_product = (x == 0) | (y == 0)
    out = np.where(without_product, product + z, out)
    ordinary = (np.abs(product) > _SMALLEST) & (np.abs(product) < _LARGEST)
    for operand in (x, y, z):
        ordinary &= np.abs(operand) < _LARGEST
    for i in np.flatnonzero(~(ordinary | without_product)):
        out.flat[i] = _fused_rational(float(x.flat[i]), float(y.flat[i]), float(z.flat[i]))
    return out


def _fused_rational(x: float, y: float, z: float) -> float:
    """Return ``x * y + z`` rounded once, for any three float64."""
    if not (math.isfinite(x) and math.isfinite(y)):
        return x * y + z
    if not math.isfinite(z):
        return z  # x * y is finite, even where it overflows
    exact = Fraction(x) * Fraction(y) + Fraction(z)
    if exact == 0:
        return x * y + z  # for the sign of zero
    try:
        return float(exact)  # rounds correctly, subnormals included
    except OverflowError:
        return math.inf if exact > 0 else -math.inf


def _multiply_exactly(x: _Float64, y: _Float64) -> tuple[_Float64, _Float64]:
    """Return the product and its rounding error: their sum is ``x * y`` exactly (Dekker 1971)."""
    product = x * y
    x_high, x_low = _split(x)
    y_high, y_low = _split(y)
    return product, x_low * y_low - (
        ((product - x_high * y_high) - x_low * y_high) - x_high * y_low
    )


def _split(x: _Float64) -> tuple[_Float64, _Float64]:
    """Return two numbers of at most 26 bits that sum to `x` exactly (Veltkamp 1968)."""
    scaled = 134217729.0 * x  # 2**27 + 1
    high = scaled - (scaled - x)
    return high, x - high


def _add_exactly(x: _Float64, y: _Float64) -> tuple[_Float64, _Float64]:
    """Return the sum and its rounding error: together they are ``x + y`` exactly (Knuth 1969)."""
    total = x + y
    y_part = total - x
    return total, (x - (total - y_part)) + (y - y_part)


def _add_rounding_to_odd(x: _Float64, y: _Float64) -> _Float64:
    """Return ``x + y``; where it is inexact, that of its two neighbours whose last bit is 1."""
    total, error = _add_exactly(x, y)
    up, down = error > 0, error < 0  # both false for NaN
    inexact = up | down
    if not inexact.any():
        return total
    bits = np.asarray(total).view(np.int64)
    even = inexact & (bits & 1 == 0)
    # One up in the bits is one away from zero.
    return np.asarray(bits + even * np.where(up == (total > 0), 1, -1)).view(np.float64)
