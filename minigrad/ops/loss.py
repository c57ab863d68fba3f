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
