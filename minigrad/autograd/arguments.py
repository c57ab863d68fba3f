"""The arguments of `minigrad.autograd.functional`, checked and made into tuples."""

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from minigrad.tensor import Tensor

Tensors: TypeAlias = tuple[Tensor, ...]
Function: TypeAlias = Callable[..., Any]


def tensors_of(operation: str, what: str, given: Any) -> tuple[bool, Tensors]:
    """Return whether a tuple was given, and the tensors as a tuple."""
    several = isinstance(given, tuple)
    tensors = given if several else (given,)
    for tensor in tensors:
        if not isinstance(tensor, Tensor):
            raise TypeError(
                f"{operation}: the {what} must be either a Tensor or a tuple of Tensors, but "
                f"{type(tensor).__name__} was given"
            )
    return several, tensors


def point_at(operation: str, inputs: Any, create_graph: bool) -> tuple[bool, Tensors]:
    """Return whether a tuple was given, and the point as tensors of their own.

    New tensors, so that a function which also refers to the same tensors by itself is
    differentiated by its arguments alone.
    """
    several, tensors = tensors_of(operation, "inputs", inputs)
    return several, tuple(
        x.clone() if create_graph and x.requires_grad else x.detach().requires_grad_()
        for x in tensors
    )


def value_of(operation: str, func: Function, xs: Tensors, strict: bool) -> tuple[bool, Tensors]:
    """Return whether the function gives a tuple, and its value as a tuple."""
    several, outputs = tensors_of(operation, "outputs of the function", func(*xs))
    for i, out in enumerate(outputs):
        require(operation, strict, out.requires_grad, f"output {i}")
    return several, outputs


def scalar_of(operation: str, func: Function, xs: Tensors, strict: bool) -> Tensor:
    """Return the function's value, which has a single element."""
    several, outputs = value_of(operation, func, xs, strict)
    if several or outputs[0].numel() != 1:
        given = f"{len(outputs)} tensors" if several else f"shape {list(outputs[0].shape)}"
        raise RuntimeError(
            f"{operation}: the function should return a single Tensor that should contain a single "
            f"element, but it returned {given}: reduce it, for example with .sum()"
        )
    return outputs[0]


def vectors_of(operation: str, v: Any, like: Tensors, what: str) -> Tensors | tuple[None, ...]:
    """Return the vectors to multiply by, whose shapes are those of the inputs or outputs."""
    if v is None:
        if len(like) != 1 or like[0].numel() != 1:
            raise RuntimeError(
                f"{operation}: the vector v can only be None if there is a single {what} with a "
                f"single element: give one of shape {[list(x.shape) for x in like]}"
            )
        return (Tensor._wrapped(np.ones(like[0].shape, like[0].dtype)),)
    _, vectors = tensors_of(operation, "vector v", v)
    if [x.shape for x in vectors] != [x.shape for x in like]:
        raise RuntimeError(
            f"{operation}: v has invalid length or size: its shapes are "
            f"{[list(x.shape) for x in vectors]}, those of the {what}s are "
            f"{[list(x.shape) for x in like]}"
        )
    return vectors


def require(operation: str, strict: bool, holds: bool, what: str) -> None:
    """Raise where `strict` is not satisfied."""
    if strict and not holds:
        raise RuntimeError(
            f"{operation}: {what} is independent of the inputs, or not computed from them by "
            "operations that are recorded. This is not allowed in strict mode."
        )
