"""Comparisons. They are constant almost everywhere, so they have no derivative."""

import math

import numpy as np

from minigrad.ops.reduction import Axis, sum
from minigrad.tape import Array


def eq(x: Array, y: Array) -> Array:
    return np.equal(x, y)


def ne(x: Array, y: Array) -> Array:
    return np.not_equal(x, y)


def lt(x: Array, y: Array) -> Array:
    return np.less(x, y)


def le(x: Array, y: Array) -> Array:
    return np.less_equal(x, y)


def gt(x: Array, y: Array) -> Array:
    return np.greater(x, y)


def ge(x: Array, y: Array) -> Array:
    return np.greater_equal(x, y)


def logical_and(x: Array, y: Array) -> Array:
    return np.logical_and(x, y)


def logical_or(x: Array, y: Array) -> Array:
    return np.maximum(x, y)


def isnan(x: Array) -> Array:
    return np.not_equal(x, x)


def isfinite(x: Array) -> Array:
    return np.less(np.absolute(x), math.inf)


def isinf(x: Array) -> Array:
    return np.equal(np.absolute(x), math.inf)


def any(x: Array, *, axis: Axis = None, keepdims: bool = False) -> Array:
    return np.greater(sum(np.not_equal(x, 0), axis=axis, keepdims=keepdims), 0)


def all(x: Array, *, axis: Axis = None, keepdims: bool = False) -> Array:
    return np.equal(sum(np.equal(x, 0), axis=axis, keepdims=keepdims), 0)
