"""The element by element functions whose results do not depend on how an array is laid out."""

import numpy as np

EXACT = frozenset(
    {
        np.absolute,
        np.add,
        np.copyto,
        np.divide,
        np.maximum,
        np.minimum,
        np.multiply,
        np.negative,
        np.sign,
        np.sqrt,
        np.square,
        np.subtract,
    }
)
"""Rounded correctly (IEEE 754), hence the same wherever in an array an element stands.

NumPy computes others, such as `exp`, by other code where the elements lie one behind the other.
"""
