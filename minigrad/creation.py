"""Making tensors: from data, filled, evenly spaced, random, and from other tensors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minigrad import fused
from minigrad.arguments import STACK, Number, axis_of, is_tensor, promote, varargs
from minigrad.dtypes import DType, as_dtype, dtype_of_number, float32, float64, int64
from minigrad.ops import RULES
from minigrad.random import Generator, default_generator
from minigrad.tensor import Tensor, apply


def tensor(data: Any, *, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """Return a tensor holding a copy of `data`.

    Args:
        data: a number, nested sequences of numbers or of one-element tensors, an ndarray, or a
            tensor.
        dtype: by default the data's own for arrays and tensors; for Python numbers float32 if
            one of them is a float, else int64 or bool.
        requires_grad: whether operations on the tensor are recorded.

    Raises:
        TypeError: the dtype is not supported, or the data are not numbers.
        ValueError: the nested sequences are ragged, or a tensor in them has several elements.
    """
    kinds: set[DType] = set()
    plain = _plain(data, kinds)
    if dtype is not None:
        wanted = as_dtype(dtype)
    else:
        wanted = as_dtype(np.result_type(*kinds)) if kinds else float32
        if wanted == float64 and float64 not in kinds:
            wanted = float32  # integers beside float32: NumPy would take float64
    try:
        array = np.array(plain, dtype=wanted)
    except ValueError as error:
        raise ValueError(f"tensor: nested sequences must be of equal lengths: {error}") from None
    return Tensor(array).requires_grad_(requires_grad)


def _plain(data: Any, kinds: set[DType]) -> Any:
    """Return `data` without tensors in it, and add the dtypes of its parts to `kinds`."""
    if is_tensor(data):
        data = data._array
    if isinstance(data, (np.ndarray, np.generic)):
        kinds.add(data.dtype)
        return data
    if isinstance(data, (bool, int, float)):
        kinds.add(dtype_of_number(data))
        return data
    if isinstance(data, Sequence) and not isinstance(data, str):
        return [_plain(_element(part) if is_tensor(part) else part, kinds) for part in data]
    raise TypeError(
        "tensor: data must be numbers, sequences of numbers or one-element tensors, arrays or "
        f"tensors, not {type(data).__name__}"
    )


def _element(part: Tensor) -> Any:
    """Return the value of a tensor among numbers, as a NumPy scalar that keeps its dtype."""
    if part.numel() != 1:
        raise ValueError(
            "tensor: only one element tensors can be converted to Python scalars, not one of "
            f"shape {list(part.shape)}; to combine larger tensors use stack or cat"
        )
    return part._array.reshape(())[()]


def from_numpy(ndarray: np.ndarray[Any, DType]) -> Tensor:
    """Return a tensor that shares the memory of `ndarray`.

    Raises:
        TypeError: it is no ndarray, or its dtype is not supported.
    """
    if not isinstance(ndarray, np.ndarray):
        raise TypeError(f"from_numpy: expected an np.ndarray, not {type(ndarray).__name__}")
    as_dtype(ndarray.dtype)
    return Tensor(ndarray)


def zeros(*size: Any, dtype: Any = float32, requires_grad: bool = False) -> Tensor:
    """Return a tensor of zeros; `zeros(2, 3)` and `zeros((2, 3))` are the same."""
    return full(varargs(size), 0, dtype=dtype, requires_grad=requires_grad)


def ones(*size: Any, dtype: Any = float32, requires_grad: bool = False) -> Tensor:
    """Return a tensor of ones; `ones(2, 3)` and `ones((2, 3))` are the same."""
    return full(varargs(size), 1, dtype=dtype, requires_grad=requires_grad)


def full(
    size: Sequence[int], fill_value: Number, *, dtype: Any = None, requires_grad: bool = False
) -> Tensor:
    """Return a tensor filled with a number; the dtype is by default the number's.

    Raises:
        RuntimeError: a length is negative.
    """
    if min(size, default=0) < 0:
        raise RuntimeError(f"size {list(size)}: lengths must not be negative")
    kind = dtype_of_number(fill_value) if dtype is None else as_dtype(dtype)
    return Tensor(np.full(tuple(size), fill_value, kind)).requires_grad_(requires_grad)


def zeros_like(input: Tensor, *, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """Return zeros of the shape and dtype of `input`."""
    return zeros(input.shape, dtype=dtype or input.dtype, requires_grad=requires_grad)


def ones_like(input: Tensor, *, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """Return ones of the shape and dtype of `input`."""
    return ones(input.shape, dtype=dtype or input.dtype, requires_grad=requires_grad)


def arange(
    start: Number, end: Number | None = None, step: Number = 1, *, dtype: Any = None
) -> Tensor:
    """Return start, start + step, ... before end; `arange(end)` starts from 0.

    Integers give int64, floats float32, unless `dtype` says otherwise. Values are computed in
    float64 and rounded once, as torch does.
    """
    first, last = (0, start) if end is None else (start, end)
    kinds = {dtype_of_number(x) for x in (first, last, step)}
    kind = as_dtype(dtype) if dtype is not None else float32 if float32 in kinds else int64
    return Tensor(np.arange(first, last, step).astype(kind))


def linspace(
    start: float, end: float, steps: int, *, dtype: Any = float32, requires_grad: bool = False
) -> Tensor:
    """Return `steps` evenly spaced values from start to end, equal to torch's in every bit.

    See `minigrad.fused.linspace` for how.
    """
    values = fused.linspace(start, end, steps, as_dtype(dtype))
    return Tensor(values).requires_grad_(requires_grad)


def rand(
    *size: Any,
    generator: Generator | None = None,
    dtype: Any = float32,
    requires_grad: bool = False,
) -> Tensor:
    """Return uniform values in [0, 1), equal to torch's CPU generator's in every bit."""
    values = (generator or default_generator).uniform(varargs(size), 0, 1, as_dtype(dtype))
    return Tensor(values).requires_grad_(requires_grad)


def randn(
    *size: Any,
    generator: Generator | None = None,
    dtype: Any = float32,
    requires_grad: bool = False,
) -> Tensor:
    """Return standard normal values of torch's CPU generator.

    See `minigrad.random.Generator.normal` for where they are equal in every bit.
    """
    values = (generator or default_generator).normal(varargs(size), 0, 1, as_dtype(dtype))
    return Tensor(values).requires_grad_(requires_grad)


def cat(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    """Join tensors along an axis they have.

    Raises:
        RuntimeError: there is none, or their other lengths differ.
    """
    if not tensors:
        raise RuntimeError("cat: expected a non-empty list of Tensors")
    axis = axis_of("cat", dim, tensors[0].ndim)
    try:
        return apply(RULES["cat"], *tensors, axis=axis)
    except ValueError as error:
        raise RuntimeError(
            f"cat: shapes {[list(t.shape) for t in tensors]} must be equal but for axis {axis}"
        ) from error


def stack(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    """Join tensors of equal shape along a new axis.

    Raises:
        RuntimeError: there is none, or their shapes differ.
    """
    if not tensors:
        raise RuntimeError("stack: expected a non-empty list of Tensors")
    if len({t.shape for t in tensors}) > 1:
        raise RuntimeError(
            f"stack: tensors must be of equal shape, not {[list(t.shape) for t in tensors]}"
        )
    axis = axis_of("stack", dim, tensors[0].ndim + 1)
    return apply(STACK, *(t.unsqueeze(axis) for t in tensors), axis=axis)


def where(condition: Tensor, input: Any, other: Any) -> Tensor:
    """Return input where the condition holds, else other, broadcast."""
    x, y = input, other
    if is_tensor(x) or is_tensor(y):
        x, y = promote(RULES["where"], x if is_tensor(x) else y, x, y)
    return apply(RULES["where"], condition, x, y)
