"""Initialisation of parameters, in place, with torch's formulas and torch's random numbers."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from minigrad.dtypes import DType
from minigrad.random import Generator, default_generator
from minigrad.tape import changed
from minigrad.tensor import Tensor

_GAINS = {"linear": 1.0, "sigmoid": 1.0, "tanh": 5.0 / 3, "relu": math.sqrt(2.0)}


def uniform_(
    tensor: Tensor, a: float = 0.0, b: float = 1.0, generator: Generator | None = None
) -> Tensor:
    """Fill with uniform values in [a, b)."""
    draw = (generator or default_generator).uniform
    return _fill(tensor, lambda shape, dtype: draw(shape, a, b, dtype))


def normal_(
    tensor: Tensor, mean: float = 0.0, std: float = 1.0, generator: Generator | None = None
) -> Tensor:
    """Fill with normal values."""
    draw = (generator or default_generator).normal
    return _fill(tensor, lambda shape, dtype: draw(shape, mean, std, dtype))


def zeros_(tensor: Tensor) -> Tensor:
    """Fill with zeros."""
    return _fill(tensor, np.zeros)


def ones_(tensor: Tensor) -> Tensor:
    """Fill with ones."""
    return _fill(tensor, np.ones)


def constant_(tensor: Tensor, val: float) -> Tensor:
    """Fill with one number."""
    return _fill(tensor, lambda shape, dtype: np.full(shape, val, dtype))


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """Return by how much a nonlinearity asks weights to be scaled up.

    `param` is leaky ReLU's negative slope, 0.01 by default.

    Raises:
        ValueError: the nonlinearity is not known.
    """
    if nonlinearity == "leaky_relu":
        return math.sqrt(2.0 / (1 + (0.01 if param is None else param) ** 2))
    if nonlinearity not in _GAINS:
        known = ", ".join([*_GAINS, "leaky_relu"])
        raise ValueError(f"calculate_gain: nonlinearity {nonlinearity!r} is not one of {known}")
    return _GAINS[nonlinearity]


def kaiming_uniform_(
    tensor: Tensor,
    a: float = 0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Generator | None = None,
) -> Tensor:
    """Fill a weight (out, in) with uniform values whose variance keeps activations' scale.

    He et al. 2015, *Delving deep into rectifiers*. `a` is leaky ReLU's negative slope.

    Raises:
        ValueError: the tensor is no matrix, or the mode or nonlinearity is not known.
    """
    if _is_empty(tensor):
        return tensor
    # The order of these operations is torch's: the bound must not differ by a bit.
    std = calculate_gain(nonlinearity, a) / math.sqrt(_fan(tensor, mode))
    bound = math.sqrt(3.0) * std
    return uniform_(tensor, -bound, bound, generator)


def kaiming_normal_(
    tensor: Tensor,
    a: float = 0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Generator | None = None,
) -> Tensor:
    """Fill a weight (out, in) with normal values whose variance keeps activations' scale.

    See `kaiming_uniform_`.
    """
    if _is_empty(tensor):
        return tensor
    std = calculate_gain(nonlinearity, a) / math.sqrt(_fan(tensor, mode))
    return normal_(tensor, 0.0, std, generator)


def _is_empty(tensor: Tensor) -> bool:
    """Return whether there is nothing to fill, and warn of it as torch does."""
    if tensor.numel() == 0:
        warnings.warn(
            f"Initializing zero-element tensors is a no-op: the shape is {list(tensor.shape)}",
            stacklevel=3,
        )
    return tensor.numel() == 0


def _fan(tensor: Tensor, mode: str) -> int:
    if tensor.ndim != 2:
        raise ValueError(
            f"fan in and fan out are those of a matrix (out, in), not of shape {list(tensor.shape)}"
        )
    if mode not in ("fan_in", "fan_out"):
        raise ValueError(f"mode {mode!r} must be 'fan_in' or 'fan_out'")
    return tensor.shape[1 if mode == "fan_in" else 0]


def _fill(
    tensor: Tensor, draw: Callable[[tuple[int, ...], DType], np.ndarray[Any, DType]]
) -> Tensor:
    tensor._array[...] = draw(tensor.shape, tensor.dtype)
    changed(tensor._array)
    return tensor
