"""Memory layout where NumPy's differs from torch's: `view` and in-place changes show it.

NumPy and torch both give the result of an operation the order of axes that its inputs have in
memory. But torch keeps axes in their place along which elements are repeated (stride 0: an expanded
tensor) where NumPy's copies make these the innermost, and it always stores what it reduces or joins
in index order.
"""

from typing import Any

import numpy as np


def copied(x: Any) -> Any:
    """Return a copy."""
    return np.copy(unrepeated(x))


def unrepeated(x: Any) -> Any:
    """Return an array, but a copy of one in which elements are repeated."""
    strides = getattr(x, "strides", None)
    if strides is None:
        return np.copy(x)  # a tensor, whose own copy keeps them in place
    if 0 in strides and repeats(x):
        return np.where(True, x, x)  # which, unlike np.copy, keeps the repeated axes in place
    return x


def repeats(x: Any) -> bool:
    """Return whether elements of an array are repeated along an axis."""
    return any(step == 0 and n > 1 for n, step in zip(x.shape, x.strides, strict=True))


def contiguous(x: Any) -> Any:
    """Return an array, but a copy in index order of one in another order."""
    return x if x.flags.c_contiguous else np.reshape(np.reshape(x, (-1,)), x.shape)
