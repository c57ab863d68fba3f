"""The largest and smallest of all elements, and what is at the place of an extremum."""

from math import inf

import numpy as np

from minigrad.ops.reduction import _with_axes, amax, amin
from minigrad.tape import Array


def max(x: Array) -> Array:
    return np.maximum.reduce(x, axis=None)


def max_backward_x(grad_out: Array, out: Array, x: Array) -> Array:
    return _share_of_all(grad_out, out, x)


def min(x: Array) -> Array:
    return np.minimum.reduce(x, axis=None)


def min_backward_x(grad_out: Array, out: Array, x: Array) -> Array:
    return _share_of_all(grad_out, out, x)


def _share_of_all(grad_out: Array, out: Array, x: Array) -> Array:
    """Share the gradient evenly among the elements that are the extremum, also if it is NaN."""
    tied = _equal_to(x, out)
    share = np.divide(grad_out, np.add.reduce(tied, axis=None, dtype=grad_out.dtype))
    return np.where(tied, share, 0)


def _equal_to(x: Array, extremum: Array) -> Array:
    return np.where(np.equal(extremum, extremum), np.equal(x, extremum), np.not_equal(x, x))


def argmax(x: Array, *, axis: int, keepdims: bool = False) -> Array:
    return _first(_equal_to(x, np.maximum.reduce(x, axis=axis, keepdims=True)), axis, keepdims)


def argmin(x: Array, *, axis: int, keepdims: bool = False) -> Array:
    return _first(_equal_to(x, np.minimum.reduce(x, axis=axis, keepdims=True)), axis, keepdims)


def _first(mask: Array, axis: int, keepdims: bool) -> Array:
    """Return along an axis the position of the first element that is true."""
    places = np.where(mask, _positions(mask.shape, axis), mask.shape[axis])
    return amin(places, axis=(axis,), keepdims=keepdims)


def _positions(shape: tuple[int, ...], axis: int) -> Array:
    return np.reshape(np.arange(shape[axis]), (-1, *[1] * (len(shape) - 1 - axis)))


def pick(x: Array, index: Array, *, axis: int, keepdims: bool = False) -> Array:
    """The elements of x along an axis that `index` names, one for each place."""
    # The others become the lowest number, and do not count.
    lowest = {"f": -inf, "i": -(2**63), "b": False}[x.dtype.kind]
    chosen = np.where(_named(index, x.shape, axis), x, lowest)
    return amax(chosen, axis=(axis,), keepdims=keepdims)


def pick_backward_x(grad_out: Array, index: Array, x_shape: tuple[int, ...], axis: int) -> Array:
    kept = np.reshape(grad_out, _with_axes(x_shape, (axis,)))
    return np.where(_named(index, x_shape, axis), kept, 0)


def _named(index: Array, shape: tuple[int, ...], axis: int) -> Array:
    return np.equal(_positions(shape, axis), np.reshape(index, _with_axes(shape, (axis,))))
