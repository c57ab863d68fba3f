"""Tensors that are given, and those that are made of numbers alone."""

from collections.abc import Callable
from typing import Any

import numpy as np

from parity.checks.exact import functions
from parity.checks.exact.dual import Dual
from parity.checks.exact.kinds import current, make
from parity.checks.exact.lacking import Lacking
from parity.checks.exact.numbers import Numbers
from parity.checks.exact.shapes import sizes_of
from parity.checks.exact.tensor import Tensor, replaced


def given(values: Any) -> Tensor:
    """Return an array as a tensor: of numbers, or of the ints or bools that it has."""

    def value() -> Dual:
        found = np.asarray(values)
        return Dual(Numbers(found if found.dtype.kind in "bi" else make(found)))

    return Tensor(value)


def exact(found: Numbers) -> Tensor:
    """Return exact numbers as a tensor."""
    return Tensor(lambda: Dual(found))


def unknown(like: Tensor) -> Tensor:
    """Return what stands for a tensor of that shape whose values nobody knows."""
    tensor = Tensor(functions.clone, (like,))
    tensor.known = False
    return tensor


def tensor(data: Any, dtype: str | None = None, **options: Any) -> Tensor:
    if isinstance(data, list | tuple) and any(isinstance(part, Tensor) for part in data):
        data = replaced(data, Tensor.item)
    return _of(data, dtype, options)


as_tensor = from_numpy = tensor


def _of(data: Any, dtype: str | None, options: Any) -> Tensor:
    for name, value in options.items():
        if (name, value) not in (("device", "cpu"), ("device", None), ("requires_grad", False)):
            raise Lacking(f"tensors with {name}={value}")
    if isinstance(data, Tensor):
        constant: Tensor = data.detach()
        return constant
    found = np.asarray(data)
    if dtype in ("int64", "bool"):
        found = found.astype(dtype)
    elif dtype not in (None, current().dtype):
        raise Lacking(f"tensors of {dtype} in a run of {current().dtype}")
    elif dtype is not None:
        found = found.astype(dtype)
    return given(found)


def _filled(name: str, value: float) -> tuple[Callable[..., Tensor], Callable[..., Tensor]]:
    def sized(*size: Any, dtype: str | None = None, **options: Any) -> Tensor:
        return _of(np.full(sizes_of(size), value), dtype or current().dtype, options)

    def like(input: Tensor, dtype: str | None = None, **options: Any) -> Tensor:
        return _of(np.full(input.shape, value), dtype or input.dtype, options)

    return sized, like


zeros, zeros_like = _filled("zeros", 0.0)
ones, ones_like = _filled("ones", 1.0)


def full(size: Any, fill_value: Any, dtype: str | None = None, **options: Any) -> Tensor:
    return _of(np.full(size, fill_value), dtype, options)


def full_like(input: Tensor, fill_value: Any, dtype: str | None = None, **options: Any) -> Tensor:
    return _of(np.full(input.shape, fill_value), dtype or input.dtype, options)


def eye(n: int, m: int | None = None, dtype: str | None = None, **options: Any) -> Tensor:
    return _of(np.eye(n, m), dtype, options)


def arange(*bounds: Any, dtype: str | None = None, **options: Any) -> Tensor:
    if all(isinstance(bound, int) for bound in bounds):
        return _of(np.arange(*bounds), dtype, options)
    start, step = (bounds[0] if len(bounds) > 1 else 0), (bounds[2] if len(bounds) > 2 else 1)
    places = _of(np.arange(len(np.arange(*bounds))), current().dtype, options)
    spaced: Tensor = places * step + start
    return spaced


def linspace(start: Any, end: Any, steps: int, **options: Any) -> Tensor:
    places = _of(np.arange(steps), options.pop("dtype", None) or current().dtype, options)
    step = (given(np.float64(end)) - start) / max(steps - 1, 1)
    spaced: Tensor = places * step + start
    return spaced


def drawn(*size: Any, **options: Any) -> Tensor:
    """Return random numbers: nobody knows which. Parameters that start as such are given."""
    return unknown(zeros(*size))


def drawn_like(input: Tensor, **options: Any) -> Tensor:
    """Return random numbers in the shape of a tensor."""
    return unknown(input)
