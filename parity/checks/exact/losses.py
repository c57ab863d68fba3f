"""Activations and losses as functions, in the names of `torch.nn.functional`."""

from parity.checks.exact.dual import Dual
from parity.checks.exact.functions import (
    abs,
    exp,
    gt,
    le,
    log1p,
    lt,
    mean,
    square,
    sum,
    where,
)
from parity.checks.exact.lacking import Lacking


def leaky_relu(input: Dual, negative_slope: float = 0.01) -> Dual:
    # At 0 the derivative is the slope.
    return where(gt(input, 0), input, input * negative_slope)


def softplus(input: Dual, beta: float = 1, threshold: float = 20) -> Dual:
    large = gt(input * beta, threshold)
    return where(large, input, log1p(exp(where(large, 0, input * beta))) / beta)


def mse_loss(input: Dual, target: Dual, *, reduction: str = "mean") -> Dual:
    return _reduced(square(input - target), reduction)


def l1_loss(input: Dual, target: Dual, *, reduction: str = "mean") -> Dual:
    return _reduced(abs(input - target), reduction)


def smooth_l1_loss(
    input: Dual, target: Dual, *, reduction: str = "mean", beta: float = 1.0
) -> Dual:
    if beta == 0:
        return l1_loss(input, target, reduction=reduction)
    error = abs(input - target)
    return _reduced(where(lt(error, beta), square(error) / 2 / beta, error - beta / 2), reduction)


def huber_loss(input: Dual, target: Dual, reduction: str = "mean", delta: float = 1.0) -> Dual:
    error = abs(input - target)
    linear = (error - delta / 2) * delta
    return _reduced(where(le(error, delta), square(error) / 2, linear), reduction)


def _reduced(losses: Dual, reduction: str) -> Dual:
    if reduction not in ("mean", "sum", "none"):
        raise Lacking(f"loss with the reduction {reduction!r}")
    return {"mean": mean, "sum": sum}.get(reduction, lambda each: each)(losses)
