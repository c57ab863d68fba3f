"""`Tensor`: an array together with the node of the tape that made it."""

from __future__ import annotations

import math
from typing import Any
from weakref import WeakValueDictionary

import numpy as np

from minigrad.changes import owner
from minigrad.dtypes import DType
from minigrad.grad_mode import grad_mode
from minigrad.ops import Rule
from minigrad.tape import OUTDATED, Array, Node, outdated_view
from minigrad.tensor.gradients import Recorded
from minigrad.tensor.methods import Methods
from minigrad.tensor.protocols import Protocols


class Size(tuple[int, ...]):
    """The shape of a tensor, printed as torch prints it."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"torch.Size({list(self)})"

    def numel(self) -> int:
        """Return the number of elements of a tensor of this shape."""
        return math.prod(self)


class Tensor(Recorded, Methods, Protocols):
    """An array that remembers how it was computed, with torch's names and semantics.

    Make one with `minigrad.tensor`. It wraps the array it is given, without a copy: an ndarray,
    or any array type that implements the calls in `minigrad.vocabulary`.

    Raises:
        TypeError: it is given something else.
    """

    __slots__ = ("_array", "_node")

    def __init__(self, array: Array, node: Node | None = None) -> None:
        if type(array) is not np.ndarray:
            array = _array_of(array)
        self._array = array
        self._node = node  # its place on the tape; None exactly if no gradient is required

    # ---- what it is -------------------------------------------------------------------------

    @property
    def shape(self) -> Size:
        """The lengths of the axes."""
        return Size(self._array.shape)

    @property
    def dtype(self) -> DType:
        """The data type, a NumPy dtype object."""
        dtype: DType = self._array.dtype
        return dtype

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self._array.shape)

    def detach(self) -> Tensor:
        """Return a tensor of the same values, in the same memory, without history."""
        return Tensor(self._array)


def _array_of(value: Any) -> Array:
    """Return what a tensor can wrap; NumPy's scalars become arrays without axes.

    Raises:
        TypeError: it is no array.
    """
    if isinstance(value, np.generic):
        return np.asarray(value)
    if isinstance(value, Tensor) or not hasattr(value, "__array_function__"):
        raise TypeError(
            f"Tensor: expected an array to wrap, not {type(value).__name__}: make a tensor of the "
            "values with minigrad.tensor(...)"
        )
    return value


_new = object.__new__


def wrapped(array: Array, node: Node | None = None) -> Tensor:
    """Return a tensor of what is known to be an array: the constructor without its check."""
    tensor = _new(Tensor)
    tensor._array = array
    tensor._node = node
    return tensor


def apply(rule: Rule, *inputs: Any, **options: Any) -> Tensor:
    """Run a rule on tensors and Python numbers; record it if one of them requires a gradient."""
    values = []
    parents = []
    for x in inputs:
        if isinstance(x, Tensor):
            values.append(x._array)
            parents.append(x._node)
        else:
            values.append(x)
            parents.append(None)
    out = rule.forward(*values, **options)
    if isinstance(out, np.generic):
        out = np.asarray(out)  # NumPy returns scalars in place of zero-dimensional arrays
    result = _new(Tensor)
    result._array = out
    result._node = None
    if out.base is not None and isinstance(inputs[0], Tensor):
        _note_view(result, inputs[0])
    if any(parents) and grad_mode.enabled:
        if OUTDATED in parents:
            raise outdated_view(rule.name)
        plan = rule.plan(tuple(map(bool, parents)))
        if plan.derivatives:
            saved = plan.save((out, *values), options)
            result._node = Node(rule, parents, plan, saved, out)
    return result


def _note_view(result: Tensor, source: Tensor) -> None:
    """Remember that `result` is a view of `source`, if it is one."""
    if owner(result._array) is owner(source._array):
        result._base = source
        if source._views is None:
            source._views = WeakValueDictionary()
        source._views[id(result)] = result


# What the classes that `Tensor` is put together from run rules with, and make tensors with.
Tensor._apply = staticmethod(apply)
Tensor._tensor = staticmethod(wrapped)
