"""Functions of several tensors that are no methods: joining and choosing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from minigrad.arguments import axis_of, is_tensor
from minigrad.dtypes import result_type
from minigrad.names import STACK
from minigrad.operands import choose
from minigrad.ops import RULES
from minigrad.tensor import Tensor, apply


def cat(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    """Join tensors along an axis they have, in their common dtype.

    Tensors of shape (0,) are left out, as torch does for old times' sake.

    Raises:
        TypeError: `tensors` is no list or tuple of tensors.
        ValueError: it is empty.
        RuntimeError: a tensor has no axes, or their other lengths differ.
        IndexError: there is no such axis.
    """
    _check_tensors("cat", tensors)
    if not tensors:
        raise ValueError("cat: expected a non-empty list of Tensors, but it is empty")
    shapes = [list(t.shape) for t in tensors]
    if [] in shapes:
        raise RuntimeError(
            f"cat: zero-dimensional tensor (at position {shapes.index([])}) cannot be "
            "concatenated: use stack"
        )
    joined = [t for t in tensors if t.shape != (0,)] or list(tensors)
    axis = axis_of("cat", dim, joined[0].ndim)
    try:
        return apply(RULES["cat"], *_in_common_dtype(joined, tensors), axis=axis)
    except ValueError as error:
        raise RuntimeError(f"cat: shapes {shapes} must be equal but for axis {axis}") from error


def stack(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    """Join tensors of equal shape along a new axis, in their common dtype.

    Raises:
        TypeError: `tensors` is no list or tuple of tensors.
        RuntimeError: it is empty, or the shapes differ.
        IndexError: there is no such axis.
    """
    _check_tensors("stack", tensors)
    if not tensors:
        raise RuntimeError("stack: expected a non-empty list of Tensors, but it is empty")
    if len({t.shape for t in tensors}) > 1:
        raise RuntimeError(
            f"stack: tensors must be of equal shape, not {[list(t.shape) for t in tensors]}"
        )
    axis = axis_of("stack", dim, tensors[0].ndim + 1)
    rows = [t.unsqueeze(axis) for t in _in_common_dtype(tensors, tensors)]
    return apply(STACK, *rows, axis=axis)


def _check_tensors(operation: str, tensors: Any) -> None:
    if not isinstance(tensors, (list, tuple)):
        raise TypeError(
            f"{operation}: tensors must be a list or tuple of Tensors, not {type(tensors).__name__}"
        )
    for i, part in enumerate(tensors):
        if not is_tensor(part):
            raise TypeError(
                f"{operation}: expected Tensor as element {i}, but got {type(part).__name__}"
            )


def _in_common_dtype(tensors: Sequence[Tensor], all_of_them: Sequence[Tensor]) -> list[Tensor]:
    dtype = result_type(*(t._array for t in all_of_them))
    return [t.to(dtype) for t in tensors]


def where(condition: Tensor, input: Any, other: Any) -> Tensor:
    """Return input where the condition holds, else other, broadcast.

    Args:
        condition: a bool tensor.
        input, other: tensors or numbers, which are brought to their common dtype.

    Raises:
        TypeError: the condition is no tensor, or input or other neither tensor nor number.
        RuntimeError: the condition is not of dtype bool, or the shapes do not broadcast.
    """
    return choose(condition, input, other)
