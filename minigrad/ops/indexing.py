"""Reading and writing elements.

There are two kinds of keys, and torch runs one after the other. `part` takes a key of ints, slices,
None and `...`: the result is a view, and no element is in it twice. `index` takes a tuple of arrays
of ints and masks, with `:` for each axis between them that stays: the result is a copy, and may
hold an element several times. As in torch these `indices` count as inputs: a node that has run its
derivatives has released them, and they must not be changed until then.
"""

from typing import Any

import numpy as np

from minigrad.tape import Array


def part(x: Array, *, key: Any) -> Array:
    return x[key]


def part_backward_x(grad_out: Array, x_shape: tuple[int, ...], key: Any) -> Array:
    grad_x = np.zeros_like(grad_out, shape=x_shape, order="C")
    grad_x[key] = grad_out
    return grad_x


def index(x: Array, *, indices: Any) -> Array:
    return x[indices]


def index_backward_x(grad_out: Array, x_shape: tuple[int, ...], indices: Any) -> Array:
    return scatter(grad_out, shape=x_shape, indices=indices)


def scatter(x: Array, *, shape: tuple[int, ...], indices: Any) -> Array:
    """Add x into zeros of `shape` at `indices`: the reverse of `index`.

    An element that is named twice receives both values. `index_put` is another operation: it
    replaces, and the last value wins.
    """
    out = np.zeros_like(x, shape=shape, order="C")
    np.add.at(out, indices, x)
    return out


def scatter_backward_x(grad_out: Array, indices: Any) -> Array:
    return grad_out[indices]


def index_put(x: Array, y: Array, *, indices: Any) -> Array:
    """X with the elements at `indices`, of either kind, replaced by y."""
    out = np.copy(x)
    out[indices] = y
    return out


def index_put_backward_x(grad_out: Array, indices: Any) -> Array:
    # The elements that were replaced have no effect on the result.
    grad_x = np.copy(grad_out)
    grad_x[indices] = 0
    return grad_x


def index_put_backward_y(grad_out: Array, indices: Any) -> Array:
    return grad_out[indices]
