"""Initialisation of parameters, in place, with torch's formulas and torch's random numbers."""

import math
import warnings

from minigrad.dtypes import python_number
from minigrad.grad_mode import in_mode
from minigrad.random import Generator
from minigrad.tensor import Tensor
from minigrad.tensor.base import require_tensor

_GAINS: dict[str, float] = {"linear": 1, "sigmoid": 1, "tanh": 5.0 / 3, "relu": math.sqrt(2.0)}


def uniform_(
    tensor: Tensor, a: float = 0.0, b: float = 1.0, generator: Generator | None = None
) -> Tensor:
    """Fill with uniform values in [a, b).

    Raises:
        TypeError: an argument is not of the type given here; this holds for all of this module.
        RuntimeError: a is larger than b.
        NotImplementedError: the tensor is not floating point.
    """
    require_tensor("uniform_", tensor)
    return in_mode(False, lambda: tensor.uniform_(a, b, generator=generator))


def normal_(
    tensor: Tensor, mean: float = 0.0, std: float = 1.0, generator: Generator | None = None
) -> Tensor:
    """Fill with normal values.

    Raises:
        RuntimeError: std is negative.
        NotImplementedError: the tensor is not floating point.
    """
    require_tensor("normal_", tensor)
    return in_mode(False, lambda: tensor.normal_(mean, std, generator=generator))


def zeros_(tensor: Tensor) -> Tensor:
    """Fill with zeros."""
    return constant_(require_tensor("zeros_", tensor), 0.0)


def ones_(tensor: Tensor) -> Tensor:
    """Fill with ones."""
    return constant_(require_tensor("ones_", tensor), 1.0)


def constant_(tensor: Tensor, val: float) -> Tensor:
    """Fill with one number."""
    require_tensor("constant_", tensor)
    if not isinstance(python_number(val), (int, float)):
        raise TypeError(f"constant_: val must be a number, not {type(val).__name__}")
    return in_mode(False, lambda: tensor.fill_(val))


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """Return by how much a nonlinearity asks weights to be scaled up.

    `param` is leaky ReLU's negative slope, 0.01 by default.

    Raises:
        ValueError: the nonlinearity is not known, or `param` is no number.
    """
    if nonlinearity == "leaky_relu":
        slope = 0.01 if param is None else param
        if isinstance(slope, bool) or not isinstance(slope, (int, float)):
            raise ValueError(f"calculate_gain: negative_slope {slope!r} must be a number")
        return math.sqrt(2.0 / (1 + slope**2))
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
    if _is_empty("kaiming_uniform_", tensor):
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
    if _is_empty("kaiming_normal_", tensor):
        return tensor
    std = calculate_gain(nonlinearity, a) / math.sqrt(_fan(tensor, mode))
    return normal_(tensor, 0.0, std, generator)


def xavier_uniform_(
    tensor: Tensor, gain: float = 1.0, generator: Generator | None = None
) -> Tensor:
    """Fill a weight (out, in) with uniform values of variance 2·gain² / (in + out).

    Glorot and Bengio 2010, *Understanding the difficulty of training deep feedforward neural
    networks*.

    Raises:
        ValueError: the tensor is no matrix.
    """
    bound = math.sqrt(3.0) * _xavier_std("xavier_uniform_", tensor, gain)
    return uniform_(tensor, -bound, bound, generator)


def xavier_normal_(tensor: Tensor, gain: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Fill a weight (out, in) with normal values of variance 2·gain² / (in + out).

    See `xavier_uniform_`.
    """
    return normal_(tensor, 0.0, _xavier_std("xavier_normal_", tensor, gain), generator)


def _xavier_std(operation: str, tensor: Tensor, gain: float) -> float:
    require_tensor(operation, tensor)
    fans = _fan(tensor, "fan_in") + _fan(tensor, "fan_out")
    return gain * math.sqrt(2.0 / float(fans))


def _is_empty(operation: str, tensor: Tensor) -> bool:
    """Return whether there is nothing to fill, and warn of it as torch does."""
    require_tensor(operation, tensor)
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
