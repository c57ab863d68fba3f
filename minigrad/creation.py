"""Making tensors: from data, filled, evenly spaced, random, and from other tensors."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from minigrad.dtypes import (
    DType,
    as_dtype,
    common_type,
    dtype_of_number,
    float32,
    int64,
    number_as,
    python_number,
)
from minigrad.random import Generator, chosen, fused
from minigrad.tensor import Tensor
from minigrad.tensor.base import Number, require_tensor
from minigrad.tensor.shape import varargs


def tensor(data: Any, *, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """Return a tensor holding a copy of `data`.

    Args:
        data: a number, nested sequences of numbers or of one-element tensors, an ndarray, or a
            tensor.
        dtype: by default the data's own for arrays and tensors; for Python numbers float32 if
            one of them is a float, else int64 or bool.
        requires_grad: whether operations on the tensor are recorded.

    Raises:
        TypeError: the dtype is not supported, or text or complex numbers are among the data.
        RuntimeError: something else is that is no number.
        ValueError: the nested sequences are ragged, a tensor in them has several elements, or an
            int is beyond int64 (a float: RuntimeError).
    """
    kinds: set[DType] = set()
    plain = _plain(data, kinds)
    if dtype is None:
        dtype = common_type(*kinds) if kinds else float32
    wanted = as_dtype(dtype)
    try:
        array = np.array(plain, dtype=wanted)
    except (OverflowError, ValueError) as error:
        if isinstance(error, OverflowError) or "NaN" in str(error):
            raise _beyond(error, wanted, kinds) from None
        raise ValueError(f"tensor: nested sequences must be of equal lengths: {error}") from None
    return Tensor(array).requires_grad_(requires_grad)


def _beyond(error: Exception, wanted: DType, kinds: set[DType]) -> Exception:
    """Return the error, of torch's class, for data with a number that the dtype cannot hold."""
    kind: type[Exception] = ValueError
    if wanted.kind == "f":
        kind = OverflowError
    elif any(given.kind == "f" for given in kinds):
        kind = RuntimeError
    return kind(f"tensor: data cannot be converted to {wanted} without overflow: {error}")


def _plain(data: Any, kinds: set[DType]) -> Any:
    """Return `data` without tensors in it, and add the dtypes of its parts to `kinds`."""
    if isinstance(data, Tensor):
        data = data._array
    if isinstance(data, (np.ndarray, np.generic)):
        kinds.add(data.dtype)
        return data
    if isinstance(data, (bool, int, float)):
        kinds.add(dtype_of_number(data))
        return data
    if isinstance(data, Sequence) and not isinstance(data, str):
        parts = [_element(part) if isinstance(part, Tensor) else part for part in data]
        return [_plain(part, kinds) for part in parts]
    # torch's classes: what it takes for a wrong element, and what it knows nothing about.
    kind = TypeError if isinstance(data, (str, bytes, complex)) else RuntimeError
    raise kind(
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


def zeros(
    *lengths: Any, size: Sequence[int] | None = None, dtype: Any = None, requires_grad: bool = False
) -> Tensor:
    """Return a tensor of zeros; `zeros(2, 3)` and `zeros((2, 3))` are the same.

    Raises:
        TypeError: a length is not an int, or the dtype is not supported.
        RuntimeError: a length is negative.
    """
    return _filled("zeros", varargs("zeros", lengths, size), 0, _float_or(dtype), requires_grad)


def ones(
    *lengths: Any, size: Sequence[int] | None = None, dtype: Any = None, requires_grad: bool = False
) -> Tensor:
    """Return a tensor of ones; sizes and errors are those of `zeros`."""
    return _filled("ones", varargs("ones", lengths, size), 1, _float_or(dtype), requires_grad)


def full(
    size: Sequence[int], fill_value: Number, *, dtype: Any = None, requires_grad: bool = False
) -> Tensor:
    """Return a tensor filled with a number; the dtype is by default the number's.

    Raises:
        TypeError: the size is no sequence of ints, the value no number, or the dtype unsupported.
        RuntimeError: a length is negative.
    """
    if not isinstance(size, (tuple, list)):
        raise TypeError(f"full: size must be a tuple of ints, not {type(size).__name__}")
    fill_value = python_number(fill_value)
    if not isinstance(fill_value, (int, float)):
        raise TypeError(f"full: fill_value must be a number, not {type(fill_value).__name__}")
    kind = dtype_of_number(fill_value) if dtype is None else as_dtype(dtype)
    return _filled("full", varargs("full", (size,)), fill_value, kind, requires_grad)


def _float_or(dtype: Any) -> DType:
    """Return the data type, float32 where none is given."""
    return float32 if dtype is None else as_dtype(dtype)


def _filled(
    operation: str, size: tuple[int, ...], value: Number, dtype: DType, requires_grad: bool
) -> Tensor:
    _check_lengths(operation, size)
    number = number_as(operation, value, dtype)
    return Tensor(np.full(size, number, dtype)).requires_grad_(requires_grad)


def _check_lengths(operation: str, size: tuple[int, ...]) -> None:
    if min(size, default=0) < 0:
        raise RuntimeError(f"{operation}: size {list(size)}: lengths must not be negative")


def zeros_like(input: Tensor, *, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """Return zeros of the shape and dtype of `input`."""
    require_tensor("zeros_like", input)
    return zeros(input.shape, dtype=dtype or input.dtype, requires_grad=requires_grad)


def ones_like(input: Tensor, *, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """Return ones of the shape and dtype of `input`."""
    require_tensor("ones_like", input)
    return ones(input.shape, dtype=dtype or input.dtype, requires_grad=requires_grad)


def arange(
    start: Number,
    end: Number | None = None,
    step: Number = 1,
    *,
    dtype: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Return start, start + step, ... before end; `arange(end)` starts from 0.

    Integers give int64, floats float32, unless `dtype` says otherwise. Values are computed in
    float64 and rounded once, as torch does. In which order torch adds depends on the processor's
    vectors, so fractional float64 values may differ from torch's in the last bit.

    Raises:
        TypeError: an argument is no number, or the dtype is not supported.
        RuntimeError: the step is 0 or leads away from the end, or the range is not finite or beyond
            the dtype (OverflowError for ints).
    """
    start, end, step = map(python_number, (start, end, step))
    first, last = (0, start) if end is None else (start, end)
    for name, value in (("start", first), ("end", last), ("step", step)):
        if not isinstance(value, (int, float)):
            raise TypeError(f"arange: {name} must be a number, not {type(value).__name__}")
    kinds = {dtype_of_number(x) for x in (first, last, step)}
    kind = as_dtype(dtype) if dtype is not None else float32 if float32 in kinds else int64
    for value in (first, last, step):
        number_as("arange", value, kind)
    if step == 0 or not math.isfinite(last - first) or (last - first) * step < 0:
        raise RuntimeError(
            f"arange: from {first} to {last} in steps of {step} is not possible: the range must be "
            "finite, and the step not 0 and of the sign of end - start"
        )
    values = np.arange(first, last, step).astype(kind)
    return Tensor(values).requires_grad_(requires_grad)


def linspace(
    start: Number | Tensor,
    end: Number | Tensor,
    steps: int,
    *,
    dtype: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Return `steps` evenly spaced values from start to end, equal to torch's in every bit.

    The ends are numbers, or tensors without axes.

    See `minigrad.random.fused.linspace` for how.
    """
    for name, value in (("start", start), ("end", end)):
        if isinstance(value, Tensor) and value.ndim > 0:
            raise RuntimeError(
                f"linspace: {name} must be a number or a tensor without axes, not one of shape "
                f"{list(value.shape)}"
            )
    first, last = (x.item() if isinstance(x, Tensor) else x for x in (start, end))
    values = fused.linspace(first, last, steps, _float_or(dtype))
    return Tensor(values).requires_grad_(requires_grad)


def rand(
    *lengths: Any,
    size: Sequence[int] | None = None,
    generator: Generator | None = None,
    dtype: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Return uniform values in [0, 1), equal to torch's CPU generator's in every bit."""
    source, shape, kind = _checked("rand", varargs("rand", lengths, size), generator, dtype)
    values = source.uniform(shape, 0, 1, kind)
    return Tensor(values).requires_grad_(requires_grad)


def randn(
    *lengths: Any,
    size: Sequence[int] | None = None,
    generator: Generator | None = None,
    dtype: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Return standard normal values of torch's CPU generator.

    See `minigrad.random.Generator.normal` for where they are equal in every bit.
    """
    source, shape, kind = _checked("randn", varargs("randn", lengths, size), generator, dtype)
    values = source.normal(shape, 0, 1, kind)
    return Tensor(values).requires_grad_(requires_grad)


def _checked(
    operation: str, size: tuple[int, ...], generator: Generator | None, dtype: Any
) -> tuple[Generator, tuple[int, ...], DType]:
    """Return the generator, the size and the dtype to draw with."""
    source = chosen(operation, generator)
    _check_lengths(operation, size)
    kind = _float_or(dtype)
    if kind.kind != "f":
        raise NotImplementedError(
            f"{operation}: dtype must be float32 or float64, not {kind}: draw floats and convert"
        )
    return source, size, kind
