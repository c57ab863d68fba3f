"""Sums and matrix products that do not depend on order; see `torch_impl.reproducible`."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

PRECISION = {torch.float32: 24, torch.float64: 53}
SPAN = {torch.float32: 20, torch.float64: 8}
UNSCALED = 300  # the largest exponent at which float64 matrices need no scaling


class _Slices:
    """A matrix of finite values as a sum of float64 matrices, times 2^exponent."""

    def __init__(self, matrix: Tensor, exponent: Any) -> None:
        """Split, all magnitudes being below 2^exponent: an int, or ints for rows or columns."""
        dtype = matrix.dtype
        rest = matrix.double()
        self.exponent: Any = 0
        largest = int(exponent.abs().max()) if isinstance(exponent, Tensor) else abs(exponent)
        if dtype == torch.float64 and largest > UNSCALED:
            rest = _times_power(rest, -exponent)
            self.exponent, exponent = exponent, exponent * 0
        width = (53 - (max(matrix.shape) - 1).bit_length()) // 2
        self.step = width + 1
        self.slices: list[Tensor] = []
        for _ in range(math.ceil((PRECISION[dtype] + SPAN[dtype]) / self.step)):
            # A number added to this keeps no bits below 2^(exponent - width).
            large = 1.5 * _power(52 + exponent - width)
            self.slices.append((rest + large) - large)
            rest = rest - self.slices[-1]
            exponent = exponent - self.step


class Factor:
    """A matrix (n, m) that is split when it is first summed along, and remembers its slices.

    Raises:
        TypeError: it is neither float32 nor float64.
        ValueError: it is not a matrix.
    """

    def __init__(self, matrix: Tensor) -> None:
        if matrix.dtype not in PRECISION:
            raise TypeError(f"reproducible sums take float32 or float64, not {matrix.dtype}")
        if matrix.ndim != 2:
            raise ValueError(f"a factor is a matrix, not a tensor of shape {tuple(matrix.shape)}")
        self.matrix = matrix
        self.finite = True
        self._values = matrix  # with 0 in place of what is not finite
        self._shared: _Slices | None = None
        self._along: dict[int, tuple[_Slices, int]] = {}
        if matrix.numel():
            self._measure()

    def _measure(self) -> None:
        """Find the largest magnitudes of columns and rows, of all, and the smallest of each."""
        sizes = self._values.abs()
        self._peaks = sizes.amax(0, keepdim=True), sizes.amax(1, keepdim=True)
        top = self._peaks[0].max()
        least = [torch.where(peaks == 0, top, peaks).min() for peaks in self._peaks]
        # One transfer from the device for all three.
        self._top, *self._least = torch.stack([top, *least]).tolist()
        if not math.isfinite(self._top):
            self.finite = False
            self._values = torch.where(self.matrix.isfinite(), self.matrix, 0)
            self._measure()

    def along(self, dim: int) -> tuple[_Slices, int]:
        """Return the slices for sums along `dim`, 0 or 1, and how many bits the vectors span."""
        if dim not in self._along:
            exponent = math.frexp(self._top)[1]
            span = exponent - math.frexp(self._least[dim])[1]
            if span > SPAN[self.matrix.dtype]:
                own = torch.frexp(self._peaks[dim]).exponent.long()
                self._along[dim] = _Slices(self._values, own), 0
            else:
                self._shared = self._shared or _Slices(self._values, exponent)
                self._along[dim] = self._shared, span
        return self._along[dim]


def contract(x: Factor, x_dim: int, y: Factor, y_dim: int) -> Tensor:
    """Return the products of x's vectors along `x_dim` with y's along `y_dim`.

    x's other dimension comes first: `contract(x, 1, y, 0)` is x·y, `contract(x, 1, y, 1)` x·yᵀ.

    Raises:
        ValueError: the lengths or the dtypes differ.
    """
    dtype, terms = x.matrix.dtype, x.matrix.shape[x_dim]
    if dtype != y.matrix.dtype or terms != y.matrix.shape[y_dim]:
        raise ValueError(
            f"cannot multiply {dtype} {tuple(x.matrix.shape)} along {x_dim} with {y.matrix.dtype} "
            f"{tuple(y.matrix.shape)} along {y_dim}: dtypes and lengths must be equal"
        )
    left = x.matrix if x_dim == 1 else x.matrix.mT
    right = y.matrix if y_dim == 0 else y.matrix.mT
    if terms == 1:
        return left * right + 0.0
    if not left.numel() or not right.numel():
        return left.new_zeros(left.shape[0], right.shape[1])
    (x_split, x_span), (y_split, y_span) = x.along(x_dim), y.along(y_dim)
    chosen = [
        (i + j, -i)
        for i in range(len(x_split.slices))
        for j in range(len(y_split.slices))
        if i * x_split.step + j * y_split.step < PRECISION[dtype] + 8 + x_span + y_span
    ]
    out: Tensor | None = None
    for level, minus_i in sorted(chosen, reverse=True):
        a, b = x_split.slices[-minus_i], y_split.slices[level + minus_i]
        exact = (a if x_dim == 1 else a.mT) @ (b if y_dim == 0 else b.mT)
        out = exact if out is None else out + exact
    assert out is not None
    a, b = x_split.exponent, y_split.exponent
    a = a.reshape(-1, 1) if isinstance(a, Tensor) else a
    b = b.reshape(1, -1) if isinstance(b, Tensor) else b
    out = _rounded(out, a + b, dtype)
    if not (x.finite and y.finite):
        out = _with_classes(out, left, right)
    return out


def total(x: Tensor, dim: int | Sequence[int] | None = None, keepdim: bool = False) -> Tensor:
    """Return the sum over one dimension, several, or all (None)."""
    named = range(x.ndim) if dim is None else [dim] if isinstance(dim, int) else dim
    dims = sorted(d % x.ndim for d in named)
    kept = [d for d in range(x.ndim) if d not in dims]
    if x.ndim == 2 and len(dims) == 1:
        sums = sums_along(Factor(x), dims[0])
    else:
        terms = math.prod(x.shape[d] for d in dims)
        rows = math.prod(x.shape[d] for d in kept)
        sums = sums_along(Factor(x.permute(*kept, *dims).reshape(rows, terms)), 1)
    shape = [1 if d in dims else n for d, n in enumerate(x.shape)]
    return sums.reshape(shape if keepdim else [x.shape[d] for d in kept])


def sums_along(x: Factor, dim: int) -> Tensor:
    """Return the sums of a matrix along `dim`, which is left out of the result."""
    if x.matrix.shape[dim] == 1:
        return x.matrix.squeeze(dim) + 0.0
    if not x.matrix.numel():
        return x.matrix.sum(dim)
    split, _ = x.along(dim)
    out: Tensor | None = None
    for part in reversed(split.slices):
        exact = part.sum(dim)
        out = exact if out is None else out + exact
    assert out is not None
    exponent = split.exponent
    shift = exponent.squeeze(dim) if isinstance(exponent, Tensor) else exponent
    out = _rounded(out, shift, x.matrix.dtype)
    if not x.finite:
        special = torch.where(x.matrix.isfinite(), 0, x.matrix).sum(dim)
        out = torch.where(special == 0, out, special)
    return out


def _rounded(values: Tensor, exponent: Any, dtype: torch.dtype) -> Tensor:
    """Return values · 2^exponent in the dtype, zeros positive."""
    if isinstance(exponent, Tensor) or exponent != 0:
        values = _times_power(values, exponent)
    return values.to(dtype) + 0.0


def _times_power(values: Tensor, exponent: Any) -> Tensor:
    if isinstance(exponent, Tensor):
        exponent = exponent.clamp(-2000, 2000)
    else:
        exponent = max(-2000, min(exponent, 2000))
    half = exponent // 2
    scaled: Tensor = values * _power(half) * _power(exponent - half)
    return scaled


def _power(exponent: Any) -> Any:
    """Return 2^exponent as float64, made from its bits: torch.ldexp calls `pow`."""
    if isinstance(exponent, Tensor):
        return ((exponent + 1023) << 52).view(torch.float64)
    return 2.0**exponent


def _with_classes(out: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Return `out` with NaN and infinities where terms that are not finite decide.

    Terms are counted by products of zeros and ones, which are exact.
    """
    nan = x.isnan().any(1, keepdim=True) | y.isnan().any(0, keepdim=True)
    if not (x.isinf().any() or y.isinf().any()):
        return out.masked_fill(nan, math.nan)

    def some(*pairs: tuple[Tensor, Tensor]) -> Tensor:
        return torch.stack([a.double() @ b.double() for a, b in pairs]).sum(0) > 0

    x_inf, y_inf = x.isinf(), y.isinf()
    positive = some(
        ((x > 0) & x_inf, y > 0),
        ((x < 0) & x_inf, y < 0),
        (x > 0, (y > 0) & y_inf),
        (x < 0, (y < 0) & y_inf),
    )
    negative = some(
        ((x > 0) & x_inf, y < 0),
        ((x < 0) & x_inf, y > 0),
        (x > 0, (y < 0) & y_inf),
        (x < 0, (y > 0) & y_inf),
    )
    nan |= some((x_inf, y == 0), (x == 0, y_inf)) | (positive & negative)
    out = out.masked_fill(positive, math.inf).masked_fill(negative, -math.inf)
    return out.masked_fill(nan, math.nan)
