"""Indexing with square brackets: reading and assigning elements."""

import itertools
from collections.abc import Sequence
from typing import Any, Self

import numpy as np

from minigrad.dtypes import number_as
from minigrad.grad_mode import grad_mode
from minigrad.ops import RULE_OF, Rule
from minigrad.ops import indexing as rules
from minigrad.tensor.base import TensorBase
from minigrad.tensor.inplace import InPlace, require_fit
from minigrad.tensor.shape import Shapes

ADVANCED_INDEX = RULE_OF[rules.index].named("IndexBackward0")
ALIAS = RULE_OF[rules.index].named("AliasBackward0")
NEW_AXIS = RULE_OF[rules.index].named("UnsqueezeBackward0")
SELECT = RULE_OF[rules.index].named("SelectBackward0")
SLICE = RULE_OF[rules.index].named("SliceBackward0")


class Indexing(InPlace, Shapes):
    """Indexing of `Tensor`, with torch's forms of an index."""

    def __getitem__(input, key: Any) -> Self:
        plain = plain_key(key)
        try:
            return input._apply(index_rule(plain, input.shape), input, key=plain)
        except (IndexError, TypeError) as error:
            raise type(error)(complaint(error, input.shape)) from error

    def __setitem__(input, key: Any, value: Any) -> None:
        if isinstance(value, np.integer):
            value = int(value)
        if not isinstance(value, (Indexing, int, float)):
            raise TypeError(
                f"index assignment: can't assign a {type(value).__name__} to a Tensor: "
                "make a tensor of it first"
            )
        plain = plain_key(key)
        try:
            place = input._array[plain].shape
        except IndexError as error:
            raise IndexError(complaint(error, input.shape)) from error
        if isinstance(value, Indexing):
            extra = max(value.ndim - len(place), 0)
            if extra and value.shape[:extra] == (1,) * extra:
                value = value.reshape(value.shape[extra:])
            require_fit("index assignment", value.shape, place)
        else:
            value = number_as("index assignment", value, input.dtype)
        if grad_mode.enabled and (input._node or getattr(value, "_node", None)):
            input._in_place(
                "index assignment",
                lambda x: x._apply(RULE_OF[rules.index_put], x, value, key=plain),
            )
        else:
            input._write(plain, getattr(value, "_array", value), "index assignment")


def plain_key(key: Any) -> Any:
    """Return an index with every tensor and list in it as an ndarray or, of no axes, an int.

    A key that ends at an element gets an ellipsis behind it, for which NumPy returns an array of
    no axes that shares memory, as torch does, in place of a scalar that does not.
    """
    if not isinstance(key, tuple):
        part = _plain_part(key)
        return (part, ...) if isinstance(part, int) and not isinstance(part, bool) else part
    parts = tuple(_plain_part(part) for part in key)
    if all(part is None or isinstance(part, (int, slice)) for part in parts):
        return (*parts, ...)
    return parts


def _plain_part(part: Any) -> Any:
    if isinstance(part, TensorBase):
        array = part._array
        return int(array) if array.ndim == 0 and array.dtype.kind == "i" else array
    if isinstance(part, list):
        return np.asarray([_plain_part(p) for p in part], None if part else np.int64)
    if isinstance(part, np.integer):
        return int(part)
    if isinstance(part, str):
        raise TypeError(f"index: {part!r} is text: use ints, slices, ..., None or tensors of them")
    if isinstance(part, slice) and isinstance(part.step, int) and part.step <= 0:
        raise ValueError(f"index: a slice's step must be greater than zero, not {part.step}")
    return part


def complaint(error: Exception, shape: Sequence[int]) -> str:
    """Return the message for an index that NumPy refused."""
    return f"index: {error}. The index must fit a tensor of shape {list(shape)}."


def index_rule(key: Any, shape: Sequence[int]) -> Rule:
    """Return the rule for a plain index, under the name torch gives the last step of that index."""
    parts = key if isinstance(key, tuple) else (key,)
    if any(isinstance(part, (np.ndarray, bool)) for part in parts):
        return ADVANCED_INDEX
    rule = ALIAS
    taken = sum(isinstance(part, (int, slice)) for part in parts)
    lengths = iter(shape)
    for part in parts:
        if part is None:
            rule = NEW_AXIS
        elif part is Ellipsis:
            lengths = itertools.islice(lengths, max(len(shape) - taken, 0), None)
        elif isinstance(part, slice):
            length = next(lengths, 0)
            if part is key or part.indices(length) != (0, length, 1):
                rule = SLICE
        else:
            next(lengths, 0)
            rule = SELECT
    return rule
