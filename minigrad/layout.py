"""Memory layout where NumPy's differs from torch's: `view` and in-place changes show it.

NumPy and torch both give the result of an operation the order of axes that its inputs have in
memory. But torch keeps axes in their place along which elements are repeated (stride 0: an expanded
tensor) where NumPy's copies make these the innermost, and it always stores what it reduces or joins
in index order. In torch an axis of length 1 has a step in memory, too, of which NumPy's views lose
track: where only this would decide, the order may be another.
"""

from collections.abc import Sequence
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
        return in_order(np.where(True, x, x), torch_order(x.shape, strides))
    return x


def repeats(x: Any) -> bool:
    """Return whether elements of an array are repeated along an axis."""
    return any(step == 0 and n > 1 for n, step in zip(x.shape, x.strides, strict=True))


def contiguous(x: Any) -> Any:
    """Return an array, but a copy in index order of one in another order."""
    flags = getattr(x, "flags", None)  # a tensor has none, and its reductions are in index order
    if flags is None or flags.c_contiguous:
        return x
    return np.reshape(np.reshape(x, (-1,)), x.shape)


def in_order(x: Any, order: Sequence[int]) -> Any:
    """Return an array laid out in memory in this order of its axes, a copy if it is in another."""
    lined_up = np.transpose(x, order)
    whole = np.reshape(np.reshape(lined_up, (-1,)), lined_up.shape)
    laid_out = np.transpose(whole, [order.index(axis) for axis in range(x.ndim)])
    return x if laid_out.strides == x.strides else laid_out


def arranged(out: Any, *operands: Any) -> Any:
    """Return what was computed element by element, laid out as torch does: by the first operand
    that says so.
    """
    if not hasattr(out, "strides"):  # a tensor, whose own operations see to it
        return out
    if all(x.shape == out.shape and x.flags.c_contiguous for x in (out, *operands)):
        return out
    strides = []
    for x in operands:
        added = out.ndim - x.ndim
        lengths = zip(x.strides, x.shape, out.shape[added:], strict=True)
        strides.append([0] * added + [0 if n == 1 != m else step for step, n, m in lengths])
    return in_order(out, torch_order(out.shape, *strides))


def torch_order(shape: Sequence[int], *strides: Sequence[int]) -> list[int]:
    """Return the axes of a result in torch's order, the innermost last, from its inputs' strides.

    An axis of stride 0, which an input does not have, says nothing. So the order depends on how it
    is sorted: as in TensorIterator (`reorder_dimensions`), from the innermost axis on.
    """
    order = [*reversed(range(len(shape)))]
    for i in range(1, len(shape)):
        for before in reversed(range(i)):
            inner, outer = order[before], order[i]
            sign = 0
            for of in strides:
                if of[inner] and of[outer] and not sign:
                    sign = np.sign(of[inner] - of[outer]) or int(shape[inner] > shape[outer])
            if sign > 0:
                order[before], order[i] = outer, inner
                i = before
            elif sign < 0:
                break
    return order[::-1]
