"""Python's protocols: numbers, sequences, copies, and text."""

import copy
import warnings
from collections.abc import Iterator
from typing import Any, Self

import numpy as np

from minigrad.grad_mode import grad_mode
from minigrad.ops import RULE_OF, indexing
from minigrad.tape import owner
from minigrad.tensor import printing
from minigrad.tensor.conversion import is_operand
from minigrad.tensor.logic import Logic
from minigrad.tensor.numpy_calls import NumPyCalls

UNBIND = RULE_OF[indexing.part].named("UnbindBackward0")


INTERNAL = {"_base", "_frozen", "_grad", "_made", "_views"}
"""Attributes that are minigrad's own; any other is a user's."""


def rebuilt(
    kind: Any,
    array: Any,
    requires_grad: bool,
    attributes: dict[str, Any],
    place: tuple[int, tuple[int, ...], tuple[int, ...]] | None = None,
) -> Any:
    """Return a leaf, a tensor of this class, as it is copied and unpickled.

    `place` says where in the array its elements are: start, shape and strides.
    """
    if place is not None:
        start, shape, strides = place
        array = np.ndarray(shape, array.dtype, array, start, strides)
    tensor = kind.__new__(kind)
    tensor._array = array
    tensor._node = None
    tensor.requires_grad_(requires_grad)
    vars(tensor).update(attributes)
    return tensor


def start_of(array: Any) -> int:
    """Return how many bytes after its owner's memory an array begins."""
    start, whole = (x.__array_interface__["data"][0] for x in (array, owner(array)))
    return int(start - whole)


def deep_copied(array: Any, memo: dict[int, Any]) -> Any:
    """Return a copy that shares its memory with the copies of what `array` shares memory with."""
    whole = owner(array)
    if type(whole) is not np.ndarray or not whole.flags.forc:
        return np.copy(array)
    if id(whole) not in memo:
        memo[id(whole)] = whole.copy("K")
    return np.ndarray(array.shape, array.dtype, memo[id(whole)], start_of(array), array.strides)


class Protocols(NumPyCalls, Logic):
    """Python's protocols for `Tensor`."""

    # ---- numbers ----------------------------------------------------------------------------

    def item(self) -> float | int | bool:
        """Return the value of a tensor with a single element as a Python number.

        Raises:
            RuntimeError: the tensor has another number of elements.
        """
        if self._array.size != 1:
            raise RuntimeError(
                f"item: a Tensor with {self._array.size} elements cannot be converted to Scalar; "
                "it must have exactly one"
            )
        value: float | int | bool = self._array.item()
        return value

    def tolist(self) -> Any:
        """Return the values as nested lists of Python numbers."""
        return self._array.tolist()

    def __float__(self) -> float:
        number = float(self._number())
        if self.requires_grad and grad_mode.enabled:
            warnings.warn(
                "float: this tensor requires a gradient, and what is computed with a Python number "
                "is not recorded: use .item() or .detach() if that is meant",
                stacklevel=2,
            )
        return number

    def __int__(self) -> int:
        return int(self._number())

    def _number(self) -> float | int | bool:
        if self._array.size != 1:
            raise ValueError(
                "only one element tensors can be converted to Python scalars, not one of shape "
                f"{list(self._array.shape)}: take an element, or combine tensors by stack or cat"
            )
        return self.item()

    def __bool__(self) -> bool:
        if self._array.size != 1:
            raise RuntimeError(
                f"Boolean value of Tensor with {self._array.size} elements is ambiguous: "
                "ask for one element, or reduce the tensor first"
            )
        return bool(self.item())

    def __index__(self) -> int:
        if self._array.dtype.kind not in "ib" or self._array.size != 1:
            raise TypeError(
                "only integer tensors of a single element can be converted to an index, "
                f"not {self._array.dtype} of shape {list(self._array.shape)}"
            )
        return int(self.item())

    # ---- sequences --------------------------------------------------------------------------

    def __len__(self) -> int:
        if self._array.ndim == 0:
            raise TypeError("len() of a 0-d tensor")
        return len(self._array)

    def __iter__(self) -> Iterator[Self]:
        if self._array.ndim == 0:
            raise TypeError("iteration over a 0-d tensor")
        return (self._apply(UNBIND, self, key=(i, ...)) for i in range(len(self)))

    def __contains__(self, element: Any) -> bool:
        if not is_operand(element):
            raise RuntimeError(
                f"in: a tensor contains numbers and tensors, not a {type(element).__name__}"
            )
        return bool(np.any(self.eq(element)._array))

    # ---- copies -----------------------------------------------------------------------------

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        """Return a leaf of the same values, gradient and attributes, in memory of its own.

        Copies that are made together share memory as what they are copies of.

        Raises:
            RuntimeError: a recorded operation made this tensor.
        """
        if not self.is_leaf:
            raise RuntimeError(
                "deepcopy: Only Tensors created explicitly by the user (graph leaves) support the "
                f"deepcopy protocol, and {self.grad_fn} made this one: copy .detach() of it, or "
                ".clone() it to stay in the graph"
            )
        array = deep_copied(self._array, memo)
        attributes = copy.deepcopy(self._attributes(), memo)
        copied = rebuilt(type(self), array, self.requires_grad, attributes)
        copied.grad = copy.deepcopy(self.grad, memo)
        return copied

    def _attributes(self) -> dict[str, Any]:
        """Return the attributes that a user has given to the tensor."""
        return {name: value for name, value in vars(self).items() if name not in INTERNAL}

    def __reduce_ex__(self, protocol: Any) -> Any:
        """Pickle as a leaf, without history and gradient, as torch does; `copy.copy` shares."""
        node = self._frozen if self._node is None else self._node
        if node is not None and node.hooks:
            warnings.warn(
                "pickle: the hooks that are registered on this tensor are not saved with it",
                stacklevel=2,
            )
        return self._reduced()

    def _reduced(self) -> tuple[Any, ...]:
        whole, place = self._array, None
        if not whole.flags.forc:  # it has gaps, repeats elements, or has its axes in another order
            everything = owner(whole)
            order = sorted(range(everything.ndim), key=lambda axis: -everything.strides[axis])
            if (lined_up := np.transpose(everything, order)).flags.c_contiguous:
                place = start_of(whole), whole.shape, whole.strides
                whole = lined_up
        return rebuilt, (type(self), whole, self.requires_grad, self._attributes(), place)

    # ---- text -------------------------------------------------------------------------------

    def __repr__(self) -> str:
        return printing.tensor_text(
            np.asarray(self._array),
            requires_grad=self.requires_grad,
            grad_fn=None if self.grad_fn is None else self.grad_fn.name(),
        )

    def __format__(self, specification: str) -> str:
        if self._array.ndim == 0:
            return format(self.item(), specification)
        return object.__format__(self, specification)
