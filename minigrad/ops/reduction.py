"""Operations that combine elements along axes. `axis` is None for all axes, or a tuple of them.

NumPy's type stubs want `keepdims` to be a literal; hence the ignores.
"""

from math import inf, nan, prod

import numpy as np

from minigrad.layout import contiguous
from minigrad.ops.elementwise import abs_backward_x
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
    tied = np.equal(np.reshape(out, kept), x)
    ties = np.add.reduce(tied, axis=axis, keepdims=True, dtype=grad_out.dtype)
    return np.divide(np.multiply(np.reshape(grad_out, kept), tied), ties)


def var(x: Array, *, axis: Axis = None, keepdims: bool = False, correction: float = 1) -> Array:
    """Squared distances from the mean, added up and divided by their number less `correction`."""
    return np.astype(_var(x, axis, keepdims, correction), x.dtype)


def _var(x: Array, axis: Axis, keepdims: bool, correction: float) -> Array:
    """Return the variance in float64, as torch computes it: its squares do not overflow."""
    squares = np.square(_from_mean(np.astype(x, np.float64), axis))
    freedom = _count(x.shape, axis) - correction
    left = freedom if freedom > 0 and _count(x.shape, axis) else 0
    return np.divide(sum(squares, axis=axis, keepdims=keepdims), left)


def var_backward_x(grad_out: Array, x: Array, axis: Axis, correction: float) -> Array:
    grad = np.reshape(grad_out, _with_axes(x.shape, axis))
    freedom = _count(x.shape, axis) - correction
    # Where axes are named, torch divides by what there is; a tensor of no axes has none to name.
    if (axis is None or not x.shape) and freedom <= 0:
        return np.multiply(grad, np.where(np.equal(x, mean(x, axis=axis, keepdims=True)), nan, inf))
    return np.multiply(np.multiply(grad, 2 / freedom if freedom else inf), _from_mean(x, axis))


def std(x: Array, *, axis: Axis = None, keepdims: bool = False, correction: float = 1) -> Array:
    return np.astype(np.sqrt(_var(x, axis, keepdims, correction)), x.dtype)


def std_backward_x(grad_out: Array, out: Array, x: Array, axis: Axis, correction: float) -> Array:
    # By the chain rule √v' = v'/(2·√v); where all elements are equal the gradient is 0.
    grad = _divided(grad_out, np.multiply(out, 2))
    return var_backward_x(grad, x, axis, correction)


def _from_mean(x: Array, axis: Axis) -> Array:
    return np.subtract(x, mean(x, axis=axis, keepdims=True))


def norm(x: Array, *, p: float, axis: Axis = None, keepdims: bool = False) -> Array:
    """The p-th root of the sum of |x|ᵖ; for p=0 how many are not 0, for ±inf the extreme |x|."""
    alone = axis != () and _count(x.shape, axis) == 1  # then torch takes |x| itself
    if p == 2 and not alone:
        return np.sqrt(sum(np.square(x), axis=axis, keepdims=keepdims))
    if p == 0:
        found = np.not_equal(x, 0)
        return sum(np.astype(found, x.dtype), axis=axis, keepdims=keepdims)
    sizes = np.absolute(x)
    if p in (inf, -inf):
        return (amax if p > 0 else amin)(sizes, axis=axis, keepdims=keepdims)
    if p == 1 or alone:
        return sum(sizes, axis=axis, keepdims=keepdims)
    return np.power(sum(np.power(sizes, p), axis=axis, keepdims=keepdims), 1 / p)


def norm_backward_x(grad_out: Array, out: Array, x: Array, axis: Axis, p: float) -> Array:
    # sign(x)·(|x|/out)ᵖ⁻¹, and 0 where that is 0/0, in torch's order; a count has no derivative.
    kept = _with_axes(x.shape, axis)
    grad_out, out = np.reshape(grad_out, kept), np.reshape(out, kept)
    if p == 2:
        return np.multiply(grad_out, _divided(x, out))
    if p == 0:
        return None
    if p in (inf, -inf):
        sizes = np.absolute(x)
        tied = np.where(np.equal(out, out), np.equal(sizes, out), np.not_equal(x, x))
        ties = np.add.reduce(tied, axis=axis, keepdims=True, dtype=grad_out.dtype)
        return np.multiply(abs_backward_x(1, x), np.multiply(np.divide(grad_out, ties), tied))
    if p == 1:
        return np.multiply(abs_backward_x(1, x), grad_out)
    if p < 1:
        powers = np.where(np.equal(x, 0), 0, np.power(np.absolute(x), p - 1))
        slope = np.multiply(np.multiply(abs_backward_x(1, x), powers), grad_out)
        return np.multiply(slope, np.power(out, 1 - p))
    share = np.where(np.equal(out, 0), 0, np.divide(grad_out, np.power(out, p - 1)))
    if p < 2:
        return np.multiply(
            np.multiply(abs_backward_x(1, x), np.power(np.absolute(x), p - 1)), share
        )
    return np.multiply(np.multiply(x, np.power(np.absolute(x), p - 2)), share)


def _divided(x: Array, y: Array) -> Array:
    """Divide, but where y is 0 return 0; as in torch, that has the derivative NaN there."""
    return np.where(np.equal(y, 0), 0, np.divide(x, y))
