"""Layers and losses as functions."""

import math
import warnings

import numpy as np

from minigrad.dtypes import bool_, common_type
from minigrad.grad_mode import grad_mode
from minigrad.ops import RULE_OF, elementwise, linalg, loss, reduction
from minigrad.tensor import Tensor
from minigrad.tensor.arithmetic import in_order_of
from minigrad.tensor.base import require_tensor

_LINEAR = RULE_OF[linalg.linear]
_MSE_LOSS = RULE_OF[loss.mse_loss]
_RELU = RULE_OF[elementwise.relu]
_SQUARED_ERROR = RULE_OF[loss.squared_error]
_SUMMED_ERROR = RULE_OF[reduction.sum].named("MseLossBackward0")


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


def relu(input: Tensor) -> Tensor:
    """max(input, 0) element by element.

    Raises:
        TypeError: the input is no tensor.
        NotImplementedError: it is of dtype bool.
    """
    try:
        if input._array.dtype == bool_:
            return input.relu()  # which refuses it
        return input._each(_RELU)
    except AttributeError:
        require_tensor("relu", input)
        raise


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
    try:
        x, y = input._array, target._array
    except AttributeError:
        require_tensor("mse_loss", input, target)
        raise
    if x.shape != y.shape:
        _warn_of_broadcasting(input, target)
    if reduction not in ("mean", "sum", "none"):
        raise ValueError(f"mse_loss: reduction {reduction!r} must be 'mean', 'sum' or 'none'")
    if x.dtype != y.dtype:
        dtype = common_type(x.dtype, y.dtype)  # a tensor of no axes counts fully, as in torch
        input, target = input.to(dtype), target.to(dtype)
    if input._array.dtype.kind != "f":
        raise NotImplementedError(
            f"mse_loss: not implemented for {input.dtype}: convert to floating point, for example "
            "with .float()"
        )
    if reduction == "mean":
        return input._apply(_MSE_LOSS, input, target)
    errors = in_order_of(input._apply(_SQUARED_ERROR, input, target), input, target)
    return errors if reduction == "none" else input._apply(_SUMMED_ERROR, errors, axis=None)


def _warn_of_broadcasting(input: Tensor, target: Tensor) -> None:
    """Warn, as torch does: (n, 1) against (n,) silently becomes (n, n), a classic mistake."""
    shapes = f"{list(input.shape)} and {list(target.shape)}"
    warnings.warn(
        f"mse_loss: the shapes {shapes} of input and target differ, and broadcasting them will "
        "likely lead to incorrect results. Give both the same shape.",
        stacklevel=3,
    )
    try:
        np.broadcast_shapes(input.shape, target.shape)
    except ValueError:
        raise RuntimeError(f"mse_loss: input and target of shapes {shapes} do not match") from None
