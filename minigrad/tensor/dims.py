"""torch's forms of axes and lengths among arguments."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np

Dims: TypeAlias = int | Sequence[int] | None


def axis_of(operation: str, dim: int | None, ndim: int) -> int:
    """Return an axis counted from the front.

    Raises:
        IndexError: there is no such axis.
        TypeError: it is not an integer.
    """
    if isinstance(dim, bool) or not isinstance(dim, (int, np.integer)):
        raise TypeError(f"{operation}: dim must be an int, not {type(dim).__name__}")
    axes = max(ndim, 1)
    if not -axes <= dim < axes:
        raise IndexError(
            f"{operation}: Dimension out of range (expected to be in range of "
            f"[{-axes}, {axes - 1}], but got {dim})"
        )
    return int(dim) % axes


def axes_of(operation: str, dim: int | Sequence[int], ndim: int) -> tuple[int, ...]:
    """Return several axes counted from the front.

    Raises:
        IndexError: there is no such axis.
        RuntimeError: one is named twice.
    """
    dims = dim if isinstance(dim, Sequence) else [dim]
    axes = tuple(axis_of(operation, d, ndim) for d in dims)
    if len(set(axes)) != len(axes):
        raise RuntimeError(f"{operation}: dim {tuple(dims)} names an axis twice")
    return axes


def under_one_name(
    operation: str, name: str, given: Any, other_name: str, other: Any, default: Any = None
) -> Any:
    """Return an argument that torch takes under another name as well: NumPy's `axis` for `dim`.

    Raises:
        TypeError: it is given under both.
    """
    if given != default:
        raise TypeError(
            f"{operation}: got an unexpected keyword argument {other_name!r}: {name} has the same "
            "meaning and is given too"
        )
    return other


def varargs(
    operation: str, values: Sequence[Any], whole: Sequence[int] | None = None
) -> tuple[int, ...]:
    """Return the integers of `f(2, 3)`, of `f((2, 3))` and of `f(shape=(2, 3))` alike.

    Args:
        operation: its name, for messages.
        values: the arguments by position.
        whole: the argument by keyword.

    Raises:
        TypeError: there are none, or some in both ways, or something among them is not an int.
    """
    if whole is not None:
        if values or not isinstance(whole, (tuple, list)):
            raise TypeError(
                f"{operation}: expected ints, or one tuple of them by position or by keyword, but "
                f"got {[*values, whole]}"
            )
        values = whole
    elif not values:
        raise TypeError(f"{operation}: expected ints, or one tuple of them, but nothing was given")
    if len(values) == 1 and isinstance(values[0], (tuple, list)):
        values = values[0]
    return tuple(v if type(v) is int else _as_int(operation, v) for v in values)


def _as_int(operation: str, value: Any) -> int:
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise TypeError(
            f"{operation}: expected ints, or one tuple of them, but {value!r} is of type "
            f"{type(value).__name__}"
        )
    return operator.index(value)
