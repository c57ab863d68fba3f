"""Making tensors: filled and evenly spaced.

Whatever makes a tensor takes `dtype`, `device` (the CPU, the only one there is) and
`requires_grad`.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from minigrad.devices import device as device_of
from minigrad.dtypes import (
    DType,
    as_dtype,
    bool_,
    dtype_of_number,
    float64,
    get_default_dtype,
    int64,
    number_as,
    python_number,
)
from minigrad.layout import unrepeated
from minigrad.random import fused
from minigrad.tensor import Tensor
from minigrad.tensor.base import Number, require_tensor
from minigrad.tensor.shape import fitting, varargs


def made(array: Any, device: Any, requires_grad: bool) -> Tensor:
    """Return a leaf; raise a RuntimeError for another device than the CPU."""
    if device is not None:
        device_of(device)
    return Tensor._wrapped(array).requires_grad_(requires_grad)


def empty(
    *lengths: Any,
    size: Sequence[int] | None = None,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Return a tensor of values that are not set: what stands in memory; errors as of `zeros`."""
    shape = fitting("empty", varargs("empty", lengths, size))
    return made(np.empty(shape, float_or(dtype)), device, requires_grad)


def zeros(
    *lengths: Any,
    size: Sequence[int] | None = None,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Return a tensor of zeros; `zeros(2, 3)` and `zeros((2, 3))` are the same.

    Raises:
        TypeError: a length is not an int, or the dtype is not supported.
        RuntimeError: a length is negative, or the device is another than the CPU.
    """
    shape = fitting("zeros", varargs("zeros", lengths, size))
    return made(np.zeros(shape, float_or(dtype)), device, requires_grad)


def ones(
    *lengths: Any,
    size: Sequence[int] | None = None,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Return a tensor of ones; sizes and errors are those of `zeros`."""
    shape = fitting("ones", varargs("ones", lengths, size))
    return made(np.ones(shape, float_or(dtype)), device, requires_grad)


def full(
    size: Sequence[int],
    fill_value: Number | Tensor,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Return a tensor filled with a number; the dtype is by default the number's.

    The number may be that of a tensor without axes.

    Raises:
        TypeError: the size is no sequence of ints, the value no number, or the dtype unsupported.
        RuntimeError: a length is negative, or the device is another than the CPU.
    """
    if not isinstance(size, (tuple, list)):
        raise TypeError(f"full: size must be a tuple of ints, not {type(size).__name__}")
    value = _number("full: fill_value", fill_value)
    kind = dtype_of_number(value) if dtype is None else as_dtype(dtype)
    shape = fitting("full", varargs("full", (size,)))
    return made(np.full(shape, number_as("full", value, kind), kind), device, requires_grad)


def eye(
    n: int,
    m: int | None = None,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Return a matrix (n, m), by default (n, n), with ones on its diagonal and zeros elsewhere.

    Raises:
        TypeError: n or m is not an int, or the dtype is not supported.
        RuntimeError: one is negative, or the device is another than the CPU.
    """
    rows, columns = fitting("eye", varargs("eye", (n, n if m is None else m)))
    return made(np.eye(rows, columns, dtype=float_or(dtype)), device, requires_grad)


def float_or(dtype: Any) -> DType:
    """Return the data type, the default one where none is given."""
    return get_default_dtype() if dtype is None else as_dtype(dtype)


def _number(name: str, value: Any) -> Number:
    """Return the Python number that torch takes an argument for."""
    if isinstance(value, Tensor) and value.ndim == 0 and not value.requires_grad:
        return value.item()
    number: Number = python_number(value)
    if not isinstance(number, (int, float)):
        raise TypeError(
            f"{name} must be a number, or a tensor without axes and gradient, not "
            f"{type(value).__name__}"
        )
    return number


def full_like(
    input: Tensor,
    fill_value: Number | Tensor,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Return a tensor of the shape, dtype and order of axes in memory of `input`, filled."""
    require_tensor("full_like", input)
    kind = input.dtype if dtype is None else as_dtype(dtype)
    value = number_as("full_like", _number("full_like: fill_value", fill_value), kind)
    plain = getattr(input._array, "_array", input._array)  # an ndarray of this layout
    return made(np.full_like(unrepeated(plain), value, kind), device, requires_grad)


def zeros_like(
    input: Tensor, *, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """Return zeros of the shape, dtype and order of axes in memory of `input`."""
    require_tensor("zeros_like", input)
    return full_like(input, 0, dtype=dtype, device=device, requires_grad=requires_grad)


def ones_like(
    input: Tensor, *, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """Return ones of the shape, dtype and order of axes in memory of `input`."""
    require_tensor("ones_like", input)
    return full_like(input, 1, dtype=dtype, device=device, requires_grad=requires_grad)


def arange(
    start: Number | Tensor | None = None,
    end: Number | Tensor | None = None,
    step: Number | Tensor | None = None,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Return start, start + step, ... before end; `arange(end)` starts from 0.

    Integers give int64, floats the default dtype, unless `dtype` says otherwise. See
    `minigrad.random.fused.arange` for where the values are torch's in every bit.

    Args:
        start, end, step: numbers, or tensors without axes.

    Raises:
        TypeError: an argument is no number, a step is given without a start and an end, or the
            dtype is not supported.
        NotImplementedError: the dtype is bool.
        RuntimeError: the step is 0 or leads away from the end, or the range is not finite or beyond
            the dtype (OverflowError for an int of more than 64 bits).
    """
    if step is None:
        start, end, step = (0, start, 1) if end is None else (0 if start is None else start, end, 1)
    first, last, by = (_number("arange: start, end and step", x) for x in (start, end, step))
    floats = any(isinstance(x, float) for x in (first, last, by))
    kind = float_or(dtype) if dtype is not None or floats else int64
    if kind == bool_:
        raise NotImplementedError("arange: dtype must be a number's, not bool: use ones or zeros")
    for value in (first, last, by):
        number_as("arange", value, int64 if kind == int64 else float64)
    return made(fused.arange(first, last, by, kind), device, requires_grad)


def linspace(
    start: Number | Tensor,
    end: Number | Tensor,
    steps: int,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Return `steps` evenly spaced values from start to end.

    The ends are numbers, or tensors without axes. See `minigrad.random.fused.linspace` for how they
    are computed, and where they are torch's in every bit.
    """
    for name, value in (("start", start), ("end", end)):
        if isinstance(value, Tensor) and value.ndim > 0:
            raise RuntimeError(
                f"linspace: {name} must be a number or a tensor without axes, not one of shape "
                f"{list(value.shape)}"
            )
    first, last = (x.item() if isinstance(x, Tensor) else python_number(x) for x in (start, end))
    values = fused.linspace(first, last, steps, float_or(dtype))
    return made(values, device, requires_grad)
