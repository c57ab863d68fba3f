"""Making tensors of random numbers, which are those of torch's CPU generator."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from minigrad.creation import empty, float_or, full_like, made
from minigrad.devices import device as device_of
from minigrad.dtypes import DType, as_dtype, bool_, int64
from minigrad.grad_mode import no_grad
from minigrad.random import Generator, chosen
from minigrad.tensor import Tensor
from minigrad.tensor.base import require_tensor
from minigrad.tensor.shape import fitting, varargs


def rand(
    *lengths: Any,
    size: Sequence[int] | None = None,
    generator: Generator | None = None,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Return uniform values in [0, 1), equal to torch's CPU generator's in every bit.

    Raises:
        TypeError: a length is not an int, the dtype not supported, or the generator none.
        RuntimeError: a length is negative, or the device is another than the CPU.
        NotImplementedError: the dtype is not floating point; draw floats and convert them.
    """
    source = chosen("rand", generator)
    blank = _blank("rand", varargs("rand", lengths, size), dtype, device)
    return blank.uniform_(generator=source).requires_grad_(requires_grad)


def randn(
    *lengths: Any,
    size: Sequence[int] | None = None,
    generator: Generator | None = None,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Return standard normal values of torch's CPU generator; errors as of `rand`.

    See `minigrad.random.Generator.normal` for where they are equal in every bit.
    """
    source = chosen("randn", generator)
    blank = _blank("randn", varargs("randn", lengths, size), dtype, device)
    return blank.normal_(generator=source).requires_grad_(requires_grad)


def _blank(operation: str, size: tuple[int, ...], dtype: Any, device: Any) -> Tensor:
    """Return a tensor to be filled with random numbers."""
    require_floating(operation, float_or(dtype))
    return empty(fitting(operation, size), dtype=dtype, device=device)


def require_floating(operation: str, kind: DType) -> None:
    """Raise a NotImplementedError for a dtype that no random numbers are drawn in."""
    if kind.kind != "f":
        raise NotImplementedError(
            f"{operation}: dtype must be float32 or float64, not {kind}: draw floats and convert"
        )


def rand_like(
    input: Tensor,
    *,
    generator: Generator | None = None,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Return uniform values in [0, 1), laid out as `input` is; see `rand`."""
    require_tensor("rand_like", input)
    require_floating("rand_like", input.dtype if dtype is None else as_dtype(dtype))
    source = chosen("rand_like", generator)
    blank = full_like(input, 0, dtype=dtype, device=device)
    return blank.uniform_(generator=source).requires_grad_(requires_grad)


def randn_like(
    input: Tensor,
    *,
    generator: Generator | None = None,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Return standard normal values, laid out as `input` is; see `randn`."""
    require_tensor("randn_like", input)
    require_floating("randn_like", input.dtype if dtype is None else as_dtype(dtype))
    source = chosen("randn_like", generator)
    blank = full_like(input, 0, dtype=dtype, device=device)
    return blank.normal_(generator=source).requires_grad_(requires_grad)


def normal(
    mean: Any = 0.0,
    std: Any = 1.0,
    size: Sequence[int] | None = None,
    *,
    generator: Generator | None = None,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Return normal values of these means and standard deviations, numbers or tensors.

    Args:
        mean, std: numbers, or tensors that broadcast. The result has the first tensor's dtype.
        size: of the result, if both are numbers; with `dtype`, `device` and `requires_grad` it
            cannot be given otherwise.
        generator: by default `minigrad.default_generator`.

    Raises:
        TypeError: the size is missing or not needed, or an argument has a wrong type.
        RuntimeError: a standard deviation is negative, a mean or deviation requires a gradient, or
            the shapes do not broadcast.
    """
    tensors = [x for x in (mean, std) if isinstance(x, Tensor)]
    given = [x for x in (size, dtype, device) if x is not None] + [True] * requires_grad
    if given if tensors else size is None:
        raise TypeError(
            "normal: give size, dtype, device and requires_grad where mean and std are both "
            "numbers, and only there: tensors have them"
        )
    source = chosen("normal", generator)
    if not tensors:
        blank = _blank("normal", varargs("normal", (size,)), dtype, device)
        return blank.normal_(mean, std, generator=source).requires_grad_(requires_grad)
    if any(x.requires_grad for x in tensors):
        raise RuntimeError("normal: mean and std have no gradient here: give .detach() of them")
    wide = isinstance(std, Tensor)
    if wide and not (std >= 0).all():
        raise RuntimeError("normal expects all elements of std >= 0: take .abs() of it")
    with no_grad():
        shape = (tensors[0] + tensors[-1]).shape
        drawn = empty(shape, dtype=tensors[0].dtype)
        drawn.normal_(0, 1 if wide else std, generator=source)
        if wide:
            drawn *= std
        drawn += mean
    return drawn


def randint(
    low: Any = 0,
    high: Any = None,
    size: Any = None,
    *,
    generator: Generator | None = None,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Return integers from low to high - 1, equal to torch's; `randint(high, size)` is from 0.

    Raises:
        TypeError: low or high is not an int, or the size no tuple of ints.
        RuntimeError: low is not less than high, the dtype cannot hold them, a length is negative,
            or the device is another than the CPU.
    """
    if size is None:  # randint(high, size)
        low, high, size = 0, low, high
    elif high is None:  # randint(high, size=size)
        low, high = 0, low
    if not isinstance(size, (tuple, list)):
        raise TypeError(f"randint: size must be a tuple of ints, not {type(size).__name__}")
    first, end = varargs("randint", (low, high))
    kind = int64 if dtype is None else as_dtype(dtype)
    shape = fitting("randint", varargs("randint", (size,)))
    if kind == bool_ and not 0 <= first < end <= 2:
        raise RuntimeError(f"randint: [{first}, {end}) is out of bounds for bool: give 0 and 2")
    if kind.kind == "f" and max(-first, end) > 2 ** (np.finfo(kind).nmant + 1):
        raise RuntimeError(f"randint: {kind} does not hold all of [{first}, {end}): draw int64")
    if device is not None:
        device_of(device)
    drawn = chosen("randint", generator).integers(shape, first, end)
    return made(drawn.astype(kind), device, requires_grad)


def randperm(
    n: int,
    *,
    generator: Generator | None = None,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Return the integers from 0 to n - 1 in random order, equal to torch's; int64 by default.

    Raises:
        TypeError: n is no int, the generator no Generator, or the dtype is not supported.
        RuntimeError: n is negative, or beyond what the dtype counts exactly, or the device is
            another than the CPU.
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
    if device is not None:
        device_of(device)
    return made(source.permutation(n.__index__()).astype(kind), None, requires_grad)
