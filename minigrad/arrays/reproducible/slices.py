"""Sums and products that do not depend on the order of summation: exact slices.

A matrix is written as a sum of *slices*, float64 matrices whose elements are small integers times
one common power of two. Each has so few bits that every product of two slices, and every partial
sum of such products, fits into the 53 bits of a float64. BLAS therefore computes the product of two
slices *exactly*, whichever order, blocking, number of threads or fused instructions it chooses.
Only these few exact results are then rounded, in a fixed order. This is the error-free
transformation of Ozaki, Ogita, Oishi and Rump 2012, *Error-free transformations of matrix
multiplication by using fast routines of matrix multiplication and its applications*.

Numbers in parentheses refer to the list in `minigrad.arrays.reproducible`.
"""

from __future__ import annotations

import math
import threading
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[Any]


class Format(NamedTuple):
    """A floating point format: the bits of its mantissa, and the bits that rows may span."""

    precision: int
    span: int


FORMATS = {np.dtype(np.float32): Format(24, 20), np.dtype(np.float64): Format(53, 8)}
"""The dtypes that are cut into slices."""

SAFE = 300
"""Between 2**-SAFE and 2**SAFE no product of slices can leave the exponents of float64."""


class Slices(NamedTuple):
    """A matrix as a sum: x ≈ 2**shift · (parts[0] + parts[1] + …), the largest part first.

    Attributes:
        parts: the slices, of the shape of the matrix.
        width: the number of bits in each.
        shift: 0, an integer, or integers of a shape that broadcasts against the matrix.
        span: by how many bits the vectors that are summed along differ in magnitude.
    """

    parts: list[Array]
    width: int
    shift: Any
    span: int = 0

    @property
    def mT(self) -> Slices:
        """The slices of the transposed matrix, in the same memory."""
        shift = self.shift.mT if isinstance(self.shift, np.ndarray) else self.shift
        return Slices([part.mT for part in self.parts], self.width, shift, self.span)


class _Scratch(threading.local):
    """Memory for intermediate results: fresh memory costs more than the arithmetic done in it."""

    def __init__(self) -> None:
        self._buffers: dict[str, Array] = {}
        self._matrices: dict[tuple[str, tuple[int, ...]], Array] = {}

    def matrix(self, role: str, shape: tuple[int, ...]) -> Array:
        """Return an uninitialised float64 array, valid until the role is asked for again."""
        matrix = self._matrices.get((role, shape))
        if matrix is None:
            size = math.prod(shape)
            buffer = self._buffers.get(role)
            if buffer is None or buffer.size < size:
                buffer = self._buffers[role] = np.empty(size)
                self._matrices.clear()  # of the smaller buffer
            matrix = self._matrices[role, shape] = buffer[:size].reshape(shape)
        return matrix


SCRATCH = _Scratch()


def slice_width(length: int) -> int:
    """Return how many bits a slice may have for sums of `length` products to be exact (1)."""
    return (53 - max(length - 1, 0).bit_length()) // 2


class Splits:
    """What a matrix is split into, computed when it is first asked for and kept.

    `old`, the splits of what the matrix was before it was written to, gives its memory.

    Attributes:
        x: the matrix, (n, m), float32 or float64.
        nonfinite: whether it has infinities or NaNs. They count as 0 in the slices.
    """

    def __init__(self, x: Array, old: Splits | None = None) -> None:
        self.x = self._finite = x
        self._old_parts = [] if old is None or old._whole is None else old._whole.parts
        self._format = FORMATS[x.dtype]
        self._peaks, self._top = _peaks(x)
        self.nonfinite = not math.isfinite(self._top)
        if self.nonfinite:
            self._finite = np.where(np.isfinite(x), x, 0)
            self._peaks, self._top = _peaks(self._finite)
        self._by_axis: dict[int, Slices] = {}
        self._whole: Slices | None = None

    def along(self, axis: int) -> Slices:
        """Return the slices to use where products or elements are summed along `axis`, 0 or 1.

        They are those of the whole matrix, with one exponent, unless the vectors along the axis
        differ too much in magnitude: then each vector gets an exponent of its own (3).
        """
        if axis in self._by_axis:
            return self._by_axis[axis]
        peaks = self._peaks[axis]
        smallest = np.minimum.reduce(peaks, axis=None, initial=self._top)
        if smallest == 0:
            smallest = np.where(peaks == 0, self._top, peaks).min(initial=self._top)
        exponent = math.frexp(self._top)[1]
        span = exponent - math.frexp(smallest)[1]
        if span > self._format.span:
            slices = self._split(np.frexp(peaks)[1])
        else:
            if self._whole is None:
                self._whole = self._split(exponent)
            slices = self._whole._replace(span=span)
        self._by_axis[axis] = slices
        return slices

    def _split(self, exponent: Any) -> Slices:
        """Split with |x| < 2**exponent, an integer or one for each row or column (2)."""
        x, shift = SCRATCH.matrix("rest", self._finite.shape), 0
        np.copyto(x, self._finite)
        if self._format.precision == 53 and np.any(np.abs(exponent) > SAFE):
            x, shift, exponent = scaled(x, -exponent), exponent, 0 * exponent
        width = slice_width(max(x.shape))
        count = -(-(self._format.precision + self._format.span) // (width + 1))
        parts = []
        ldexp: Any = math.ldexp if isinstance(exponent, int) else np.ldexp  # the former is faster
        for _ in range(count):
            # Beside the anchor a float64 has no bits below 2**(exponent - width).
            anchor = ldexp(1.5, 52 + exponent - width)
            part = self._old_parts.pop() if self._old_parts else np.empty(x.shape)
            np.add(x, anchor, out=part)
            np.subtract(part, anchor, out=part)
            parts.append(part)
            if len(parts) < count:
                np.subtract(x, part, out=x)
            exponent = exponent - (width + 1)
        return Slices(parts, width, shift)


class Transposed:
    """The splits of the transposed matrix, which are the matrix's own."""

    def __init__(self, splits: Splits) -> None:
        self.splits = splits
        self.x = splits.x.mT
        self.nonfinite = splits.nonfinite

    def along(self, axis: int) -> Slices:
        """Return the slices to use where products or elements are summed along `axis`."""
        return self.splits.along(1 - axis).mT


Factor: TypeAlias = Splits | Transposed


def _peaks(x: Array) -> tuple[tuple[Array, Array], float]:
    """Return the largest magnitudes of the columns (1, m), of the rows (n, 1), and of all."""
    magnitudes = np.absolute(x)
    columns = np.maximum.reduce(magnitudes, axis=0, keepdims=True, initial=0)
    rows = np.maximum.reduce(magnitudes, axis=1, keepdims=True, initial=0)
    return (columns, rows), float(np.maximum.reduce(rows, axis=None, initial=0))


def scaled(x: Array, exponent: Any) -> Array:
    """Return x · 2**exponent, in two steps so that no factor leaves float64 (6)."""
    exponent = np.clip(exponent, -2000, 2000)
    half = exponent // 2
    return np.asarray(x * np.ldexp(1.0, half) * np.ldexp(1.0, exponent - half))
