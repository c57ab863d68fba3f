"""Reading and writing elements. `key` is whatever NumPy takes between square brackets."""

from typing import Any

import numpy as np

from minigrad.tape import Array


def index(x: Array, *, key: Any) -> Array:
    return x[key]


def index_backward_x(grad_out: Array, x_shape: tuple[int, ...], key: Any) -> Array:
    return scatter(grad_out, shape=x_shape, key=key)


def scatter(x: Array, *, shape: tuple[int, ...], key: Any) -> Array:
    """Add x into zeros of `shape` at `key`: an element that is named twice receives both values.

    The reverse of `index`. `index_put` is another operation: it replaces, and the last value wins.
    """
    out = np.zeros_like(x, shape=shape)
    np.add.at(out, key, x)
    return out


def scatter_backward_x(grad_out: Array, key: Any) -> Array:
    return grad_out[key]


def index_put(x: Array, y: Array, *, key: Any) -> Array:
    """X with the elements at `key` replaced by y."""
    out = np.copy(x)
    out[key] = y
    return out


def index_put_backward_x(grad_out: Array, key: Any) -> Array:
    # The elements that were replaced have no effect on the result.
    grad_x = np.copy(grad_out)
    grad_x[key] = 0
    return grad_x


def index_put_backward_y(grad_out: Array, key: Any) -> Array:
    return grad_out[key]
