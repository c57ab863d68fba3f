"""Gradients that are cut short before an optimiser's step, in place."""

import warnings
from collections.abc import Iterable
from types import GeneratorType
from typing import Any

import numpy as np

from minigrad.creation import zeros
from minigrad.grad_mode import no_grad
from minigrad.tensor import Tensor
from minigrad.tensor.joining import stack


@no_grad()
def clip_grad_norm_(
    parameters: Tensor | Iterable[Tensor],
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """Scale all gradients by one factor where their norm is larger than `max_norm`.

    The norm is that of one vector of all gradients, (Σ |g|^p)^(1/p). The factor is
    max_norm / (norm + 1e-6), and at most 1. Pascanu, Mikolov and Bengio 2013, *On the difficulty of
    training recurrent neural networks*.

    Args:
        parameters: one tensor or several; those without a gradient are left out.
        max_norm: what the norm may be afterwards.
        norm_type: p; infinity for the largest element.
        error_if_nonfinite: raise where the norm is not finite, and change nothing.
        foreach: chooses among torch's kernels, and makes no difference here.

    Returns:
        the norm before, a tensor of no axes.

    Raises:
        RuntimeError: the norm is not finite, and `error_if_nonfinite` is set.
    """
    grads = _gradients(parameters, warn=True)
    p = float(norm_type)
    if not grads:
        return zeros(())
    total: Tensor = stack([grad.norm(p) for grad in grads]).norm(p)
    if error_if_nonfinite and not np.isfinite(total._array):
        raise RuntimeError(
            f"clip_grad_norm_: The total norm of order {p} of the gradients is {total.item()}, "
            "non-finite, so they cannot be clipped: find where they overflow, or leave "
            "error_if_nonfinite=False to scale them by it"
        )
    factor = float(max_norm) / (total + 1e-6)
    factor = factor._wrapped(np.minimum(factor._array, 1))
    for grad in grads:
        grad.mul_(factor)
    return total


@no_grad()
def clip_grad_value_(
    parameters: Tensor | Iterable[Tensor], clip_value: float, foreach: bool | None = None
) -> None:
    """Bring each element of all gradients to between -clip_value and clip_value.

    Args:
        parameters: one tensor or several; those without a gradient are left out.
        clip_value: the largest magnitude.
        foreach: chooses among torch's kernels, and makes no difference here.

    Raises:
        RuntimeError: there are no gradients.
    """
    bound = float(clip_value)
    grads = _gradients(parameters)
    if not grads:
        raise RuntimeError("clip_grad_value_: there are no gradients: call backward() first")
    for grad in grads:
        clipped = np.minimum(np.maximum(grad._array, -bound), bound)
        grad._write(..., clipped, "clip_grad_value_")


def _gradients(parameters: Any, warn: bool = False) -> list[Any]:
    tensors = [parameters] if isinstance(parameters, Tensor) else list(parameters)
    if warn and not tensors and isinstance(parameters, GeneratorType):
        warnings.warn(
            "clip_grad_norm_: `parameters` is an empty generator, no gradient clipping will "
            "occur: was it used before? call parameters() anew",
            stacklevel=5,
        )
    return [tensor.grad for tensor in tensors if tensor.grad is not None]
