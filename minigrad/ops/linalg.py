"""Matrix products."""

import numpy as np

from minigrad.tape import Array


def matmul(x: Array, y: Array) -> Array:
    """Product of (..., n, k) and (..., k, m); the leading axes broadcast."""
    return np.matmul(x, y)


def matmul_backward_x(grad_out: Array, y: Array) -> Array:
    # outᵢⱼ = Σₖ xᵢₖ·yₖⱼ, so xᵢₖ receives Σⱼ grad_outᵢⱼ·yₖⱼ.
    return np.matmul(grad_out, y.mT)


def matmul_backward_y(grad_out: Array, x: Array) -> Array:
    return np.matmul(x.mT, grad_out)


def dot(x: Array, y: Array) -> Array:
    """Sum of the products of two vectors' elements."""
    return np.add.reduce(np.multiply(x, y), axis=None)


def dot_backward_x(grad_out: Array, y: Array) -> Array:
    return np.multiply(grad_out, y)


def dot_backward_y(grad_out: Array, x: Array) -> Array:
    return np.multiply(grad_out, x)


def mv(x: Array, y: Array) -> Array:
    """Product of a matrix (n, k) and a vector (k,)."""
    return np.reshape(np.matmul(x, np.reshape(y, (-1, 1))), (-1,))


def mv_backward_x(grad_out: Array, y: Array) -> Array:
    # outᵢ = Σₖ xᵢₖ·yₖ, so xᵢₖ receives grad_outᵢ·yₖ.
    return np.multiply(np.reshape(grad_out, (-1, 1)), y)


def mv_backward_y(grad_out: Array, x: Array) -> Array:
    return mv(x.mT, grad_out)


def linear(x: Array, weight: Array, bias: Array) -> Array:
    """x·weightᵀ + bias for x (n, in), weight (out, in), bias (out,)."""
    return np.add(np.matmul(x, weight.mT), bias)


def linear_backward_x(grad_out: Array, weight: Array) -> Array:
    # outᵢⱼ = Σₖ xᵢₖ·weightⱼₖ + biasⱼ, so xᵢₖ receives Σⱼ grad_outᵢⱼ·weightⱼₖ.
    return np.matmul(grad_out, weight)


def linear_backward_weight(grad_out: Array, x: Array) -> Array:
    return np.matmul(grad_out.mT, x)


def linear_backward_bias(grad_out: Array) -> Array:
    # The bias was added to every row.
    return np.add.reduce(grad_out, axis=0)
