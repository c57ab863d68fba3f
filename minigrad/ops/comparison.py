"""Comparisons. They are constant almost everywhere, so they have no derivative."""

import numpy as np

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
