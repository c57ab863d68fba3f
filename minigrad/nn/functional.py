"""Layers and losses as functions."""

import math
import warnings
from typing import Any

import numpy as np

from minigrad.dtypes import bool_, common_type, python_number
from minigrad.grad_mode import grad_mode
from minigrad.ops import RULE_OF, Rule, activation, linalg, loss, reduction
from minigrad.tensor import Tensor
from minigrad.tensor.arithmetic import in_order_of
from minigrad.tensor.base import require_tensor
from minigrad.tensor.conversion import watch_originals

_HUBER_LOSS = RULE_OF[loss.huber_loss]
_LEAKY_RELU = RULE_OF[activation.leaky_relu]
_LEAKY_RELU_ = _LEAKY_RELU.named("LeakyReluBackward1")
_LINEAR = RULE_OF[linalg.linear]
_MSE_LOSS = RULE_OF[loss.mse_loss]
_REDUCED = {"mean": RULE_OF[reduction.mean], "sum": RULE_OF[reduction.sum]}
_RELU = RULE_OF[activation.relu]
_SMOOTH_L1_LOSS = RULE_OF[loss.smooth_l1_loss]
_SOFTPLUS = RULE_OF[activation.softplus]
_SQUARED_ERROR = RULE_OF[loss.squared_error]


def linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """input·weightᵀ + bias.

    Args:
        input: (..., in_features).
        weight: (out_features, in_features).
        bias: (out_features,), or None.

    Returns:
        (..., out_features).

    Raises:
        RuntimeError: the shapes or dtypes do not fit together.
        TypeError: one of them is no tensor.
    """
    try:
        x, w, b = input._array, weight._array, None if bias is None else bias._array
    except AttributeError:
        require_tensor("linear", input, weight, bias)
        raise
    shape = w.shape
    if (
        (b is not None and len(shape) == 2)
        and (x.shape[1:] == shape[1:] and b.shape == shape[:1])
        and x.dtype == w.dtype == b.dtype  # not `is`: an unpickled array has a dtype of its own
    ):
        return input._apply(_LINEAR, input, weight, bias)
    return _linear_in_general(input, weight, bias)


def _linear_in_general(input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    shapes = f"input {list(input.shape)}, weight {list(weight.shape)}"
    if weight.ndim != 2 or input.ndim == 0 or input.shape[-1] != weight.shape[1]:
        raise RuntimeError(
            f"linear: {shapes} cannot be multiplied: the last axis of the input must be as long "
            "as the last axis of the two-dimensional weight"
        )
    if bias is not None and bias.shape != weight.shape[:1]:
        raise RuntimeError(
            f"linear: bias {list(bias.shape)} does not fit {shapes}: its length must be "
            f"{weight.shape[0]}, one for each row of the weight"
        )
    dtypes = {t.dtype for t in (input, weight, bias) if t is not None}
    if len(dtypes) > 1:
        raise RuntimeError(
            f"linear: input and parameters must have the same dtype, but got "
            f"{' and '.join(sorted(map(str, dtypes)))}: convert one, for example with .double()"
        )
    if bias is None:
        return input.matmul(weight.t())
    rows = input.reshape(math.prod(input.shape[:-1]), input.shape[-1])
    products = input._apply(_LINEAR, rows, weight, bias)
    result = products.reshape(*input.shape[:-1], weight.shape[0])
    # torch's is a view in any case; here it is only one where that means that it is left alone.
    is_view = input._array.flags.c_contiguous and not grad_mode.enabled
    return result if is_view else result._own()


def relu(input: Tensor, inplace: bool = False) -> Tensor:
    """max(input, 0) element by element; in the input's place if `inplace`.

    Raises:
        TypeError: the input is no tensor.
        RuntimeError: it is of dtype bool; or `inplace`, and a leaf that requires a gradient.
    """
    try:
        if inplace:
            return input.relu_()
        if input._array.dtype == bool_:
            return input.relu()  # which refuses it
        result = input._apply(_RELU, input)  # as `_each` does, without its call: for speed
        return result if len(result._array.shape) < 3 else in_order_of(result, input)
    except AttributeError:
        require_tensor("relu", input)
        raise


def leaky_relu(input: Tensor, negative_slope: float = 0.01, inplace: bool = False) -> Tensor:
    """Input where it is above 0, elsewhere negative_slope·input.

    Raises:
        TypeError: the input is no tensor, or the slope no number.
        NotImplementedError: the input is not floating point.
        RuntimeError: `inplace`, and the input is a leaf that requires a gradient; or it requires
            one, and the slope is negative: the results would not tell on which side inputs were.
    """
    slope = _number("leaky_relu", "negative_slope", negative_slope)
    _require_floating("leaky_relu", require_tensor("leaky_relu", input))
    if not inplace:
        return input._each(_LEAKY_RELU, negative_slope=slope)
    if slope < 0 and input.requires_grad:
        raise RuntimeError(
            f"leaky_relu: in place the negative_slope must be at least 0, not {slope}, if the "
            "input requires a gradient: leave inplace=False"
        )
    return input._in_place("leaky_relu_", lambda x: x._apply(_LEAKY_RELU_, x, negative_slope=slope))


def softplus(input: Tensor, beta: float = 1, threshold: float = 20) -> Tensor:
    """log(1 + e^(beta·input)) / beta, a smooth relu; input itself where beta·input > threshold.

    Raises:
        TypeError: the input is no tensor, or an option no number.
        NotImplementedError: the input is not floating point.
    """
    _require_floating("softplus", require_tensor("softplus", input))
    options = {
        "beta": _number("softplus", "beta", beta),
        "threshold": _number("softplus", "threshold", threshold),
    }
    return input._each(_SOFTPLUS, **options)


def tanh(input: Tensor) -> Tensor:
    """Hyperbolic tangent element by element.

    Raises:
        TypeError: the input is no tensor.
    """
    return require_tensor("tanh", input).tanh()


def sigmoid(input: Tensor) -> Tensor:
    """1 / (1 + e^-input) element by element.

    Raises:
        TypeError: the input is no tensor.
    """
    return require_tensor("sigmoid", input).sigmoid()


def mse_loss(input: Tensor, target: Tensor, *, reduction: str = "mean") -> Tensor:
    """Squared error (input - target)².

    Args:
        input, target: of the same shape, or of shapes that broadcast.
        reduction: 'mean' over all elements, their 'sum', or 'none' for one error an element.

    Raises:
        TypeError: one of them is no tensor.
        ValueError: the reduction is none of these.
        NotImplementedError: neither is floating point.
        RuntimeError: the shapes do not broadcast.
    """
    pair = x, y = _pair("mse_loss", input, target, reduction)
    if reduction == "mean":
        result = x._apply(_MSE_LOSS, x, y)
        if x is not input or y is not target:
            watch_originals(result, (input, target), pair)
        return result
    return _reduced(_SQUARED_ERROR, (input, target), pair, reduction)


def l1_loss(input: Tensor, target: Tensor, *, reduction: str = "mean") -> Tensor:
    """Absolute error |input - target|; arguments and errors are those of `mse_loss`.

    Raises:
        RuntimeError: also where the mean of integers is asked for.
    """
    _check("l1_loss", input, target, reduction)
    if input.dtype.kind == target.dtype.kind == "f":  # of any number of axes, as in torch
        dtype = common_type(input.dtype, target.dtype)
        input, target = input.to(dtype), target.to(dtype)
    errors = input.sub(target).abs()
    return errors if reduction == "none" else getattr(errors, reduction)()


def huber_loss(
    input: Tensor, target: Tensor, reduction: str = "mean", delta: float = 1.0
) -> Tensor:
    """d²/2 where |d| is at most delta, elsewhere delta·(|d| - delta/2); d = input - target.

    Huber 1964, *Robust estimation of a location parameter*. See `mse_loss`.

    Raises:
        RuntimeError: also where delta is not above 0, or the dtypes differ.
    """
    pair = _pair("huber_loss", input, target, reduction)
    edge = _number("huber_loss", "delta", delta)
    if edge <= 0:
        raise RuntimeError(f"huber_loss: delta must be above 0, not {delta}")
    if input.dtype != target.dtype:
        raise RuntimeError(
            f"huber_loss: no derivative for {input.dtype} and {target.dtype}: convert one of them"
        )
    return _reduced(_HUBER_LOSS, (input, target), pair, reduction, delta=edge)


def smooth_l1_loss(
    input: Tensor, target: Tensor, *, reduction: str = "mean", beta: float = 1.0
) -> Tensor:
    """d²/(2·beta) where |d| is less than beta, elsewhere |d| - beta/2; d = input - target.

    It is `l1_loss` if beta is 0. See `mse_loss`.

    Raises:
        RuntimeError: also where beta is negative.
    """
    edge = _number("smooth_l1_loss", "beta", beta)
    if edge == 0:
        return l1_loss(input, target, reduction=reduction)
    pair = _pair("smooth_l1_loss", input, target, reduction)
    if edge < 0:
        raise RuntimeError(f"smooth_l1_loss: beta must be at least 0, not {beta}")
    return _reduced(_SMOOTH_L1_LOSS, (input, target), pair, reduction, beta=edge)


def _reduced(
    rule: Rule,
    given: tuple[Tensor, Tensor],
    pair: tuple[Tensor, Tensor],
    reduction: str,
    **options: Any,
) -> Tensor:
    """Return the errors that a rule gives, or their sum or mean, under the rule's name."""
    input, target = pair
    errors = in_order_of(input._apply(rule, input, target, **options), input, target)
    watch_originals(errors, given, pair)
    if reduction == "none":
        return errors
    return input._apply(_REDUCED[reduction].named(rule.torch_name), errors, axis=None)


def _check(operation: str, input: Tensor, target: Tensor, reduction: str) -> None:
    """Raise where two tensors cannot be compared by a loss."""
    require_tensor(operation, input, target)
    if input._array.shape != target._array.shape:
        _warn_of_broadcasting(operation, input, target)
    if reduction not in ("mean", "sum", "none"):
        raise ValueError(f"{operation}: reduction {reduction!r} must be 'mean', 'sum' or 'none'")


def _pair(operation: str, input: Tensor, target: Tensor, reduction: str) -> tuple[Tensor, Tensor]:
    """Return two tensors that a loss compares in their common floating point dtype."""
    _check(operation, input, target, reduction)
    dtypes = input._array.dtype, target._array.dtype
    if dtypes[0] != dtypes[1]:
        dtype = common_type(*dtypes)  # a tensor of no axes counts fully, as in torch
        input, target = input.to(dtype), target.to(dtype)
    _require_floating(operation, input)
    return input, target


def _require_floating(operation: str, input: Tensor) -> None:
    if input._array.dtype.kind != "f":
        raise NotImplementedError(
            f"{operation}: not implemented for {input.dtype}: convert to floating point, for "
            "example with .float()"
        )


def _number(operation: str, name: str, value: Any) -> float:
    number = python_number(value)
    if not isinstance(number, (int, float)):
        raise TypeError(f"{operation}: {name} must be a number, not {type(value).__name__}")
    return number


def _warn_of_broadcasting(operation: str, input: Tensor, target: Tensor) -> None:
    """Warn, as torch does: (n, 1) against (n,) silently becomes (n, n), a classic mistake."""
    shapes = f"{list(input.shape)} and {list(target.shape)}"
    warnings.warn(
        f"{operation}: the shapes {shapes} of input and target differ, and broadcasting them will "
        "likely lead to incorrect results. Give both the same shape.",
        stacklevel=4,
    )
    try:
        np.broadcast_shapes(input.shape, target.shape)
    except ValueError:
        raise RuntimeError(
            f"{operation}: input and target of shapes {shapes} do not match"
        ) from None
