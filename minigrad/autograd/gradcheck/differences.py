"""The slope of a function of one number, by central differences, with an estimate of its error.

The central difference D(h) = (f(x+h) - f(x-h)) / 2h is wrong in two ways: by its truncation, a
series c₂h² + c₄h⁴ + …, and by the rounding of f, about u·|f|/h. No single step suits every
function, so the step is chosen for each element: D is computed for a ladder of steps, each a
quarter of the one before. With D(h) and D(h/4) the h² term can be eliminated, (16·D(h/4) - D(h))/15
(Richardson), with three of them h⁴, and so on. The distance of an extrapolated value from the two
that it was made of estimates its truncation error. The value with the smallest estimate, rounding
included, is taken (Ridders 1982, *Accurate computation of F'(x) and F'(x)F''(x)*).

At a kink the slopes on the two sides differ, and D is their mean for every step. The one-sided
differences of a smooth function approach each other: their distance shrinks to a quarter at each
step down the ladder. x is a **kink** if at the last step their distance is beyond rounding, and
between half and 1½ times the distance at the step before. Where it grows by more, the function has
a jump or an infinite slope, and no derivative.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

UNIT = float(np.finfo(np.float64).eps) / 2
ROUNDING = 8 * UNIT
"""The relative rounding error assumed of a function's values."""
SETTLED = 2.0**-30
"""The relative error at which no smaller steps are tried."""
ORDERS = 4
"""One more than the number of terms h², h⁴, … that are eliminated."""


class Slopes(NamedTuple):
    """The slopes of each of a function's values.

    Attributes:
        value: the best estimates.
        error: their estimated errors; inf where there is no derivative, or where the differences
            are never finite.
        left, right: the one-sided differences at the last step.
        one_sided_error: their rounding error.
        kink: whether x is a kink.
        scale: the largest value met, divided by the size of x: the slope of a straight line to it.
    """

    value: Array
    error: Array
    left: Array
    right: Array
    one_sided_error: Array
    kink: Array
    scale: float


def ladder(x: float, largest: float | None = None) -> Array:
    """Return the steps to try at x, the largest first.

    They go from 1/8 of max(|x|, 1) down to 2⁻²⁶ of it, where rounding has taken half of the digits.
    Near 0 they go down to |x|/1024, so that functions that end at 0 can be differentiated there.
    With `largest` they are four steps, of which that is the first.
    """
    if largest is not None:
        return np.asarray(largest * 4.0 ** -np.arange(ORDERS))
    scale = max(abs(x), 1.0)
    last = 2.0**-26 * scale if x == 0 else min(2.0**-26 * scale, abs(x) / 1024)
    first = 2.0 ** np.floor(np.log2(scale / 8))
    return np.asarray(first * 4.0 ** -np.arange(np.ceil(np.log2(first / last) / 2) + 1))


def slopes(f: Callable[[float], Array], x: float, largest: float | None = None) -> Slopes:
    """Return the slopes at x of a function of a number that returns a vector of float64."""
    middle = f(x)
    value, error = np.zeros(middle.shape), np.full(middle.shape, np.inf)
    kink = jump = np.zeros(middle.shape, bool)
    left = right = rounding = value
    distance = np.full(middle.shape, np.nan)
    size = scale = _largest(middle)
    row: list[Array] = []
    for h in ladder(x, largest):
        above, below = x + h, x - h  # the exact steps are computed below, from these rounded values
        upper, lower = f(above), f(below)
        right, left = (upper - middle) / (above - x), (middle - lower) / (x - below)
        reach = max(size, _largest(upper), _largest(lower))
        scale = max(scale, reach)
        rounding = np.full(middle.shape, ROUNDING * reach / h)
        coarse, row = row, [(upper - lower) / (above - below)]
        for order, coarser in enumerate(coarse[: ORDERS - 1], start=1):
            finer = row[-1]
            better = finer + (finer - coarser) / (16.0**order - 1)
            doubt = np.maximum(np.abs(better - finer), np.abs(better - coarser)) + rounding
            row.append(better)
            value, error = np.where(doubt < error, better, value), np.fmin(doubt, error)
        earlier, distance = distance, np.abs(right - left)
        apart = (distance > 16 * rounding) & (distance > earlier / 2)
        jump = apart & (distance > 1.5 * earlier)
        kink = apart & ~jump
        settled = error <= np.maximum(SETTLED * np.abs(value), 2 * rounding)
        if np.all(settled & ~apart & ~np.isnan(earlier)):
            break
    error = np.where(jump, np.inf, error)
    return Slopes(value, error, left, right, 16 * rounding, kink, scale / max(abs(x), 1.0))


def _largest(values: Array) -> float:
    return float(np.max(np.abs(values), initial=0, where=np.isfinite(values)))
