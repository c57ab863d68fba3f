"""Indexing with square brackets: reading and assigning elements."""

import math
from typing import Any, NoReturn, Self

import numpy as np

from minigrad.dtypes import DType, bool_, number_as
from minigrad.grad_mode import grad_mode
from minigrad.layout import in_order, torch_order
from minigrad.ops import RULE_OF, shape
from minigrad.ops import indexing as rules
from minigrad.tape import Array
from minigrad.tensor.inplace import COPY, FILL_TENSOR, InPlace, require_fit
from minigrad.tensor.keys import ALIAS, ALL, NEW_AXIS, Key, key_of, long
from minigrad.tensor.overlap import require_apart, require_same_or_apart
from minigrad.tensor.shape import Shapes

INDEX = RULE_OF[rules.index]
INDEX_PUT = RULE_OF[rules.index_put]
UNSQUEEZE = RULE_OF[shape.reshape].named("UnsqueezeBackward0")
COPY_SLICES = INDEX_PUT.named("torch::autograd::CopySlices")
NAME = "index assignment"


class Indexing(InPlace, Shapes):
    """Indexing of `Tensor`, with torch's forms of an index."""

    def __getitem__(input, key: Any) -> Self:
        found = key_of(key, input._array.shape)
        return input._view_at(found)._picked_at(found)

    def _view_at(input, key: Key) -> Self:
        """Return what the first half of a key sees."""
        if key.arrays and key.is_whole:
            return input
        if key.rule is ALIAS:
            return input._apply(ALIAS, input, shape=input._array.shape)
        if key.rule is NEW_AXIS:
            lengths = input._array[key.view].shape
            if math.prod(lengths) == input._array.size:  # the derivative is a view, as in torch
                return input._apply(UNSQUEEZE, input, shape=lengths)
        return input._apply(key.rule, input, key=key.view)

    def _picked_at(input, key: Key) -> Self:
        """Return what the second half of a key picks, of what the first half sees."""
        if not key.arrays:
            return input
        try:
            picked = input._apply(INDEX, input, indices=key.arrays)
        except IndexError as error:
            raise IndexError(
                f"index: {error}. The index must fit a tensor of shape {list(input.shape)}."
            ) from error
        picked._array = in_torch_order(picked._array, input._array, key)
        return picked

    def __setitem__(input, key: Any, value: Any) -> None:
        value = assignable(value, input.dtype)
        if key is False:
            return  # as in torch, whatever the value's shape
        found = key_of(None if key is True else key, input._array.shape)
        view = input.detach()._view_at(found)
        if found.arrays and grad_mode.enabled:
            input._refuse_leaf(NAME)  # torch looks at index tensors later
        place = view._picked_at(found)
        fills = found.is_mask and getattr(value, "_array", np.zeros(())).size == 1
        memory = getattr(input._array, "_array", input._array)
        for part in found.arrays:
            if fills and part is not ALL:
                require_same_or_apart(NAME, view, input._wrapped(part))
            elif isinstance(part, np.ndarray) and np.shares_memory(part, memory):
                raise RuntimeError(
                    f"{NAME}: the index is in the same memory as what is changed: give a clone() "
                    "of the index"
                )
        by_one = getattr(value, "ndim", 0) == 0 < place.ndim
        if isinstance(value, Indexing):
            extra = max(value.ndim - place.ndim, 0)
            if extra and value.shape[:extra] == (1,) * extra:
                value = value.reshape(value.shape[extra:])
            require_fit(NAME, value.shape, place.shape)
            if found.arrays and not fills and value.dtype != input.dtype:
                raise RuntimeError(
                    f"{NAME}: by index tensors, values of dtype {value.dtype} cannot be assigned "
                    f"to a tensor of {input.dtype}: convert them with .to(...)"
                )
            if fills or (by_one and not found.arrays):
                input._refuse_gradient(NAME, value)
            if not fills:
                is_one = extra > 0 and value.numel() == 1  # which torch then expands
                require_apart(NAME, view, value, entirely=bool(found.arrays) or is_one)
            value = value.to(input.dtype)
        if not (grad_mode.enabled and (input._node or getattr(value, "_node", None))):
            input._put_now(found, getattr(value, "_array", value))
        elif found.is_whole and not found.arrays:
            input._set(NAME, FILL_TENSOR if by_one else COPY, value)
        else:
            input._in_place(NAME, lambda x: x._put(found, value))

    def __delitem__(input, key: Any) -> NoReturn:
        raise TypeError(
            "index: elements of a Tensor cannot be deleted: pick those that stay, as a new one"
        )

    def _put(input, key: Key, value: Any) -> Any:
        """Return this tensor with the elements at a key replaced."""
        if key.arrays:
            value = input._apply(INDEX_PUT, input._view_at(key), value, indices=key.arrays)
            if key.is_whole:
                return value
        return input._apply(COPY_SLICES, input, value, indices=key.view)

    def _put_now(input, key: Key, values: Any) -> None:
        """Replace the elements at a key without a record."""
        if key.arrays and not key.is_whole:
            view = np.copy(input._array[key.view])
            view[key.arrays] = values
            values = view
        input._write(key.arrays if key.is_whole and key.arrays else key.view, values, NAME)


def assignable(value: Any, dtype: DType) -> Any:
    """Return a value to be assigned: a tensor as it is, or a number as the dtype holds it.

    Raises:
        TypeError: it is neither.
        ValueError: it is an int of more than 64 bits.
        RuntimeError: it is a float that the dtype cannot hold.
    """
    if isinstance(value, Indexing):
        return value
    if isinstance(value, (int, np.integer)):
        value = long(NAME, int(value))
    elif not isinstance(value, float):
        raise TypeError(
            f"{NAME}: can't assign a {type(value).__name__} to a Tensor: make a tensor of it first"
        )
    return number_as(NAME, value, dtype)


def in_torch_order(picked: Array, view: Array, key: Key) -> Array:
    """Return what index arrays picked, laid out in memory as torch does it.

    NumPy leaves open how it lays out a result. In torch the axes are in the order that they have in
    the memory of what is read: the view, and then the index arrays.
    """
    arrays = [part for part in key.arrays if part is not ALL]
    if all(x.flags.c_contiguous for x in (picked, view, *arrays)):
        return picked
    kept = [view.strides[axis] for axis in key.kept_axes(view.ndim)]
    first, count = key.first_axis, picked.ndim - len(kept)
    strides = [[*kept[:first], *[0] * count, *kept[first:]]]
    for part in arrays:
        lengths, steps = part.shape, part.strides
        if part.dtype == bool_:  # torch picks by the places of what is true
            lengths, steps = picked.shape[first + count - 1 :][:1], (part.ndim,)
        before, after = first + count - len(lengths), picked.ndim - first - count
        lengths = (*[1] * before, *lengths, *[1] * after)
        steps = (*[steps[0] * lengths[before]] * before, *steps, *[steps[-1]] * after)
        of_all = zip(steps, lengths, picked.shape, strict=True)
        strides.append([0 if n == 1 != m else step for step, n, m in of_all])
    return in_order(picked, torch_order(picked.shape, *strides))
