"""Operations that combine elements along axes. `axis` is None for all axes, or a tuple of them.

NumPy's type stubs want `keepdims` to be a literal; hence the ignores.
"""

from math import prod

import numpy as np

from minigrad.layout import contiguous
from minigrad.tape import Array

Axis = tuple[int, ...] | None


def _with_axes(shape: tuple[int, ...], axis: Axis) -> tuple[int, ...]:
    """Return `shape` with the reduced axes kept at length 1, as `keepdims=True` leaves it."""
    reduced = range(len(shape)) if axis is None else [a % len(shape) for a in axis]
    return tuple(1 if a in reduced else n for a, n in enumerate(shape))


def sum(x: Array, *, axis: Axis = None, keepdims: bool = False) -> Array:
    return contiguous(np.add.reduce(x, axis=axis, keepdims=keepdims))  # type: ignore[call-overload]


def sum_backward_x(grad_out: Array, x_shape: tuple[int, ...], axis: Axis) -> Array:
    # Every element counts once in its sum: each receives the gradient of that sum.
    return np.broadcast_to(np.reshape(grad_out, _with_axes(x_shape, axis)), x_shape)


def mean(x: Array, *, axis: Axis = None, keepdims: bool = False) -> Array:
    return np.divide(sum(x, axis=axis, keepdims=keepdims), _count(x.shape, axis))


def mean_backward_x(grad_out: Array, x_shape: tuple[int, ...], axis: Axis) -> Array:
    # If no elements were combined, the gradient is empty, but its own derivative is 0, not 0/0.
    share = np.divide(grad_out, max(_count(x_shape, axis), 1))
    return np.broadcast_to(np.reshape(share, _with_axes(x_shape, axis)), x_shape)


def _count(shape: tuple[int, ...], axis: Axis) -> int:
    """Return how many elements each result combines."""
    return prod(shape if axis is None else [shape[a] for a in axis])


def amax(x: Array, *, axis: Axis = None, keepdims: bool = False) -> Array:
    return contiguous(np.maximum.reduce(x, axis=axis, keepdims=keepdims))  # type: ignore[call-overload]


def amax_backward_x(
    grad_out: Array, out: Array, x: Array, x_shape: tuple[int, ...], axis: Axis
) -> Array:
    return _share_among_equals(grad_out, out, x, x_shape, axis)


def amin(x: Array, *, axis: Axis = None, keepdims: bool = False) -> Array:
    return contiguous(np.minimum.reduce(x, axis=axis, keepdims=keepdims))  # type: ignore[call-overload]


def amin_backward_x(
    grad_out: Array, out: Array, x: Array, x_shape: tuple[int, ...], axis: Axis
) -> Array:
    return _share_among_equals(grad_out, out, x, x_shape, axis)


def _share_among_equals(
    grad_out: Array, out: Array, x: Array, x_shape: tuple[int, ...], axis: Axis
) -> Array:
    """Share the gradient evenly among the elements that equal the extremum, as torch does."""
    kept = _with_axes(x_shape, axis)
    tied = np.equal(x, np.reshape(out, kept))
    ties = np.add.reduce(tied, axis=axis, keepdims=True, dtype=grad_out.dtype)
    return np.divide(np.multiply(np.reshape(grad_out, kept), tied), ties)
