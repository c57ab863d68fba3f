"""Training whose every bit is determined by the inputs alone, on a CPU or a GPU.

The last bits of torch's sums and matrix products depend on the device, the BLAS library, its
kernels and threads. Those here do not: matrices are split into float64 *slices* with so few bits
that products of slices are exact in any order of summation (Ozaki, Ogita, Oishi and Rump 2012,
*Error-free transformations of matrix multiplication by using fast routines of matrix
multiplication and its applications*), and what is inexact is done in one fixed order.

The arithmetic, so that another implementation can have the same bits (p, s: 24, 20 for float32 and
53, 8 for float64; ⌈e⌉ of a magnitude is the exponent E with 2^(E−1) ≤ m < 2^E, 0 for m = 0):

*Splitting* an n × m matrix. Slice width w = ⌊(53 − ⌈log₂ max(n, m)⌉)/2⌋, so that max(n, m) products
of slices sum exactly. The first slice is the matrix rounded to multiples of 2^(E−w), ties to even,
with E the exponent of its largest magnitude. Each further slice is the remainder rounded in the
same way with E smaller by w+1. There are ⌈(p+s)/(w+1)⌉ slices; the last remainder is dropped.
float64 matrices with |E| > 300 are multiplied by 2^−E first, and results by 2^E at the end.

*Exponents.* Contracting a dimension sums along vectors, rows or columns. Their largest magnitudes,
without those of zero vectors, span E − E' bits, where E' is the exponent of the smallest. If the
span is more than s bits, every vector is split with an exponent of its own, and the span counts
as 0.

*Products.* The products of slices i of the left and j of the right factor with
i·(w+1) + j·(w'+1) < p + 8 + span + span', each of them exact, are added in float64: highest i + j
first, then lowest i. The sum is rounded once to the dtype. With a single term a product is a plain
multiplication.

*Sums* are contractions with ones. A matrix summed along one dimension is used as it is; otherwise
the summed dimensions are moved to the end and flattened, which gives a matrix. Each slice is summed
exactly, and the sums are added, the last slice's first. With a single term a sum is that term.

*Special values.* Zero results are +0. Terms that are infinite or NaN decide their element as IEEE
754 adds them, in any order: NaN if there is a NaN, 0·∞ or infinities of both signs, else the
infinity. They count as 0 in the slices. NaNs have no sign and no payload worth comparing.
Multiplication by 2^e is done in two steps, by 2^⌊e/2⌋ and by the rest, e limited to ±2000.

*Elements.* +, −, ×, ÷ and comparisons round correctly everywhere, if each is an operation of its
own: no addmm, no alpha=, and division only by tensors (CUDA multiplies by the reciprocal of a
Python number). ReLU's gradient is 0 where its output is ≤ 0 and the incoming gradient elsewhere.
Square roots, exponentials and logarithms do not round alike everywhere, and are not offered.

*Updates.* With rate and momentum rounded to the dtype first: direction = gradient in the first step
with momentum and in all without it, otherwise direction = (last direction × momentum) + gradient;
then parameter − (direction × rate). Each operation is rounded by itself.
"""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import Function

from torch_impl.slices import Factor, contract, sums_along, total
from torch_impl.train import step


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
        grad_bias = sums_along(grad, 0) if ctx.needs_input_grad[2] else None
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
    return _MatMul.apply(x, y)  # type: ignore[no-any-return, no-untyped-call]


def linear(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Return x·weightᵀ + bias: x (n, in), weight (out, in), bias (out,); differentiable once."""
    return _Linear.apply(x, weight, bias)  # type: ignore[no-any-return, no-untyped-call]


def relu(x: Tensor) -> Tensor:
    """Return max(x, 0), differentiable once."""
    return _ReLU.apply(x)  # type: ignore[no-any-return, no-untyped-call]


def mse_loss(x: Tensor, y: Tensor) -> Tensor:
    """Return the mean of (x − y)², differentiable once; x and y have the same shape, not empty."""
    if x.shape != y.shape or not x.numel():
        raise ValueError(
            f"mse_loss: {tuple(x.shape)} and {tuple(y.shape)} must be equal and not empty"
        )
    return _MSE.apply(x, y)  # type: ignore[no-any-return, no-untyped-call]


class Linear(nn.Linear):
    """`nn.Linear` by `linear`."""

    def forward(self, input: Tensor) -> Tensor:
        """Return input·weightᵀ + bias."""
        return linear(input, self.weight, self.bias)


class ReLU(nn.ReLU):
    """`nn.ReLU` by `relu`."""

    def forward(self, input: Tensor) -> Tensor:
        """Return max(input, 0)."""
        return relu(input)


def reproducible(model: nn.Sequential) -> nn.Sequential:
    """Return a network with the very same parameters that computes reproducibly.

    Raises:
        TypeError: a layer is neither a Linear with bias nor a ReLU.
    """
    return nn.Sequential(*map(_reproducible, model))


def _reproducible(layer: nn.Module) -> nn.Module:
    if isinstance(layer, nn.ReLU):
        return ReLU()
    if isinstance(layer, nn.Linear) and layer.bias is not None:
        twin = Linear(layer.in_features, layer.out_features, device="meta")  # draws no numbers
        twin.weight, twin.bias = layer.weight, layer.bias
        return twin
    raise TypeError(f"no reproducible arithmetic for {layer}: use Linear with bias, ReLU")


class SGD(torch.optim.Optimizer):
    """Gradient descent with momentum, as the module describes it; options and state are torch's.

    Args:
        params: the parameters, or groups of them.
        lr: the learning rate.
        momentum: the share of the last direction that is kept; 0 keeps no buffers.
    """

    def __init__(self, params: Iterable[Tensor], lr: float, momentum: float = 0.0) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Update every parameter that has a gradient."""
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                direction = parameter.grad
                if group["momentum"] != 0:
                    state = self.state[parameter]
                    buffer = state.get("momentum_buffer")
                    if buffer is None:
                        direction = direction.clone()
                    else:
                        direction = buffer * buffer.new_full((), group["momentum"]) + direction
                    state["momentum_buffer"] = direction
                rate = direction.new_full((), group["lr"])
                parameter.copy_(parameter - direction * rate)


def train_reproducibly(
    model: nn.Sequential,
    x: Tensor,
    y: Tensor,
    epochs: int,
    learning_rate: float,
    momentum: float = 0.0,
) -> Tensor:
    """Train `model` in place like `torch_impl.train.train`, with every bit determined.

    Returns the losses, shape (epochs,), each from before its epoch's update.
    """
    model = reproducible(model)
    optimizer = SGD(model.parameters(), learning_rate, momentum)
    losses = torch.empty(epochs, dtype=y.dtype, device=y.device)
    for epoch in range(epochs):
        losses[epoch] = step(model, optimizer, x, y, mse_loss)
    return losses
