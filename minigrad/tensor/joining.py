"""Joining tensors."""

from collections.abc import Sequence
from typing import Any, TypeVar

from minigrad.dtypes import result_type
from minigrad.ops import RULE_OF, shape
from minigrad.tensor.base import TensorBase
from minigrad.tensor.reduction import VOID, axis_of, one_of
from minigrad.tensor.shape import Shapes

STACK = RULE_OF[shape.cat].named("StackBackward0")

T = TypeVar("T", bound=Shapes)


def cat(tensors: Sequence[T], dim: int = 0, *, axis: int | None = VOID) -> T:
    """Join tensors along an axis they have, in their common dtype.

    Tensors of shape (0,) add nothing: torch still allows them, for compatibility.

    Raises:
        TypeError: `tensors` is no list or tuple of tensors.
        ValueError: it is empty.
        RuntimeError: a tensor has no axes, or their other lengths differ.
        IndexError: there is no such axis.
    """
    _check_tensors("cat", tensors, ValueError)
    shapes = [list(t.shape) for t in tensors]
    if [] in shapes:
        raise RuntimeError(
            f"cat: zero-dimensional tensor (at position {shapes.index([])}) cannot be "
            "concatenated: use stack"
        )
    dim = one_of("cat", "dim", dim, "axis", axis, default=(0,))
    along = axis_of("cat", dim, next((t.ndim for t in tensors if t.shape != (0,)), 1))
    try:
        return tensors[0]._apply(RULE_OF[shape.cat], *_in_common_dtype(tensors), axis=along)
    except ValueError as error:
        raise RuntimeError(f"cat: shapes {shapes} must be equal but for axis {along}") from error


def stack(tensors: Sequence[T], dim: int = 0, *, axis: int | None = VOID) -> T:
    """Join tensors of equal shape along a new axis, in their common dtype.

    Raises:
        TypeError: `tensors` is no list or tuple of tensors.
        RuntimeError: it is empty, or the shapes differ.
        IndexError: there is no such axis.
    """
    _check_tensors("stack", tensors, RuntimeError)
    if len({t.shape for t in tensors}) > 1:
        raise RuntimeError(
            f"stack: tensors must be of equal shape, not {[list(t.shape) for t in tensors]}"
        )
    dim = one_of("stack", "dim", dim, "axis", axis, default=(0,))
    along = axis_of("stack", dim, tensors[0].ndim + 1)
    rows = [t.unsqueeze(along) for t in _in_common_dtype(tensors)]
    return tensors[0]._apply(STACK, *rows, axis=along)


def _check_tensors(operation: str, tensors: Any, if_empty: type[Exception]) -> None:
    if not isinstance(tensors, (list, tuple)):
        raise TypeError(
            f"{operation}: tensors must be a list or tuple of Tensors, not {type(tensors).__name__}"
        )
    for i, part in enumerate(tensors):
        if not isinstance(part, TensorBase):
            raise TypeError(
                f"{operation}: expected Tensor as element {i}, but got {type(part).__name__}"
            )
    if not tensors:
        raise if_empty(f"{operation}: expected a non-empty list of Tensors, but it is empty")


def _in_common_dtype(tensors: Sequence[T]) -> list[T]:
    dtype = result_type(*(t._array for t in tensors))
    return [t.to(dtype) for t in tensors]


def hstack(tensors: Sequence[T]) -> T:
    """Join tensors side by side: vectors one after the other, others along their second axis.

    Raises:
        TypeError: `tensors` is no list or tuple of tensors.
        RuntimeError: it is empty, or the lengths of the other axes differ.
    """
    _check_tensors("hstack", tensors, RuntimeError)
    parts = [x.reshape(1) if x.ndim == 0 else x for x in tensors]
    return cat(parts, 0 if parts[0].ndim == 1 else 1)


def vstack(tensors: Sequence[T]) -> T:
    """Join tensors one below the other along their first axis; a vector is a row.

    Raises:
        TypeError: `tensors` is no list or tuple of tensors.
        RuntimeError: it is empty, or the lengths of the other axes differ.
    """
    _check_tensors("vstack", tensors, RuntimeError)
    return cat([x.reshape(1, -1) if x.ndim < 2 else x for x in tensors])
