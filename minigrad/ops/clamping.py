"""What keeps elements within bounds, and what is left of a division."""

import math

import numpy as np

from minigrad.tape import Array


def clamp(x: Array, min: Array | None, max: Array | None) -> Array:
    # Both bounds may be there; where min is larger than max, the result is max.
    if min is not None:
        x = np.maximum(min, x)
    return x if max is None else np.minimum(max, x)


def clamp_backward_x(grad_out: Array, x: Array, min: Array | None, max: Array | None) -> Array:
    # At a bound the gradient passes. What is NaN is within no bounds.
    low, high = -math.inf if min is None else min, math.inf if max is None else max
    within = np.logical_and(np.greater_equal(x, low), np.less_equal(x, high))
    return np.where(within, grad_out, 0)


def clamp_backward_min(grad_out: Array, x: Array, min: Array, max: Array | None) -> Array:
    below = np.less(x, min)
    if max is not None:
        below = np.logical_and(below, np.less(min, max))
    return np.where(below, grad_out, 0)


def clamp_backward_max(grad_out: Array, x: Array, min: Array | None, max: Array) -> Array:
    beyond = np.where(np.greater(x, max), grad_out, 0)
    return beyond if min is None else np.where(np.less(max, min), grad_out, beyond)


def remainder(x: Array, y: Array) -> Array:
    """What is left of x after it was divided by y and rounded down; it has the sign of y."""
    left = np.remainder(x, y)
    # But where nothing is left NumPy's 0 has the sign of y, and torch's that of x.
    return np.where(np.equal(left, 0), np.multiply(x, np.absolute(left)), left)


def remainder_backward_x(grad_out: Array) -> Array:
    return grad_out


def remainder_backward_y(grad_out: Array, x: Array, y: Array) -> Array:
    return np.multiply(np.negative(grad_out), np.floor_divide(x, y))


def floor_divide(x: Array, y: Array) -> Array:
    return np.floor_divide(x, y)


def floor_divide_backward_x(grad_out: Array) -> Array:
    # In the derivative of a remainder: the quotient is constant almost everywhere.
    return np.zeros_like(grad_out)


def floor_divide_backward_y(grad_out: Array) -> Array:
    return np.zeros_like(grad_out)
