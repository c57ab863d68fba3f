"""Element-wise calls that have a derivative: how errors pass through them, and their own rounding.

*Propagation* is to first order: f(x + eₓ, y + e_y) - f(x, y) ≈ f'ₓ·eₓ + f'_y·e_y. Errors of
different values are taken as independent, so σ² = f'ₓ²·σₓ² + f'_y²·σ_y².

*The call's own rounding* is added. + − × ÷ √ are rounded correctly, with variance v²/3
(`values.ROUNDED`). Functions of a mathematics library are within a few units in the last place
(NumPy states up to 4): variance 4·v².
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from minigrad.arrays.budgeted.kinks import NEAR
from minigrad.arrays.budgeted.matrix_products import added_to_product
from minigrad.arrays.budgeted.values import (
    ROUNDED,
    Budgeted,
    certain_nans,
    in_units_of,
    most_repeats,
    slack_and_shifts,
    unit_roundoff,
    without_certain,
)

LIBRARY = 4.0
"""The variance of the relative error of exp, log, log1p, sin, cos, tanh and power, in u²."""


class Smooth(NamedTuple):
    """An element-wise call that is differentiable wherever it is finite.

    Attributes:
        slopes: for each input ∂f/∂x, a function of (out, *inputs); None for 1.
        own: the variance of the relative error of its own rounding, in u².
    """

    slopes: tuple[Callable[..., Any] | None, ...]
    own: float


def _double(ufunc: np.ufunc, *inputs: Any) -> Any:
    return ufunc(*inputs, dtype=np.float64)


SMOOTH: dict[np.ufunc, Smooth] = {
    np.add: Smooth((None, None), ROUNDED),
    np.subtract: Smooth((None, lambda out, x, y: -1.0), ROUNDED),
    np.multiply: Smooth((lambda out, x, y: y, lambda out, x, y: x), ROUNDED),
    np.divide: Smooth(
        (
            lambda out, x, y: _double(np.divide, 1, y),
            lambda out, x, y: -_double(np.divide, out, y),
        ),
        ROUNDED,
    ),
    np.square: Smooth((lambda out, x: _double(np.multiply, 2, x),), ROUNDED),
    np.sqrt: Smooth((lambda out, x: _double(np.divide, 0.5, out),), ROUNDED),
    np.exp: Smooth((lambda out, x: out,), LIBRARY),
    np.log: Smooth((lambda out, x: _double(np.divide, 1, x),), LIBRARY),
    np.sin: Smooth((lambda out, x: _double(np.cos, x),), LIBRARY),
    np.cos: Smooth((lambda out, x: -_double(np.sin, x),), LIBRARY),
    np.log1p: Smooth((lambda out, x: _double(np.divide, 1, _double(np.add, x, 1)),), LIBRARY),
    np.tanh: Smooth((lambda out, x: 1 - _double(np.square, out),), LIBRARY),
    np.power: Smooth(
        (
            lambda out, x, y: y * _double(np.power, x, y - 1),
            lambda out, x, y: out * _double(np.log, x),
        ),
        LIBRARY,
    ),
    np.negative: Smooth((lambda out, x: -1.0,), 0.0),
    np.positive: Smooth((lambda out, x: 1.0,), 0.0),
    np.absolute: Smooth((lambda out, x: np.sign(x),), 0.0),
}
"""Each call with the derivatives that calculus gives it. |x| is not smooth at 0, but it changes by
no more than x does, which is all that is needed here."""


def elementwise(ufunc: np.ufunc, *inputs: Budgeted) -> Budgeted:
    """Return the result of a call in `SMOOTH`: σ² = Σ(f'ᵢ·σᵢ)² + the variance of its rounding."""
    slopes, own = SMOOTH[ufunc]
    values = [x.value for x in inputs]
    value = ufunc(*values)
    if value.dtype.kind == "f":
        inputs = tuple(in_units_of(x, value.dtype) for x in inputs)
    found = [
        None if slope is None or x.exact else slope(value, *values)
        for slope, x in zip(slopes, inputs, strict=True)
    ]
    variance = _propagated(found, [x.variance for x in inputs])
    if ufunc is np.sqrt and variance is not None:
        # |√(x + e) - √x| ≤ √|e|, which is less where x is within its own error of 0.
        variance = np.fmin(variance, np.sqrt(inputs[0].variance) / unit_roundoff(value.dtype))
    if ufunc in (np.square, np.sin, np.cos) and variance is not None:
        # (x + e)² - x² = (2·x + e)·e: where x is within its own error of 0, only e² is left. At
        # the crests of sine and cosine half of it is left.
        second = np.square(inputs[0].variance)
        second *= (NEAR * unit_roundoff(value.dtype)) ** 2
        variance = variance + second
    if own and value.dtype.kind == "f":
        rounding = np.square(value, dtype=np.float64)
        rounding *= own
        if ufunc is np.add:
            for product, other in (inputs, inputs[::-1]):
                if product.terms:
                    rounding += added_to_product(product.terms, other.value)
        if variance is not None:
            rounding += variance
        variance = rounding

    def through(i: int, part: Any, absolute: bool) -> Any:
        slope = found[i]
        if slope is None:
            return part
        return np.where(part == 0, 0, part * (np.abs(slope) if absolute else slope))

    slack, shifts = slack_and_shifts(inputs, through)
    if ufunc is np.multiply and all(x.slack is not None or x.shifts for x in inputs):
        both = inputs[0].total_slack() * inputs[1].total_slack()
        slack = both if slack is None else slack + both
    slack, shifts = without_certain(
        slack,
        shifts,
        lambda: np.isnan(value) & functools.reduce(np.logical_or, map(certain_nans, inputs)),
    )
    away = None
    if ufunc is np.add:
        quarter = float(np.finfo(value.dtype).max) / 4 if value.dtype.kind == "f" else 0.0
        for x, other in (inputs, inputs[::-1]):
            if x.away is not None:
                away = x.away & (np.abs(other.value) + other.total_slack() < quarter)
    return Budgeted(value, variance, slack, shifts, most_repeats(*inputs), away=away)


def _propagated(slopes: list[Any], variances: list[Any]) -> Any:
    """Return Σ slope²·σ² over inputs (slope or None for 1, σ² or None for 0); None for none."""
    total: Any = None
    for slope, variance in zip(slopes, variances, strict=True):
        if variance is None:
            continue
        part = variance
        if slope is not None:
            part = np.multiply(variance, np.square(slope, dtype=np.float64))
            if np.isnan(np.max(part, initial=0.0)):
                # An infinite slope and an exact value; or an overflow where the slope is 0: what
                # another engine has there changes the result by less than the smallest number.
                part = np.where(np.equal(variance, 0) | np.equal(slope, 0), 0, part)
        total = part if total is None else np.add(total, part)
    return total
