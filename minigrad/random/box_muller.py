"""The Box-Muller transform of torch's CPU generator, for 16 numbers and more.

Two uniform numbers, a depth and a turn, make two normal ones: the radius
``sqrt(-2 log(1 - depth))`` times the cosine and the sine of the angle ``2 pi turn``
(Box and Muller 1958, *A note on the generation of random normal deviates*).
Their bits depend on how the functions are computed:

- in float64 torch calls the C library's logarithm, sine and cosine. So does this, through the
  standard library's `math` (NumPy's own sometimes differ from them in the last bit);
- in float32 torch evaluates the polynomials of Cephes (Moshier; after Pommier's ``sse_mathfun``, in
  torch's ``aten/src/ATen/native/cpu/avx_mathfun.h``) with AVX2 instructions; they are repeated
  here. The compiler that built torch chose which sums are fused. The choice was found by trying all
  possibilities, and compared with torch for each of the 2**24 possible depths and turns.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minigrad.random.fused import fused_multiply_add

_Float32 = NDArray[np.float32]
_Float64 = NDArray[np.float64]

_LOG = (
    *(7.0376836292e-2, -1.1514610310e-1, 1.1676998740e-1, -1.2420140846e-1, 1.4249322787e-1),
    *(-1.6668057665e-1, 2.0000714765e-1, -2.4999993993e-1, 3.3333331174e-1),
)
_SIN = (-1.9515295891e-4, 8.3321608736e-3, -1.6666654611e-1)
_COS = (2.443315711809948e-5, -1.388731625493765e-3, 4.166664568298827e-2)
# In parts, the leading ones of few bits, so that their products with small integers are exact.
_LOG_2 = (0.693359375, -2.12194440e-4)
_QUARTER_PI = (0.78515625, 2.4187564849853515625e-4, 3.77489497744594108e-8)


def box_muller(fractions: NDArray[Any]) -> NDArray[Any]:
    """Return standard normal numbers, made of numbers uniform on [0, 1).

    Args:
        fractions: shape [16 k], float32 or float64. Of each 16, the first eight are depths, the
            others turns.

    Returns:
        an array of the same shape and dtype. Of each 16, the first eight are made with the cosine,
        the others with the sine.
    """
    blocks = fractions.reshape(-1, 2, 8)
    dtype = fractions.dtype.type
    rest = dtype(1) - blocks[:, 0]
    angle = dtype(2 * math.pi) * blocks[:, 1]
    log: NDArray[Any]
    sin: NDArray[Any]
    cos: NDArray[Any]
    if dtype is np.float32:
        log, sin, cos = _log_float32(rest), *_sin_cos_float32(angle)
    else:
        log, sin, cos = _each(math.log, rest), _each(math.sin, angle), _each(math.cos, angle)
    radius = np.sqrt(dtype(-2) * log)
    return np.stack([radius * cos, radius * sin], axis=1).reshape(-1)


def _each(function: Callable[[float], float], x: _Float64) -> _Float64:
    """Apply a function of the C library to every element."""
    return np.fromiter(map(function, x.ravel().tolist()), np.float64, x.size).reshape(x.shape)


def _log_float32(x: _Float32) -> _Float32:
    """Return log(x) for x in (0, 1]."""
    mantissa, exponent = np.frexp(x)
    low = mantissa < np.float32(math.sqrt(0.5))
    exponents = (exponent - low).astype(np.float32)
    x = mantissa - np.float32(1) + np.where(low, mantissa, np.float32(0))
    square = x * x
    y = x * _polynomial(_LOG, x)
    y = fused_multiply_add(y, square, exponents * np.float32(_LOG_2[1]))
    y = x + (y - square * np.float32(0.5))
    return fused_multiply_add(exponents, np.float32(_LOG_2[0]), y)


def _sin_cos_float32(x: _Float32) -> tuple[_Float32, _Float32]:
    """Return sin(x) and cos(x) for x in [0, 2 pi]."""
    # The nearest even octant, whose start is subtracted in three parts.
    octant = ((x * np.float32(4 / math.pi)).astype(np.int32) + 1) & ~1
    for part in _QUARTER_PI:
        x = fused_multiply_add(octant.astype(np.float32), np.float32(-part), x)
    square = x * x
    sine = fused_multiply_add(square * _polynomial(_SIN, square), x, x)
    cosine = square * _polynomial(_COS, square)
    cosine = fused_multiply_add(cosine, square, square * np.float32(-0.5)) + np.float32(1)
    turned = octant & 2 != 0  # by a right angle: sine and cosine change places
    sine, cosine = np.where(turned, cosine, sine), np.where(turned, sine, cosine)
    sine[octant & 4 != 0] *= -1
    cosine[(octant + 2) & 4 != 0] *= -1
    return sine, cosine


def _polynomial(coefficients: Sequence[float], x: _Float32) -> _Float32:
    """Return a polynomial by Horner's rule in float32, highest power first, every step fused."""
    total: _Float32 = np.full_like(x, coefficients[0])
    for coefficient in coefficients[1:]:
        total = fused_multiply_add(total, x, np.float32(coefficient))
    return total
