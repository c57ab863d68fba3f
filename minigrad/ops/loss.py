"""Losses: of each element, and their mean."""

from math import prod

import numpy as np

from minigrad.tape import Array


def squared_error(x: Array, y: Array) -> Array:
    """(x - y)² of each element."""
    return np.square(np.subtract(x, y))


def squared_error_backward_x(grad_out: Array, x: Array, y: Array) -> Array:
    return np.multiply(grad_out, np.multiply(np.subtract(x, y), 2))


def squared_error_backward_y(grad_out: Array, x: Array, y: Array) -> Array:
    return np.multiply(grad_out, np.multiply(np.subtract(y, x), 2))


def mse_loss(x: Array, y: Array) -> Array:
    """Mean of (x - y)² over all elements."""
    squares = np.square(np.subtract(x, y))
    return np.divide(np.add.reduce(squares, axis=None), prod(squares.shape))


def mse_loss_backward_x(grad_out: Array, x: Array, y: Array) -> Array:
    # d/dx mean (x - y)² = 2·(x - y)/n; where n = 0 the gradient is as empty as x - y.
    difference = np.subtract(x, y)
    return np.multiply(difference, np.multiply(grad_out, 2 / max(prod(difference.shape), 1)))


def mse_loss_backward_y(grad_out: Array, x: Array, y: Array) -> Array:
    difference = np.subtract(y, x)
    return np.multiply(difference, np.multiply(grad_out, 2 / max(prod(difference.shape), 1)))


def huber_loss(x: Array, y: Array, *, delta: float) -> Array:
    """d²/2 where |d| is at most delta, elsewhere delta·(|d| - delta/2); d = x - y."""
    size = np.absolute(np.subtract(x, y))
    near = np.multiply(np.square(size), 0.5)
    far = np.multiply(np.subtract(size, 0.5 * delta), delta)
    return np.where(np.less_equal(size, delta), near, far)


def huber_loss_backward_x(grad_out: Array, x: Array, y: Array, delta: float) -> Array:
    return np.multiply(grad_out, _clamped(np.subtract(x, y), delta))


def huber_loss_backward_y(grad_out: Array, x: Array, y: Array, delta: float) -> Array:
    return np.multiply(grad_out, _clamped(np.subtract(y, x), delta))


def smooth_l1_loss(x: Array, y: Array, *, beta: float) -> Array:
    """d²/(2·beta) where |d| is less than beta, elsewhere |d| - beta/2; d = x - y."""
    size = np.absolute(np.subtract(x, y))
    near = np.divide(np.multiply(np.square(size), 0.5), beta)
    return np.where(np.less(size, beta), near, np.subtract(size, 0.5 * beta))


def smooth_l1_loss_backward_x(grad_out: Array, x: Array, y: Array, beta: float) -> Array:
    return np.multiply(grad_out, _clamped(np.divide(np.subtract(x, y), beta), 1))


def smooth_l1_loss_backward_y(grad_out: Array, x: Array, y: Array, beta: float) -> Array:
    return np.multiply(grad_out, _clamped(np.divide(np.subtract(y, x), beta), 1))


def _clamped(difference: Array, bound: float) -> Array:
    """Return a difference where it is within ±bound, else the bound on its side: the slope."""
    raised = np.where(np.less(difference, -bound), -bound, difference)
    return np.where(np.greater(difference, bound), bound, raised)
