"""Losses."""

from math import prod

import numpy as np

from minigrad.tape import Array


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
