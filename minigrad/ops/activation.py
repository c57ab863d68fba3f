"""Activations: what stands between the linear layers of a network, element by element."""

import numpy as np

from minigrad.tape import Array


def tanh(x: Array) -> Array:
    return np.tanh(x)


def tanh_backward_x(grad_out: Array, out: Array) -> Array:
    # tanh' = 1 - tanh²
    return np.multiply(grad_out, np.subtract(1, np.square(out)))


def sigmoid(x: Array) -> Array:
    # For large negative x, exp overflows to infinity, and 1/(1 + inf) is 0, which is right.
    return np.divide(1, np.add(np.exp(np.negative(x)), 1))


def sigmoid_backward_x(grad_out: Array, out: Array) -> Array:
    # s' = (1 - s)·s
    return np.multiply(np.multiply(grad_out, np.subtract(1, out)), out)


def relu(x: Array) -> Array:
    # Of two equal operands NumPy returns the second, so with 0 first -0.0 stays -0.0, as in torch.
    return np.maximum(0, x)


def relu_backward_x(grad_out: Array, out: Array) -> Array:
    # As in torch: the incoming gradient, but 0 where out is 0. Multiplying by (out > 0) instead
    # would differ where out is NaN, and turn an infinite gradient times 0 into NaN.
    return np.where(out, grad_out, 0)


def leaky_relu(x: Array, *, negative_slope: float) -> Array:
    return np.where(np.greater(x, 0), x, np.multiply(x, negative_slope))


def leaky_relu_backward_x(grad_out: Array, x: Array, negative_slope: float) -> Array:
    # The sign is 1 where it is chosen. As in torch the slope depends on x, with a derivative of 0.
    slope = np.where(np.greater(x, 0), np.sign(x), negative_slope)
    return np.multiply(slope, grad_out)


def softplus(x: Array, *, beta: float, threshold: float) -> Array:
    """log(1 + e^(beta·x)) / beta, but x where beta·x is above the threshold."""
    scaled = np.multiply(x, beta)
    is_line = np.greater(scaled, threshold)
    # The line's own elements are kept out of exp, which could overflow.
    power = np.exp(np.where(is_line, 0, scaled))
    return np.where(is_line, x, np.divide(np.log1p(power), beta))


def softplus_backward_x(grad_out: Array, x: Array, beta: float, threshold: float) -> Array:
    scaled = np.multiply(x, beta)
    is_line = np.greater(scaled, threshold)
    power = np.exp(np.where(is_line, 0, scaled))
    # e^z / (e^z + 1)
    slope = np.where(is_line, 1, np.divide(power, np.add(power, 1)))
    return np.multiply(grad_out, slope)
