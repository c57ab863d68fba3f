"""The NumPy calls that the rules are written in: all that an array type has to implement.

An array type that handles these through `__array_ufunc__` (NEP 13) and `__array_function__`
(NEP 18) can flow through every rule of `minigrad.ops`, through the sweep and through the
optimiser. A test runs every rule on an array type that refuses everything else.
"""

import numpy as np

UFUNCS: frozenset[np.ufunc] = frozenset(
    {
        np.absolute,
        np.add,
        np.cos,
        np.divide,
        np.equal,
        np.exp,
        np.floor_divide,
        np.greater,
        np.greater_equal,
        np.less,
        np.less_equal,
        np.log,
        np.log1p,
        np.logical_and,
        np.matmul,
        np.maximum,
        np.minimum,
        np.multiply,
        np.negative,
        np.not_equal,
        np.positive,
        np.power,
        np.remainder,
        np.sign,
        np.sin,
        np.sqrt,
        np.square,
        np.subtract,
        np.tanh,
    }
)
"""Called as `ufunc(x, y)`; the optimiser and in-place operations also pass `out=`."""

REDUCTIONS: frozenset[np.ufunc] = frozenset({np.add, np.maximum, np.minimum})
"""Also called as `ufunc.reduce(x, axis=, keepdims=)`; `np.add.reduce` with `dtype=` too."""

FUNCTIONS = frozenset(
    {
        np.astype,
        np.broadcast_to,
        np.concatenate,
        np.copy,
        np.reshape,
        np.transpose,
        np.where,
        np.zeros_like,
    }
)
"""Functions; besides these `np.add.at(out, key, values)`."""

ATTRIBUTES = frozenset(
    {"__getitem__", "__setitem__", "dtype", "flags", "mT", "ndim", "shape", "strides"}
)
"""What a rule reads of an array itself."""
