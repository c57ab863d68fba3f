"""Numbers, and nested sequences of them, as arrays."""

import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from minigrad.dtypes import DType, bool_, dtype_of_number
from minigrad.tensor.base import TensorBase


def flattened(data: Any) -> tuple[list[Any], list[int], list[np.ndarray[Any, Any]]]:
    """Return what nested sequences hold, their shape, and the arrays that are among them."""
    shape: list[int] = []
    first: Any = data  # as in torch, the first element of each sequence decides on the shape
    while isinstance(first, (Sequence, np.ndarray)) and not isinstance(first, (str, bytes)):
        shape.append(len(first))
        first = first[0] if shape[-1] else None
    if isinstance(first, str) and shape:
        raise ValueError(f"tensor: the data must be numbers, not text like {first!r}")
    parts: list[Any] = [data]
    arrays: list[np.ndarray[Any, Any]] = []
    for length in shape:
        for part in parts:
            nested = isinstance(part, (Sequence, np.ndarray, TensorBase))
            if not nested or isinstance(part, str):
                raise TypeError(
                    f"tensor: expected a sequence of {length}, as the first is, not {part!r}"
                )
            if len(part) != length:
                raise ValueError(
                    f"tensor: nested sequences must be of equal lengths, but one has {len(part)} "
                    f"elements where the first has {length}"
                )
        arrays += [part for part in parts if isinstance(part, np.ndarray)]
        parts = [element for part in parts for element in part]
    return parts, shape, arrays


def dtype_of(part: Any) -> DType:
    """Return the data type that torch finds for an element of the data."""
    if isinstance(part, (TensorBase, np.ndarray, np.generic)):
        dtype: DType = part.dtype
        return dtype
    if isinstance(part, (bool, int, float)):
        return dtype_of_number(part)
    # torch's classes: what it takes for a wrong element, and what it knows nothing about.
    kind = TypeError if isinstance(part, (bytes, complex, Sequence)) else RuntimeError
    raise kind(
        "tensor: data must be numbers, sequences of numbers or one-element tensors, arrays or "
        f"tensors, not {type(part).__name__}"
    )


def numbers(parts: Sequence[Any], wanted: DType) -> np.ndarray[Any, DType]:
    """Return numbers, and what Python can convert to such, as an array."""
    plain = (int, float, np.bool_) if wanted == bool_ else (int, float)
    convert: Any = operator.index if wanted.kind in "ib" else float
    for part in parts:
        if isinstance(part, (str, bytes)):
            raise TypeError(f"tensor: the data must be numbers, not text like {part!r}")
    numbers = [part if isinstance(part, plain) else convert(part) for part in parts]
    try:
        return np.array(numbers, wanted)
    except (OverflowError, ValueError) as error:
        floats = any(isinstance(number, float) for number in numbers)
        kind = OverflowError if wanted.kind == "f" else RuntimeError if floats else ValueError
        raise kind(
            f"tensor: data cannot be converted to {wanted} without overflow: {error}"
        ) from None
