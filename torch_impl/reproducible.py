"""Training whose every bit is determined by the inputs alone, on a CPU or a GPU.

torch's sums and matrix products depend in their last bits on the device, the BLAS library, its
kernels and threads. Those here do not: matrices are split into float64 *slices* of so few bits that
products of slices are exact in whatever order they are summed (Ozaki, Ogita, Oishi and Rump 2012,
*Error-free transformations of matrix multiplication by using fast routines of matrix
multiplication and its applications*), and what is inexact is done in one fixed order.

The arithmetic, so that another implementation can have the same bits (p, s: 24, 20 for float32 and
53, 8 for float64; ⌈e⌉ of a magnitude is the exponent E with 2^(E−1) ≤ m < 2^E, 0 for m = 0):

*Splitting* an n × m matrix. Slice width w = ⌊(53 − ⌈log₂ max(n, m)⌉)/2⌋, so that max(n, m) products
of slices sum exactly. The first slice is the matrix rounded to multiples of 2^(E−w), ties to even,
with E the exponent of its largest magnitude; each further one is the remainder rounded in the same
way with E smaller by w+1. There are ⌈(p+s)/(w+1)⌉; the last remainder is dropped. float64 matrices
with |E| > 300 are multiplied by 2^−E first, and results by 2^E at the end.

*Exponents.* Contracting a dimension sums along vectors, rows or columns. Their largest magnitudes,
those of zero vectors left out, span E − E' bits, E' the smallest one's exponent. A span of more
than s bits makes every vector be split with an exponent of its own, and then counts as 0.

*Products.* In float64 the sum over slices i of the left and j of the right factor, exact each, of
all with i·(w+1) + j·(w'+1) < p + 8 + span + span'; highest i + j first, then lowest i; then one
rounding to the dtype. With a single term a product is a plain multiplication.

*Sums* are contractions with ones, of the matrix with the summed dimension unless it is not a matrix
or all of it is summed: then of the matrix with the summed dimensions last, flattened. The slices
are summed exactly, and the last slice's sum is the first in adding them up. With a single term a
sum is that term.

*Special values.* Zero results are +0. Terms that are infinite or NaN decide their element as IEEE
754 adds them, in any order: NaN if there is a NaN, 0·∞ or infinities of both signs, else the
infinity. They count as 0 in the slices. NaNs have no sign and no payload worth comparing.
Multiplication by 2^e is done in two steps, by 2^⌊e/2⌋ and by the rest, e limited to ±2000.

*Elements.* +, −, ×, ÷ and comparisons round correctly everywhere, if each is an operation of its
own: no addmm, no alpha=, and division only by tensors (CUDA multiplies by the reciprocal of a
Python number). ReLU's gradient is 0 where its output is ≤ 0 and the incoming gradient elsewhere.
Square roots, exponentials and logarithms do not round alike everywhere, and are not offered.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import Function

PRECISION = {torch.float32: 24, torch.float64: 53}
SPAN = {torch.float32: 20, torch.float64: 8}
UNSCALED = 300  # exponents up to which float64 matrices need no scaling


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
            # Added to this, nothing below 2^(exponent - width) is left of a number.
            large = 1.5 * _power(52 + exponent - width)
            self.slices.append((rest + large) - large)
            rest = rest - self.slices[-1]
            exponent = exponent - self.step


class Factor:
    """A matrix (n, m) that is split when it is first summed along, and remembers its slices.

    Raises:
        TypeError: it is neither float32 nor float64.
        ValueError: it is no matrix.
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
        sums = _sums(Factor(x), dims[0])
    else:
        terms = math.prod(x.shape[d] for d in dims)
        rows = math.prod(x.shape[d] for d in kept)
        sums = _sums(Factor(x.permute(*kept, *dims).reshape(rows, terms)), 1)
    shape = [1 if d in dims else n for d, n in enumerate(x.shape)]
    return sums.reshape(shape if keepdim else [x.shape[d] for d in kept])


def _sums(x: Factor, dim: int) -> Tensor:
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
    return values * _power(half) * _power(exponent - half)


def _power(exponent: Any) -> Any:
    """Return 2^exponent as float64, made from its bits: torch.ldexp goes by way of `pow`."""
    if isinstance(exponent, Tensor):
        return ((exponent + 1023) << 52).view(torch.float64)
    return 2.0**exponent


def _with_classes(out: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Put NaN and infinities where terms that are not finite decide.

    Numbers of terms are counted by products of zeros and ones, which are exact.
    """

    def count(a: Tensor, b: Tensor) -> Tensor:
        return a.double() @ b.double()

    above, below = (x > 0, y > 0), (x < 0, y < 0)
    positive = negative = torch.zeros_like(out, dtype=torch.float64)
    nan = count(x.isnan(), torch.ones_like(y)) + count(torch.ones_like(x), y.isnan())
    for a, b in ((x.isinf(), ~y.isnan()), (~x.isnan() & ~x.isinf(), y.isinf())):
        positive = positive + count(a & above[0], b & above[1]) + count(a & below[0], b & below[1])
        negative = negative + count(a & above[0], b & below[1]) + count(a & below[0], b & above[1])
        nan = nan + count(a & (x == 0), b) + count(a, b & (y == 0))
    out = torch.where(positive > 0, math.inf, out)
    out = torch.where(negative > 0, -math.inf, out)
    return torch.where((nan > 0) | ((positive > 0) & (negative > 0)), math.nan, out)


class _MatMul(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, y: Tensor) -> Tensor:
        ctx.factors = Factor(x), Factor(y)
        return contract(ctx.factors[0], 1, ctx.factors[1], 0)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> Any:
        (x, y), grad = ctx.factors, Factor(grad_outputs[0])
        grad_x = contract(grad, 1, y, 1) if ctx.needs_input_grad[0] else None
        grad_y = contract(x, 0, grad, 0) if ctx.needs_input_grad[1] else None
        return grad_x, grad_y


class _Linear(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.factors = Factor(x), Factor(weight)
        return contract(ctx.factors[0], 1, ctx.factors[1], 1) + bias

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> Any:
        (x, weight), grad = ctx.factors, Factor(grad_outputs[0])
        grad_x = contract(grad, 1, weight, 0) if ctx.needs_input_grad[0] else None
        grad_weight = contract(grad, 0, x, 0) if ctx.needs_input_grad[1] else None
        grad_bias = _sums(grad, 0) if ctx.needs_input_grad[2] else None
        return grad_x, grad_weight, grad_bias


class _ReLU(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.out = torch.relu(x)
        return ctx.out  # type: ignore[no-any-return]

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> Any:
        return torch.where(ctx.out <= 0, 0, grad_outputs[0])


class _MSE(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, y: Tensor) -> Tensor:
        ctx.difference = x - y
        squares = ctx.difference * ctx.difference
        return total(squares) / torch.full_like(squares.flatten()[0], squares.numel())

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> Any:
        difference = ctx.difference
        share = torch.full_like(grad_outputs[0], 2 / difference.numel())
        grad = difference * (grad_outputs[0] * share)
        return grad if ctx.needs_input_grad[0] else None, -grad if ctx.needs_input_grad[1] else None


def matmul(x: Tensor, y: Tensor) -> Tensor:
    """Return x·y, (n, k) times (k, m), differentiable once."""
    return _MatMul.apply(x, y)  # type: ignore[no-any-return]


def linear(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Return x·weightᵀ + bias: x (n, in), weight (out, in), bias (out,); differentiable once."""
    return _Linear.apply(x, weight, bias)  # type: ignore[no-any-return]


def relu(x: Tensor) -> Tensor:
    """Return max(x, 0), differentiable once."""
    return _ReLU.apply(x)  # type: ignore[no-any-return]


def mse_loss(x: Tensor, y: Tensor) -> Tensor:
    """Return the mean of (x − y)², differentiable once; x and y have the same shape, not empty."""
    if x.shape != y.shape or not x.numel():
        raise ValueError(
            f"mse_loss: {tuple(x.shape)} and {tuple(y.shape)} must be equal and not empty"
        )
    return _MSE.apply(x, y)  # type: ignore[no-any-return]


def forward(model: nn.Sequential, x: Tensor) -> Tensor:
    """Return the output of a sequence of Linear layers with bias and ReLUs.

    Raises:
        TypeError: there is another kind of layer.
    """
    for layer in model:
        if isinstance(layer, nn.Linear) and layer.bias is not None:
            x = linear(x, layer.weight, layer.bias)
        elif isinstance(layer, nn.ReLU):
            x = relu(x)
        else:
            raise TypeError(f"no reproducible arithmetic for {layer}: use Linear with bias, ReLU")
    return x


def step(model: nn.Sequential, x: Tensor, y: Tensor, learning_rate: float) -> Tensor:
    """Take one step of gradient descent on the mean squared error; return the loss before it."""
    model.zero_grad()
    loss = mse_loss(forward(model, x), y)
    loss.backward()  # type: ignore[no-untyped-call]
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.grad is not None:
                rate = torch.full_like(parameter.grad, learning_rate)
                parameter.copy_(parameter - parameter.grad * rate)
    return loss.detach()


def train_reproducibly(
    model: nn.Sequential,
    x: Tensor,
    y: Tensor,
    epochs: int,
    learning_rate: float,
    on_epoch: Callable[[int, Tensor], object] | None = None,
) -> Tensor:
    """Train `model` in place like `torch_impl.train.train`, every bit determined.

    Returns the losses, shape (epochs,), each from before its epoch's update. `on_epoch(i, loss)` is
    called after each update.
    """
    losses = torch.empty(epochs, dtype=y.dtype, device=y.device)
    for epoch in range(epochs):
        losses[epoch] = step(model, x, y, learning_rate)
        if on_epoch is not None:
            on_epoch(epoch, losses[epoch])
    return losses
