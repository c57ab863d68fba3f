"""Operations that move or repeat elements and compute nothing."""

import numpy as np

from minigrad.layout import contiguous
from minigrad.tape import Array


def alias(x: Array, *, shape: tuple[int, ...]) -> Array:
    """X in its own shape, with or without axes of length 1 in front."""
    return np.reshape(x, shape)


def alias_backward_x(grad_out: Array) -> Array:
    return grad_out  # which the sweep sums over the axes in front


def reshape(x: Array, *, shape: tuple[int, ...]) -> Array:
    return np.reshape(x, shape)


def reshape_backward_x(grad_out: Array, x_shape: tuple[int, ...]) -> Array:
    return np.reshape(grad_out, x_shape)


def permute(x: Array, *, axes: tuple[int, ...]) -> Array:
    return np.transpose(x, axes)


def permute_backward_x(grad_out: Array, axes: tuple[int, ...]) -> Array:
    inverse = sorted(range(len(axes)), key=lambda i: axes[i] % len(axes))
    return np.transpose(grad_out, inverse)


def expand(x: Array, *, shape: tuple[int, ...]) -> Array:
    return np.broadcast_to(x, shape)


def expand_backward_x(grad_out: Array) -> Array:
    # The sweep sums a gradient down to its input's shape, so nothing is left to do here.
    return grad_out


def cat(*xs: Array, axis: int) -> Array:
    # Among others an input of shape (0,) adds nothing, whatever axes they have: torch allows it.
    return contiguous(np.concatenate([x for x in xs if x.shape != (0,)] or xs, axis=axis))


def cat_backward_xs(
    grad_out: Array, position: int, xs_shapes: list[tuple[int, ...]], axis: int
) -> Array:
    if xs_shapes[position] == (0,):
        return np.zeros_like(grad_out, shape=(0,))
    # Each other input receives the part of the gradient that lies where it was put.
    start = sum(shape[axis] for shape in xs_shapes[:position] if shape != (0,))
    part = slice(start, start + xs_shapes[position][axis])
    return grad_out[(slice(None),) * (axis % grad_out.ndim) + (part,)]
