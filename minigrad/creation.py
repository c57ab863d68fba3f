"""Making tensors: filled, evenly spaced, random, and from other tensors."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from minigrad.dtypes import (
    DType,
    as_dtype,
    bool_,
    dtype_of_number,
    float32,
    float64,
    int64,
    number_as,
    python_number,
)
from minigrad.layout import unrepeated
from minigrad.random import Generator, chosen, fused
from minigrad.tensor import Tensor
from minigrad.tensor.base import Number, require_tensor
from minigrad.tensor.shape import varargs


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
    size: Sequence[int],
    fill_value: Number | Tensor,
    *,
    dtype: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Return a tensor filled with a number; the dtype is by default the number's.

    The number may be that of a tensor without axes.

    Raises:
        TypeError: the size is no sequence of ints, the value no number, or the dtype unsupported.
        RuntimeError: a length is negative.
    """
    if not isinstance(size, (tuple, list)):
        raise TypeError(f"full: size must be a tuple of ints, not {type(size).__name__}")
    value = _number("full: fill_value", fill_value)
    kind = dtype_of_number(value) if dtype is None else as_dtype(dtype)
    return _filled("full", varargs("full", (size,)), value, kind, requires_grad)


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
    if math.prod(n for n in size if n) >= 2**60:  # of 8 bytes each
        raise RuntimeError(f"{operation}: size {list(size)} is more than memory can have")


def zeros_like(input: Tensor, *, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """Return zeros of the shape, dtype and order of axes in memory of `input`."""
    return _like("zeros_like", input, 0, dtype, requires_grad)


def ones_like(input: Tensor, *, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """Return ones of the shape, dtype and order of axes in memory of `input`."""
    return _like("ones_like", input, 1, dtype, requires_grad)


def _like(operation: str, input: Tensor, value: int, dtype: Any, requires_grad: bool) -> Tensor:
    require_tensor(operation, input)
    kind = input.dtype if dtype is None else as_dtype(dtype)
    plain = getattr(input._array, "_array", input._array)  # an ndarray of this layout
    filled = np.full_like(unrepeated(plain), value, kind)
    return Tensor(filled).requires_grad_(requires_grad)


def arange(
    start: Number | Tensor | None = None,
    end: Number | Tensor | None = None,
    step: Number | Tensor | None = None,
    *,
    dtype: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Return start, start + step, ... before end; `arange(end)` starts from 0.

    Integers give int64, floats float32, unless `dtype` says otherwise. See
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
    kinds = {dtype_of_number(x) for x in (first, last, by)}
    kind = as_dtype(dtype) if dtype is not None else float32 if float32 in kinds else int64
    if kind == bool_:
        raise NotImplementedError("arange: dtype must be a number's, not bool: use ones or zeros")
    for value in (first, last, by):
        number_as("arange", value, int64 if kind == int64 else float64)
    return Tensor(fused.arange(first, last, by, kind)).requires_grad_(requires_grad)


def linspace(
    start: Number | Tensor,
    end: Number | Tensor,
    steps: int,
    *,
    dtype: Any = None,
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


def randperm(
    n: int, *, generator: Generator | None = None, dtype: Any = None, requires_grad: bool = False
) -> Tensor:
    """Return the integers from 0 to n - 1 in random order, equal to torch's; int64 by default.

    Raises:
        TypeError: n is no int, the generator no Generator, or the dtype is not supported.
        RuntimeError: n is negative, or beyond what the dtype counts exactly.
        NotImplementedError: the dtype is bool, or n above 200 million.
    """
    source = chosen("randperm", generator)
    if isinstance(n, bool) or not hasattr(n, "__index__"):
        raise TypeError(f"randperm: n must be an int, not {type(n).__name__}")
    kind = int64 if dtype is None else as_dtype(dtype)
    if kind == bool_:
        raise NotImplementedError("randperm: dtype must be a number's, not bool")
    if kind.kind == "f" and n > 2 ** (np.finfo(kind).nmant + 1) + 1:
        raise RuntimeError(f"randperm: n = {n} is too large for {kind}: use int64")
    values = source.permutation(n.__index__()).astype(kind)
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
