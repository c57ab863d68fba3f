"""Making tensors of data that are there: numbers, nested sequences of them, arrays, tensors."""

import warnings
from typing import Any

import numpy as np

from minigrad.creation import made
from minigrad.dtypes import as_dtype, common_type, get_default_dtype
from minigrad.layout import unrepeated
from minigrad.tensor import Tensor
from minigrad.tensor.data import dtype_of, flattened, numbers


def tensor(
    data: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """Return a tensor holding a copy of `data`.

    Args:
        data: a number, nested sequences of numbers or of one-element tensors, an ndarray, or a
            tensor. As torch does, it warns of a tensor, for `.detach().clone()` says the same more
            clearly, and of ndarrays in a sequence, which are converted slowly.
        dtype: by default the data's own for arrays and tensors; for Python numbers the
            default dtype if one of them is a float, else int64 or bool.
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
        parts, shape, arrays = flattened(data)
        if any(array.size for array in arrays):
            warnings.warn(
                "tensor: a sequence of ndarrays is slow to convert: make one of them first, with "
                "np.array(...)",
                stacklevel=2,
            )
        if dtype is None:
            kinds = {dtype_of(part) for part in (*arrays, *parts)}
            dtype = common_type(*kinds) if kinds else get_default_dtype()
        array = numbers(parts, as_dtype(dtype)).reshape(shape)
    wanted = as_dtype(array.dtype if dtype is None else dtype)
    return made(np.array(unrepeated(array), wanted), device, requires_grad)


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
    return Tensor._wrapped(array)


def as_tensor(data: Any, dtype: Any = None, device: Any = None) -> Tensor:
    """Return the data as a tensor, copied only where they have to be.

    A tensor of the dtype stays as it is, and one of another dtype is converted, which is recorded.
    An ndarray shares its memory with the result, if the dtype is the same. See `tensor` for other
    data and for what is raised.
    """
    if isinstance(data, Tensor):
        return data.to(device=device, dtype=dtype)
    if isinstance(data, np.ndarray):
        return from_numpy(data).to(device=device, dtype=dtype)
    return tensor(data, dtype=dtype, device=device)


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
