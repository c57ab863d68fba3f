"""Sums and matrix products that do not depend on order; see `torch_impl.reproducible`."""

import math
from collections.abc import Callable, Sequence
from functools import cache, wraps
from typing import Any, NamedTuple, ParamSpec, TypeVar

import torch
from torch import Tensor

PRECISION = {torch.float32: 24, torch.float64: 53}
SPAN = {torch.float32: 20, torch.float64: 8}
MANY = 4096  # elements that are not looked at one by one
UNSCALED = 300  # the largest exponent at which float64 matrices need no scaling

P = ParamSpec("P")
R = TypeVar("R")


def plainly(function: Callable[P, R]) -> Callable[P, R]:
    """Have a function compute in torch's own arithmetic, whatever mode it is called in."""

    @wraps(function)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        with torch._C.DisableTorchFunction(), torch._C._DisableTorchDispatch():
            return function(*args, **kwargs)

    return wrapped


class Slices(NamedTuple):
    """A matrix of finite values as a sum of float64 matrices, times 2^exponent.

    The exponent is an int, or ints for rows or columns. Vectors that are summed along span so many
    bits.
    """

    parts: list[Tensor]
    step: int
    exponent: Any
    span: int = 0

    @property
    def mT(self) -> "Slices":
        """Those of the transposed matrix."""
        exponent = self.exponent.mT if isinstance(self.exponent, Tensor) else self.exponent
        return Slices([part.mT for part in self.parts], self.step, exponent, self.span)


def _split(matrix: Tensor, exponent: Any) -> Slices:
    """Split, all magnitudes being below 2^exponent."""
    dtype, kept = matrix.dtype, 0
    rest = matrix.double()
    largest = int(exponent.abs().max()) if isinstance(exponent, Tensor) else abs(exponent)
    if dtype == torch.float64 and largest > UNSCALED:
        rest = _times_power(rest, -exponent)
        kept, exponent = exponent, exponent * 0
    width = (53 - (max(matrix.shape) - 1).bit_length()) // 2
    parts: list[Tensor] = []
    for _ in range(math.ceil((PRECISION[dtype] + SPAN[dtype]) / (width + 1))):
        if parts:
            rest = rest.sub_(parts[-1]) if rest is not matrix else rest - parts[-1]
        # A number added to this keeps no bits below 2^(exponent - width).
        large = _number(1.5 * _power(52 + exponent - width), rest)
        parts.append((rest + large).sub_(large))
        exponent = exponent - (width + 1)
    return Slices(parts, width + 1, kept)


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
        self.dtype, self.shape = matrix.dtype, matrix.shape
        self.finite = True  # until it is split
        self._values = matrix  # with 0 in place of what is not finite
        self._peaks: tuple[Tensor, ...] = ()
        self._whole: Slices | None = None
        self._along: dict[int, Slices] = {}

    def along(self, dim: int) -> Slices:
        """Return the slices for sums along `dim`, 0 or 1, of a matrix that is not empty."""
        if dim not in self._along:
            peaks, top, least = self._extremes(dim)
            exponent = math.frexp(top)[1]
            span = exponent - math.frexp(least)[1]
            if span > SPAN[self.dtype]:
                own = torch.frexp(peaks).exponent.long().unsqueeze(dim)
                self._along[dim] = _split(self._values, own)
            else:
                self._whole = self._whole or _split(self._values, exponent)
                parts, step, exponent, _ = self._whole
                self._along[dim] = Slices(parts, step, exponent, span)
        return self._along[dim]

    def _extremes(self, dim: int) -> tuple[Tensor, float, float]:
        """Return the vectors' largest magnitudes, the largest and, but for 0, the least of them."""
        if not self._peaks:
            sizes = self._values.abs()
            self._peaks = sizes.amax(0), sizes.amax(1)
        peaks = self._peaks[dim]
        if peaks.numel() < MANY:
            known = peaks.tolist()
        else:
            top = peaks.max()
            known = torch.stack([top, torch.where(peaks == 0, top, peaks).min()]).tolist()
        if not math.isfinite(sum(known)) and not all(map(math.isfinite, known)):
            self.finite, self._peaks = False, ()
            self._values = torch.where(self.matrix.isfinite(), self.matrix, 0)
            return self._extremes(dim)
        return peaks, max(known), min(known) or min(filter(None, known), default=0.0)

    @property
    def mT(self) -> "Factor":
        """The transposed matrix, with the same slices."""
        return _Transposed(self)


class _Transposed(Factor):
    def __init__(self, factor: Factor) -> None:
        self._factor = factor
        self.dtype, self.shape = factor.dtype, factor.shape[::-1]

    matrix = property(lambda self: self._factor.matrix.mT)
    finite = property(lambda self: self._factor.finite)

    def along(self, dim: int) -> Slices:
        return self._factor.along(1 - dim).mT


@cache
def _pairs(left: int, right: int, left_step: int, right_step: int, bits: int) -> list[Any]:
    """Return which slices are multiplied, in the order in which the products are added."""
    found = [
        (i, j) for i in range(left) for j in range(right) if i * left_step + j * right_step < bits
    ]
    return sorted(found, key=lambda pair: (-sum(pair), pair[0]))


def product(x: Factor, y: Factor) -> Tensor:
    """Return the product of (n, k) and (k, m).

    Raises:
        RuntimeError: the lengths or the dtypes differ.
    """
    dtype, terms = x.dtype, x.shape[1]
    if dtype != y.dtype or terms != y.shape[0]:
        raise RuntimeError(
            f"cannot multiply {dtype} {tuple(x.shape)} with {y.dtype} {tuple(y.shape)}: dtypes "
            "and inner lengths must be equal"
        )
    if terms == 1:
        return _positive_zeros(x.matrix * y.matrix)
    if 0 in (terms, x.shape[0], y.shape[1]):
        return x.matrix.new_zeros(x.shape[0], y.shape[1])
    a, b = x.along(1), y.along(0)
    bits = PRECISION[dtype] + 8 + a.span + b.span
    (i, j), *others = _pairs(len(a.parts), len(b.parts), a.step, b.step, bits)
    out = a.parts[i] @ b.parts[j]
    for i, j in others:
        out.add_(a.parts[i] @ b.parts[j])
    out = _rounded(out, a.exponent + b.exponent, dtype)
    if not (x.finite and y.finite):
        out = _with_classes(out, x.matrix, y.matrix)
    return out


@plainly
def total(x: Tensor, dim: int | Sequence[int] | None = None, keepdim: bool = False) -> Tensor:
    """Return the sum over one dimension, several, or all (None)."""
    named = [dim] if isinstance(dim, int) else dim or range(x.ndim)
    dims = sorted(d % x.ndim for d in named) if x.ndim else []
    shape = [1 if d in dims else n for d, n in enumerate(x.shape)]
    kept = [d for d in range(x.ndim) if d not in dims]
    if x.ndim == 2 and len(dims) == 1:
        sums = sums_along(Factor(x), dims[0])
    else:
        terms = math.prod(x.shape[d] for d in dims)
        rows = x.permute(*kept, *dims) if kept else x
        sums = sums_along(Factor(rows.reshape(math.prod(shape), terms)), 1)
    return sums.reshape(shape if keepdim else [x.shape[d] for d in kept])


def sums_along(x: Factor, dim: int) -> Tensor:
    """Return the sums of a matrix along `dim`, which is left out of the result."""
    if x.shape[dim] == 1:
        return x.matrix.squeeze(dim) + 0.0
    if not x.matrix.numel():
        return x.matrix.sum(dim)
    return _summed(x, dim, lambda part: part.sum(dim))


@plainly
def scattered(terms: Tensor, places: Tensor, size: int) -> Tensor:
    """Return the sums (size,) of the terms (n,) that have the same place, (n,)."""
    if not terms.numel():
        return terms.new_zeros(size)
    row = Factor(terms[None])
    return _summed(row, 1, lambda part: part.new_zeros(size).index_add_(0, places, part[0]))


def _summed(x: Factor, dim: int, add: Callable[[Tensor], Tensor]) -> Tensor:
    """Return sums of terms along `dim`, `add` being what sums those of one slice."""
    slices = x.along(dim)
    shift = slices.exponent.squeeze(dim) if isinstance(slices.exponent, Tensor) else slices.exponent
    last, *others = reversed(slices.parts)
    out = add(last)
    for part in others:
        out.add_(add(part))
    out = _rounded(out, shift, x.dtype)
    if not x.finite:
        special = add(torch.where(x.matrix.isfinite(), 0, x.matrix))
        out = torch.where(special == 0, out, special)
    return out


def _number(value: Any, like: Tensor) -> Any:
    """Return a number as a tensor, which is faster to compute with."""
    return value if isinstance(value, Tensor) else _kept(value, like.dtype, like.device)


@cache
def _kept(value: float, dtype: torch.dtype, device: torch.device) -> Tensor:
    return torch.tensor(value, dtype=dtype, device=device)


def _rounded(values: Tensor, exponent: Any, dtype: torch.dtype) -> Tensor:
    """Return values · 2^exponent in the dtype, zeros positive."""
    if isinstance(exponent, Tensor) or exponent != 0:
        values = _times_power(values, exponent)
    return _positive_zeros(values.float() if dtype == torch.float32 else values)


def _positive_zeros(values: Tensor) -> Tensor:
    return values.add_(_number(0.0, values))


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
