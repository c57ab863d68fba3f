"""`TensorBase`: an array with its place on the tape, and how a rule is run on it.

The classes of this room inherit from it, and from each other where one uses another's methods. So
each says by its bases what it may use, and an operation's result has the type `Self`. `Tensor`, in
`minigrad.tensor`, puts them together.
"""

from __future__ import annotations

import inspect
import math
from typing import Any, ClassVar, Self, TypeAlias, TypeVar
from weakref import WeakValueDictionary

import numpy as np

from minigrad.dtypes import DType
from minigrad.grad_mode import grad_mode
from minigrad.layout import repeats
from minigrad.ops import Rule
from minigrad.tape import Array, Node, changed, changes, owner
from minigrad.tensor.overlap import writable
from minigrad.tensor.size import Size
from minigrad.tensor.views import (
    OUTDATED,
    nowhere,
    outdate,
    outdate_nowhere,
    outdated_view,
    root_of,
)

Number: TypeAlias = float | int | bool
T = TypeVar("T")

_new: Any = object.__new__
_size: Any = tuple.__new__  # `Size` without its check


class TensorBase:
    """An array and the node of the tape that made it.

    Attributes:
        _array: the values.
        _node: the tensor's place on the tape; None exactly if it requires no gradient.
    """

    __slots__ = ("__dict__", "__weakref__", "_array", "_node")

    _result_class: ClassVar[Any]
    """The class of results: `Tensor`, also where a `Parameter` is an input."""

    # Few tensors have these; the rest share the values given here.
    _base: TensorBase | None = None  # what this is a view of
    _frozen: Node | None = None  # a leaf's node while its gradient is switched off
    _made: int = 0  # as a view, when: a number of the tape's sequence
    _grad: Any = None  # the tensor that `backward` accumulated
    _views: WeakValueDictionary[int, TensorBase] | None = None  # those that are in use

    def __init__(self, array: Array, node: Node | None = None) -> None:
        self._array = _required(array)
        self._node = node

    def __init_subclass__(cls) -> None:
        """Call the methods by the name their user knows, `Tensor.sum` and not `Reductions.sum`."""
        if cls.__module__ == __package__:
            cls._result_class = cls
            for part in cls.__mro__:
                for method in filter(inspect.isfunction, vars(part).values()):
                    method.__qualname__ = f"{cls.__name__}.{method.__name__}"

    # ---- what it is -------------------------------------------------------------------------

    @property
    def shape(self) -> Size:
        """The lengths of the axes."""
        size: Size = _size(Size, self._array.shape)
        return size

    @property
    def dtype(self) -> DType:
        """The data type, a NumPy dtype object."""
        dtype: DType = self._array.dtype
        return dtype

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self._array.shape)

    def numel(input) -> int:
        """The number of elements."""
        return math.prod(input.shape)

    nelement = numel

    @property
    def grad_fn(self) -> Node | None:
        """The node that made this tensor; None for a leaf."""
        return None if self.is_leaf else self._node

    @property
    def is_leaf(self) -> bool:
        """Whether no recorded operation made this tensor."""
        return self._node is None or self._node.rule is None

    def detach(self) -> Self:
        """Return a tensor of the same values, in the same memory, without history."""
        return self._wrapped(self._array)

    # ---- running a rule ---------------------------------------------------------------------

    @classmethod
    def _wrapped(cls, array: Array, node: Node | None = None) -> Self:
        """Return a tensor of what is known to be an array: the constructor without its check."""
        tensor = _new(cls._result_class)
        tensor._array = array
        tensor._node = node
        wrapped: Self = tensor
        return wrapped

    def _apply(self, rule: Rule, *inputs: Any, **options: Any) -> Self:
        """Run a rule on tensors and numbers; record it if one of them requires a gradient."""
        tensor = self._result_class
        values = []
        parents = []
        needs_grad = []
        for x in inputs:
            node = None
            if isinstance(x, tensor):
                node = x._node
                x = x._array
            values.append(x)
            parents.append(node)
            needs_grad.append(node is not None)
        out = rule.forward(*values, **options)
        if isinstance(out, np.generic):
            out = np.asarray(out)  # NumPy returns scalars in place of zero-dimensional arrays
        result: Self = _new(tensor)
        result._array = out
        result._node = None
        if out.base is not None and isinstance(inputs[0], tensor):
            result._note_view(inputs[0])
        if True in needs_grad and grad_mode.enabled:
            if OUTDATED in parents:
                raise outdated_view(rule.name)
            plan = rule.plan(tuple(needs_grad))
            if plan.derivatives:
                made = (out, *values)
                saved = plan.pick_values(made) if plan.is_plain else plan.save(made, options)
                result._node = Node(rule, parents, plan, saved, out)
        return result

    def _note_view(self, source: TensorBase) -> None:
        """Remember that this is a view of `source`, if it is one.

        As in torch, a view made under `no_grad` is a leaf, and requires a gradient if `source`
        does, but that gradient goes nowhere.
        """
        if owner(self._array) is owner(source._array):
            self._base = source
            self._made = changes.latest
            if source._views is None:
                source._views = WeakValueDictionary()
            source._views[id(self)] = self
            if not grad_mode.enabled and root_of(source)._node is not None:
                self._node = nowhere(self._array)

    def _continue_from(self, node: Node) -> None:
        """Take the place on the tape of what a recorded operation has put into this tensor."""
        before, self._node = self._node, node
        node.strides = self._array.strides
        if before is not None and before.variable is not None:
            before.variable, node.variable = None, before.variable  # by `retain_grad`
        outdate(self)

    def _own(self) -> Self:
        """Return this view, which nothing else can refer to as a tensor in its own right.

        It may be changed in place as no view may.
        """
        self._base = None
        return self

    def _write(self, key: Any, values: Any, name: str) -> None:
        """Replace the values at `key`, and note that they change; `name` is for messages."""
        plain: Any = getattr(self._array, "_array", self._array)
        try:
            if plain.size and repeats(plain):
                raise ValueError("unsupported operation")
            array = self._array if self._array.flags.writeable else writable(plain)
            if array.flags.writeable:
                changed(array)  # first, or Ctrl-C could leave a change that is not noted
            array[key] = values
            outdate_nowhere(self)
        except ValueError as error:
            raise RuntimeError(
                f"{name}: {error}: several elements of an expanded tensor share one memory "
                "location, and an array may be read-only. Change a clone() of it instead."
            ) from error


def _required(value: Any) -> Array:
    """Return an array as it is; raise a TypeError where a tensor cannot wrap the value."""
    if isinstance(value, TensorBase) or not hasattr(value, "__array_function__"):
        raise TypeError(
            f"Tensor: expected an array to wrap, not {type(value).__name__}: make a tensor of the "
            "values with minigrad.tensor(...)"
        )
    return value


def require_tensor(operation: str, *values: T) -> T:
    """Return the first of the values; raise a TypeError where one is no tensor."""
    for value in values:
        if not isinstance(value, TensorBase):
            raise TypeError(
                f"{operation}: the argument must be a Tensor, not {type(value).__name__}: "
                "make one with tensor(...)"
            )
    return values[0]
