"""What the rules leave to their callers: torch's argument forms, checks, and type promotion."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias
from weakref import WeakValueDictionary

import numpy as np

from minigrad.names import RESHAPE_ALIAS, UNSAFE_VIEW
from minigrad.ops import RULES, Rule

if TYPE_CHECKING:
    from minigrad.dtypes import DType
    from minigrad.tape import Array, Node
    from minigrad.tensor import Size, Tensor

Number: TypeAlias = float | int | bool
Dims: TypeAlias = int | Sequence[int] | None


class Mixin:
    """What the classes that `Tensor` is put together from may use of it."""

    # Few tensors have these; the rest share the values given here.
    _base: Tensor | None = None  # what this is a view of
    _frozen: Node | None = None  # a leaf's node while its gradient is switched off
    _views: WeakValueDictionary[int, Tensor] | None = None  # those that are in use

    if TYPE_CHECKING:
        _apply: Callable[..., Tensor]
        _tensor: Callable[..., Tensor]
        _array: Array
        _node: Node | None
        detach: Callable[[], Tensor]

        @property
        def dtype(self) -> DType: ...  # noqa: D102

        @property
        def grad_fn(self) -> Node | None: ...  # noqa: D102

        @property
        def is_leaf(self) -> bool: ...  # noqa: D102

        @property
        def ndim(self) -> int: ...  # noqa: D102

        @property
        def requires_grad(self) -> bool: ...  # noqa: D102

        @property
        def shape(self) -> Size: ...  # noqa: D102


def is_tensor(value: Any) -> bool:
    """Return whether `value` is a `Tensor`."""
    return hasattr(value, "_node")


def require_tensor(operation: str, value: Any) -> Tensor:
    """Return `value` if it is a tensor.

    Raises:
        TypeError: it is something else.
    """
    if not is_tensor(value):
        raise TypeError(
            f"{operation}: the argument must be a Tensor, not {type(value).__name__}: "
            "make one with tensor(...)"
        )
    tensor: Tensor = value
    return tensor


def own(x: Tensor) -> Tensor:
    """Return a view of a value that nothing else can refer to as a tensor in its own right.

    It may be changed in place as no view may.
    """
    x._base = None
    return x


def axis_of(operation: str, dim: int, ndim: int) -> int:
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


def reduce(name: str, x: Mixin, dim: Dims, keepdim: bool, torch_name: str | None = None) -> Tensor:
    """Apply a reduction over `dim`; None and the empty sequence mean all axes.

    Raises:
        TypeError: dim is not made of ints, or keepdim is not a bool.
        IndexError: there is no such axis.
        RuntimeError: an axis is named twice.
    """
    if keepdim is not False and keepdim is not True:
        raise TypeError(f"{name}: keepdim must be True or False, not {keepdim!r}")
    rule = RULES[name]
    if dim is None:
        return x._apply(rule, x, axis=None, keepdims=keepdim)
    if torch_name is not None:
        rule = rule.named(torch_name)
    axes = axes_of(name, dim, x.ndim)
    return x._apply(rule, x, axis=axes if x.ndim and axes else None, keepdims=keepdim)


def extremum(name: str, x: Mixin, dim: Dims, keepdim: bool) -> Tensor:
    """Apply `amax` or `amin`, which have no value where there is nothing to choose from.

    Raises:
        IndexError: an axis of length 0 would be reduced.
        RuntimeError: all axes would, and the tensor has no elements.
    """
    if 0 in x._array.shape:
        axes = () if dim is None else axes_of(name, dim, x.ndim)
        if not axes:
            raise RuntimeError(
                f"{name}: a tensor of shape {list(x.shape)} has no elements to choose from: name "
                "axes of other lengths than 0 in dim"
            )
        for axis in axes:
            if x.shape[axis] == 0:
                raise IndexError(
                    f"{name}: axis {axis} of shape {list(x.shape)} has length 0, and there is "
                    "nothing to choose from: reduce an axis of another length"
                )
    return reduce(name, x, dim, keepdim)


def varargs(operation: str, values: Sequence[Any]) -> tuple[int, ...]:
    """Return the integers of `f(2, 3)` and of `f((2, 3))` alike.

    Raises:
        TypeError: there are none, or something among them is not an int.
    """
    if not values:
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


def fit_shape(operation: str, x: Any, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return `shape` with a single -1 replaced by what the other lengths leave.

    Raises:
        RuntimeError: the elements do not fit.
    """
    size = x.numel()
    if shape.count(-1) == 1:
        known = math.prod(n for n in shape if n != -1)
        if known and size % known == 0:
            shape = tuple(size // known if n == -1 else n for n in shape)
    if math.prod(shape) != size or min(shape, default=0) < 0:
        raise RuntimeError(
            f"{operation}: shape '{list(shape)}' is invalid for input of size {size} "
            f"(shape {list(x.shape)}): the lengths must multiply to {size}, and one may be -1 if "
            "the others determine it"
        )
    return shape


def transposed(x: Mixin, dim0: int, dim1: int, rule: Rule) -> Tensor:
    """Exchange two axes."""
    axes = list(range(x.ndim))
    a, b = axis_of("transpose", dim0, x.ndim), axis_of("transpose", dim1, x.ndim)
    if axes:
        axes[a], axes[b] = b, a
    return x._apply(rule, x, axes=tuple(axes))


def is_viewable(x: Any, shape: tuple[int, ...]) -> bool:
    """Return whether a tensor's elements need not be copied to have this shape."""
    try:
        np.reshape(np.asarray(x._array), shape, copy=False)
    except ValueError:
        return False
    return True


def reshape_rule(x: Any, shape: tuple[int, ...]) -> Rule:
    """Return the rule for a reshape, under the name torch gives it for a tensor laid out so."""
    if x._array.flags.c_contiguous:
        return RULES["reshape"]
    return RESHAPE_ALIAS if is_viewable(x, shape) else UNSAFE_VIEW
