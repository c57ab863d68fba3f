"""What may stand between square brackets: torch's forms of an index, as NumPy takes them."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from minigrad.arguments import is_tensor
from minigrad.names import ADVANCED_INDEX, ALIAS, NEW_AXIS, SELECT, SLICE
from minigrad.ops import Rule


def plain_key(key: Any) -> Any:
    """Return an index with every tensor and list in it as an ndarray or, of no axes, an int.

    A key that ends at an element gets an ellipsis behind it, for which NumPy returns an array of
    no axes that shares memory, as torch does, in place of a scalar that does not.

    Raises:
        TypeError: a part of the key is text.
        ValueError: a list is ragged, or a slice goes backwards.
    """
    if not isinstance(key, tuple):
        part = _plain_part(key)
        return (part, ...) if isinstance(part, int) and not isinstance(part, bool) else part
    parts = tuple(_plain_part(part) for part in key)
    if all(part is None or isinstance(part, (int, slice)) for part in parts):
        return (*parts, ...)
    return parts


def _plain_part(part: Any) -> Any:
    if is_tensor(part):
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
    """Return what to say when NumPy refused an index."""
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
