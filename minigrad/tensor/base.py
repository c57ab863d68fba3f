"""What the classes that `Tensor` is put together from share: what they may use of it."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias
from weakref import WeakValueDictionary

if TYPE_CHECKING:
    from minigrad.dtypes import DType
    from minigrad.tape import Array, Node
    from minigrad.tensor import Size, Tensor

Number: TypeAlias = float | int | bool


class Mixin:
    """What the classes that `Tensor` is put together from may use of it."""

    # Few tensors have these; the rest share the values given here.
    _base: Tensor | None = None  # what this is a view of
    _frozen: Node | None = None  # a leaf's node while its gradient is switched off
    _views: WeakValueDictionary[int, Tensor] | None = None  # those that are in use

    def __init_subclass__(cls) -> None:
        """Call the methods by the name their user knows, `Tensor.sum` and not `Reductions.sum`."""
        if Mixin in cls.__bases__:
            for method in filter(inspect.isfunction, vars(cls).values()):
                method.__qualname__ = f"Tensor.{method.__name__}"

    if TYPE_CHECKING:
        _apply: Callable[..., Tensor]
        _in_place: Callable[..., Tensor]
        _tensor: Callable[..., Tensor]
        _array: Array
        _node: Node | None
        _write: Callable[..., None]
        detach: Callable[[], Tensor]
        to: Callable[..., Tensor]

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
