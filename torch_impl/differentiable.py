"""What torch differentiates in another order than `torch_impl.reproducible` says, or cannot.

Each is torch's function of the same name, differentiable as often as one likes. To be called in
`reproducible_arithmetic`: what is summed here in torch's names is summed reproducibly there.
"""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.nn import functional as F

from torch_impl.slices import Factor, plainly, product, sums_along, total


def unless_recorded(backward: Callable[..., Any]) -> Callable[..., Any]:
    """Have a derivative that is not itself to be differentiated leave torch's modes alone."""
    unrecorded = plainly(backward)

    def called(*args: Any, **options: Any) -> Any:
        return (backward if torch.is_grad_enabled() else unrecorded)(*args, **options)

    return called


def _recorded(x: Tensor, y: Tensor, *factors: Factor) -> Tensor:
    return _MatMul.apply(x, y, *factors)  # type: ignore[no-any-return, no-untyped-call]


class _MatMul(Function):
    @staticmethod
    @plainly
    def forward(ctx: Any, x: Tensor, y: Tensor, *factors: Factor) -> Tensor:
        ctx.save_for_backward(x, y)
        ctx.factors = ()
        if x.ndim > 2 or y.ndim > 2:
            return _batched(x, y)
        ctx.factors = factors or (Factor(x), Factor(y))
        return product(*ctx.factors)

    @staticmethod
    @unless_recorded
    def backward(ctx: Any, grad: Tensor) -> Any:
        x, y = ctx.saved_tensors
        left: tuple[Factor, ...] = ()
        right: tuple[Factor, ...] = ()
        if ctx.factors:
            factor = Factor(grad)
            left, right = (factor, ctx.factors[1].mT), (ctx.factors[0].mT, factor)
        grad_x = _recorded(grad, y.mT, *left) if ctx.needs_input_grad[0] else None
        grad_y = _recorded(x.mT, grad, *right) if ctx.needs_input_grad[1] else None
        return grad_x, grad_y, *[None] * len(ctx.needs_input_grad[2:])


class _Linear(Function):
    @staticmethod
    @plainly
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        if bias.dtype != x.dtype:
            raise RuntimeError(f"linear: input and bias of one dtype, not {x.dtype}, {bias.dtype}")
        ctx.save_for_backward(x, weight)
        ctx.factors = Factor(x), Factor(weight)
        return product(ctx.factors[0], ctx.factors[1].mT).add_(bias)

    @staticmethod
    @unless_recorded
    def backward(ctx: Any, grad: Tensor) -> Any:
        (x, weight), (of_x, of_weight), of_grad = ctx.saved_tensors, ctx.factors, Factor(grad)
        grads: list[Tensor | None] = [None, None, None]
        if torch.is_grad_enabled():
            grads[0] = _recorded(grad, weight, of_grad, of_weight)
            grads[1] = _recorded(grad.mT, x, of_grad.mT, of_x)
            grads[2] = grad.sum(0)
            return (*grads,)
        if ctx.needs_input_grad[0]:
            grads[0] = product(of_grad, of_weight)
        if ctx.needs_input_grad[1]:
            grads[1] = product(of_grad.mT, of_x)
        if ctx.needs_input_grad[2]:
            grads[2] = sums_along(of_grad, 0)
        return (*grads,)


class _MSE(Function):
    @staticmethod
    @plainly
    def forward(ctx: Any, x: Tensor, y: Tensor) -> Tensor:
        ctx.save_for_backward(x, y)
        difference = x - y
        sums = total(difference * difference)
        return sums / torch.full_like(sums, difference.numel())

    @staticmethod
    @unless_recorded
    def backward(ctx: Any, grad: Tensor) -> Any:
        x, y = ctx.saved_tensors
        difference = x - y
        share = grad * (2 / max(difference.numel(), 1))
        grad_y = (y - x) * share if ctx.needs_input_grad[1] else None
        return difference * share, grad_y


class _Errors(Function):
    """An error of each difference, whose derivative by it is its slope."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, y: Tensor, error: Any, slope: Any) -> Tensor:
        ctx.save_for_backward(x, y)
        ctx.slope = slope
        return error(x - y)  # type: ignore[no-any-return]

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        x, y = ctx.saved_tensors
        grad_y = grad * ctx.slope(y - x) if ctx.needs_input_grad[1] else None
        return grad * ctx.slope(x - y), grad_y, None, None


class _Extremum(Function):
    """The largest or smallest of all elements; those that are it share its gradient."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, function: Callable[[Tensor], Tensor]) -> Tensor:
        out = function(x)
        ctx.save_for_backward(x, out)
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        x, out = ctx.saved_tensors
        tied = (x == out) | (x.isnan() & out.isnan())
        return torch.where(tied, grad / tied.sum().to(x.dtype), 0), None


def matmul(input: Tensor, other: Tensor) -> Tensor:
    """`torch.matmul`: every matrix of a batch by itself."""
    if input.ndim == other.ndim == 1:
        return (input * other).sum()
    if input.ndim == 1:
        return matmul(input[None], other).squeeze(-2)
    if other.ndim == 1:
        return matmul(input, other[:, None]).squeeze(-1)
    return _recorded(input, other)


def _batched(x: Tensor, y: Tensor) -> Tensor:
    """Return the products of (..., n, k) and (..., k, m), leading dimensions broadcast."""
    leading = torch.broadcast_shapes(x.shape[:-2], y.shape[:-2])  # type: ignore[no-untyped-call]
    out = x.new_empty(*leading, x.shape[-2], y.shape[-1])
    matrices = (z.expand(*leading, *z.shape[-2:]).flatten(0, -3) for z in (x, y, out))
    for a, b, place in zip(*matrices, strict=True):
        place.copy_(product(Factor(a), Factor(b)))
    return out


def linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """`torch.nn.functional.linear`; with a bias all rows are those of one matrix."""
    if bias is None:
        return matmul(input, weight.t())
    if input.ndim == 2:
        return _Linear.apply(input, weight, bias)  # type: ignore[no-any-return, no-untyped-call]
    rows = input.reshape(math.prod(input.shape[:-1]), input.shape[-1])
    return linear(rows, weight, bias).reshape(*input.shape[:-1], weight.shape[0])


def mse_loss(
    input: Tensor,
    target: Tensor,
    size_average: None = None,
    reduce: None = None,
    reduction: str = "mean",
    weight: None = None,
) -> Tensor:
    """`torch.nn.functional.mse_loss`."""
    _refuse("mse_loss", size_average, reduce, weight)
    if reduction == "mean":
        return _MSE.apply(input, target)  # type: ignore[no-any-return, no-untyped-call]
    return _reduced(input, target, reduction, lambda d: d * d, lambda d: d * 2)


def huber_loss(
    input: Tensor,
    target: Tensor,
    reduction: str = "mean",
    delta: float = 1.0,
    weight: None = None,
) -> Tensor:
    """`torch.nn.functional.huber_loss`."""
    _refuse("huber_loss", weight)
    if delta <= 0:
        raise RuntimeError(f"huber_loss: delta must be above 0, not {delta}")

    def error(difference: Tensor) -> Tensor:
        size = difference.abs()
        far = (size - 0.5 * delta) * delta
        return torch.where(size <= delta, size * size * 0.5, far)

    return _reduced(input, target, reduction, error, lambda d: _clamped(d, delta))


def smooth_l1_loss(
    input: Tensor,
    target: Tensor,
    size_average: None = None,
    reduce: None = None,
    reduction: str = "mean",
    beta: float = 1.0,
) -> Tensor:
    """`torch.nn.functional.smooth_l1_loss`."""
    _refuse("smooth_l1_loss", size_average, reduce)
    if beta == 0:
        return F.l1_loss(input, target, reduction=reduction)
    if beta < 0:
        raise RuntimeError(f"smooth_l1_loss: beta must be at least 0, not {beta}")

    def error(difference: Tensor) -> Tensor:
        size = difference.abs()
        near = size * size * 0.5 / beta
        return torch.where(size < beta, near, size - 0.5 * beta)

    return _reduced(input, target, reduction, error, lambda d: _clamped(d / beta, 1))


def _refuse(name: str, *options: None) -> None:
    if any(option is not None for option in options):
        raise NotImplementedError(f"{name}: in reproducible arithmetic there is only reduction=")


def _clamped(difference: Tensor, bound: float) -> Tensor:
    raised = torch.where(difference < -bound, -bound, difference)
    return torch.where(difference > bound, bound, raised)


def _reduced(
    input: Tensor,
    target: Tensor,
    reduction: str,
    error: Callable[[Tensor], Tensor],
    slope: Callable[[Tensor], Tensor],
) -> Tensor:
    errors: Tensor = _Errors.apply(input, target, error, slope)  # type: ignore[no-untyped-call]
    if reduction not in ("none", "mean", "sum"):
        raise ValueError(f"{reduction} is not a valid value for reduction")
    return errors if reduction == "none" else getattr(errors, reduction)()


def _product(function: Any, *dims: int) -> Callable[[Tensor, Tensor], Tensor]:
    def called(x: Tensor, y: Tensor) -> Tensor:
        return matmul(x, y) if (x.ndim, y.ndim) == dims else function(x, y)

    return called


def _extremum(function: Any) -> Callable[..., Any]:
    def called(x: Tensor, *args: Any, **options: Any) -> Any:
        if args or options:
            return function(x, *args, **options)
        return _Extremum.apply(x, function)  # type: ignore[no-untyped-call]

    return called


FUNCTIONS: dict[Any, Callable[..., Any]] = {
    **dict.fromkeys([torch.matmul, Tensor.matmul, Tensor.__matmul__, torch.linalg.matmul], matmul),
    Tensor.__rmatmul__: lambda y, x: matmul(x, y),
    F.linear: linear,
    F.mse_loss: mse_loss,
    F.huber_loss: huber_loss,
    F.smooth_l1_loss: smooth_l1_loss,
    **{
        getattr(place, name): _product(getattr(place, name), *dims)
        for place in (torch, Tensor)
        for name, dims in {"mm": (2, 2), "bmm": (3, 3), "mv": (2, 1), "dot": (1, 1)}.items()
    },
    **{
        getattr(place, name): _extremum(getattr(place, name))
        for place in (torch, Tensor)
        for name in ("max", "min")
    },
}
"""What stands in for torch's functions."""
