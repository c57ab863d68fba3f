"""Making tensors of data that are there: numbers, nested sequences of them, arrays, tensors."""

import operator
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from minigrad.dtypes import DType, as_dtype, bool_, common_type, dtype_of_number, float32
from minigrad.layout import unrepeated
from minigrad.tensor import Tensor


def tensor(data: Any, *, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """Return a tensor holding a copy of `data`.

    Args:
        data: a number, nested sequences of numbers or of one-element tensors, an ndarray, or a
            tensor. As torch does, it warns of a tensor, for `.detach().clone()` says the same more
            clearly, and of ndarrays in a sequence, which are converted slowly.
        dtype: by default the data's own for arrays and tensors; for Python numbers float32 if
            one of them is a float, else int64 or bool.
        requires_grad: whether operations on the tensor are recorded.

    Raises:
        TypeError: the dtype is not supported, or something among the data is no number.
        RuntimeError: it is something that torch knows no dtype of, or a float that an integer dtype
            cannot hold.
        ValueError: the nested sequences are ragged, a tensor in them has several elements, or an
            int is beyond int64; or, as in `from_numpy`, torch cannot take the array.
    """
    if isinstance(data, Tensor):
        array = data._array
        warnings.warn(
            "tensor: to copy a tensor, its .detach().clone() is recommended", stacklevel=2
        )
    elif isinstance(data, np.ndarray):
        array = _as_torch_takes("tensor", data)
    else:
        parts, shape, arrays = _flattened(data)
        if any(array.size for array in arrays):
            warnings.warn(
                "tensor: a sequence of ndarrays is slow to convert: make one of them first, with "
                "np.array(...)",
                stacklevel=2,
            )
        if dtype is None:
            kinds = {_dtype_of(part) for part in (*arrays, *parts)}
            dtype = common_type(*kinds) if kinds else float32
        array = _numbers(parts, as_dtype(dtype)).reshape(shape)
    wanted = as_dtype(array.dtype if dtype is None else dtype)
    return Tensor(np.array(unrepeated(array), wanted)).requires_grad_(requires_grad)


def _flattened(data: Any) -> tuple[list[Any], list[int], list[np.ndarray[Any, Any]]]:
    """Return what nested sequences hold, their shape, and the arrays that are among them."""
    shape: list[int] = []
    first = data  # as in torch, the first element of each sequence decides on the shape
    while isinstance(first, (Sequence, np.ndarray)) and not isinstance(first, (str, bytes)):
        shape.append(len(first))
        first = first[0] if shape[-1] else None
    if isinstance(first, str) and shape:
        raise ValueError(f"tensor: the data must be numbers, not text like {first!r}")
    parts = [data]
    arrays: list[np.ndarray[Any, Any]] = []
    for length in shape:
        for part in parts:
            if not isinstance(part, (Sequence, np.ndarray, Tensor)) or isinstance(part, str):
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


def _dtype_of(part: Any) -> DType:
    """Return the data type that torch finds for an element of the data."""
    if isinstance(part, (Tensor, np.ndarray, np.generic)):
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


def _numbers(parts: Sequence[Any], wanted: DType) -> np.ndarray[Any, DType]:
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


def from_numpy(ndarray: np.ndarray[Any, Any], /) -> Tensor:
    """Return a tensor that shares the memory of `ndarray`, with a warning if that is read-only.

    Raises:
        TypeError: it is no ndarray, or its dtype is not supported.
        ValueError: torch has no tensors of such memory: the byte order is not the machine's, or a
            stride is negative or no multiple of the element size.
    """
    if not isinstance(ndarray, np.ndarray):
        raise TypeError(f"from_numpy: expected an np.ndarray, not {type(ndarray).__name__}")
    array = _as_torch_takes("from_numpy", ndarray)
    as_dtype(array.dtype)
    if not array.flags.writeable:
        warnings.warn(
            "from_numpy: this array is read-only, so the tensor cannot be changed in place: give a "
            ".copy() of it if it should",
            stacklevel=2,
        )
    return Tensor(array)


def _as_torch_takes(operation: str, ndarray: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return an array, or one of a subclass, as a plain ndarray; raise where torch would."""
    if not ndarray.dtype.isnative:
        raise ValueError(
            f"{operation}: byte order {ndarray.dtype.byteorder!r} is not this machine's: convert "
            "the array first, with .astype(...)"
        )
    if any(stride < 0 or stride % ndarray.itemsize for stride in ndarray.strides):
        raise ValueError(
            f"{operation}: strides {ndarray.strides} must be multiples of the element size "
            f"{ndarray.itemsize}, and not negative: give a .copy() of the array"
        )
    return np.asarray(ndarray)
