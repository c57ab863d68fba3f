"""Kinks: choices between values that are closer than their own errors.

Two correct engines may then choose differently, and neither is wrong. A ReLU whose input is zero
within its rounding error passes the gradient on in one engine and not in the other. Comparisons,
signs, masks, `where`, maximum and minimum are all the calls that choose.

maximum, minimum and |x| have kinks, but no jumps: they change by no more than their inputs do.
Where it is in doubt which input a maximum is, it gets the larger of both errors. So a ReLU whose
input is slightly below zero returns 0 with the error of its input, and the comparison with 0 in its
derivative sees that it is in doubt.
"""

import itertools
import math
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import numpy as np

from minigrad.arrays.budgeted.values import (
    ROUNDED,
    Budgeted,
    in_units_of,
    most_repeats,
    shaped,
    slack_and_shifts,
    unit_roundoff,
)

NEAR = 9.0
"""Values closer than this many standard deviations of their joint error are in doubt.

It is at least z·√2 for the z that verdicts use: two engines' values differ by √2 deviations.
"""

FOLLOWED = 8
"""The number of kinks of a single choice that are followed one by one."""

_numbers = itertools.count()


class Kinks:
    """A count of the comparisons, element by element, whose outcome was in doubt."""

    def __init__(self) -> None:
        self.count = 0


_active: ContextVar[Kinks | None] = ContextVar("kinks", default=None)


@contextmanager
def counting_kinks() -> Iterator[Kinks]:
    """Count the kinks that budgeted arrays meet within this context; read `.count` at any time."""
    kinks = Kinks()
    token = _active.set(kinks)
    try:
        yield kinks
    finally:
        _active.reset(token)


def _counted(doubt: Any) -> Any:
    """Count the doubtful elements of a mask; return them as slack, 1 where in doubt, or None."""
    found = int(np.count_nonzero(doubt))
    if found == 0:
        return None
    kinks = _active.get()
    if kinks is not None:
        kinks.count += found
    return doubt.astype(np.float64)


# ---- where a choice is in doubt -------------------------------------------------------------


def choice(ufunc: np.ufunc, *inputs: Budgeted) -> Budgeted:
    """Return the result of a comparison, logical_and, sign, maximum, minimum or rounded division.

    Raises:
        TypeError: inexact values are to be divided and rounded.
    """
    value = ufunc(*(x.value for x in inputs))
    if ufunc is np.logical_and:
        return Budgeted(value, slack=_doubt_of_both(*inputs))
    if ufunc in (np.floor_divide, np.remainder):
        if not all(x.exact for x in inputs):
            raise TypeError(
                f"{ufunc.__name__}: inexact values have no budget there, where the quotient jumps "
                "from one integer to the next: detach them from what is judged"
            )
        return Budgeted(value, ROUNDED * np.square(value, dtype=np.float64))
    if ufunc is np.sign:
        return Budgeted(value, slack=_sign_slack(value, *inputs))
    if ufunc not in (np.maximum, np.minimum):
        return Budgeted(value, slack=_doubt(ufunc, *inputs))
    if value.dtype.kind == "f":
        inputs = tuple(in_units_of(x, value.dtype) for x in inputs)
    return _larger_or_smaller(value, *inputs)


def _nearly_equal(x: Budgeted, y: Budgeted) -> Any:
    """Return where x and y are closer than their joint error, unless that is 0.

    Beside an overflow the error is not finite and the answer unknown, so it is yes; but a NaN that
    is certain is a NaN, and what is on one side of 0 for certain is not 0.
    """
    unit = unit_roundoff(np.result_type(x.value, y.value))
    variances = [z.variance for z in (x, y) if z.variance is not None]
    slack = x.total_slack() + y.total_slack()
    error = NEAR * unit * np.sqrt(sum(variances)) + slack
    distance = np.abs(np.subtract(x.value, y.value, dtype=np.float64))
    near = np.logical_and(np.less_equal(distance, error), np.greater(error, 0))
    if not math.isfinite(np.max(error, initial=0.0)):
        near |= ~np.less(slack, np.inf) | (np.isnan(error) & ~np.isnan(distance))
    for z, other in ((x, y), (y, x)):
        if z.away is not None:
            near &= ~(z.away & np.equal(other.value, 0))
    return near


def _doubt(ufunc: np.ufunc, x: Budgeted, y: Budgeted) -> Any:
    """Return as slack where a comparison may have another outcome.

    A value is never in doubt about itself. Nor is the equality of two inexact values that have the
    same bits: those are a maximum and the element it is, or two results of one computation.
    """
    if (x.exact and y.exact) or x.value is y.value:
        return None
    near = _nearly_equal(x, y)
    if ufunc in (np.equal, np.not_equal):
        near = np.logical_and(near, np.not_equal(x.value, y.value))
    return _counted(near)


def _doubt_of_both(x: Budgeted, y: Budgeted) -> Any:
    """Return the slack of an and: in doubt where one side is, and the other may be true."""
    if x.slack is None and y.slack is None:
        return None
    dx, dy = (np.zeros((), bool) if z.slack is None else z.slack > 0 for z in (x, y))
    return ((dx & (y.value | dy)) | (dy & (x.value | dx))).astype(np.float64)


def _sign_slack(value: Any, x: Budgeted) -> Any:
    """Return the slack of a sign: near 0 a sign of ±1 may be the opposite, 0 may be either."""
    if x.exact:
        return None
    doubt = _counted(_nearly_equal(x, Budgeted(np.zeros((), x.value.dtype))))
    return None if doubt is None else doubt * (1 + np.abs(value))


def _is_not_zero(x: Budgeted) -> Budgeted:
    """Return x as a mask, in doubt where it is within its error of 0."""
    zero = Budgeted(np.zeros((), x.value.dtype))
    return Budgeted(x.value != 0, slack=None if x.exact else _counted(_nearly_equal(x, zero)))


# ---- what is chosen -------------------------------------------------------------------------


def _chosen(mask: Any, x: Budgeted, y: Budgeted, doubt: Any) -> tuple[Any, Any, dict[int, Any]]:
    """Return variance, slack and shifts of x where the mask is true and of y elsewhere.

    Where the choice is in doubt the variance is the larger one.
    """
    variance = None
    if x.variance is not None or y.variance is not None:
        of_x, of_y = (0.0 if z.variance is None else z.variance for z in (x, y))
        variance = np.where(mask, of_x, of_y)
        if doubt is not None:
            variance = np.where(doubt, np.maximum(of_x, of_y), variance)
    slack, shifts = slack_and_shifts(
        (x, y), lambda i, part, _: np.where(mask, *((part, 0) if i == 0 else (0, part)))
    )
    return variance, slack, shifts


def _larger_or_smaller(value: Any, x: Budgeted, y: Budgeted) -> Budgeted:
    """Return a maximum or minimum with the error of the input it is, in doubt the larger error."""
    if x.exact and y.exact:
        return Budgeted(value, repeats=most_repeats(x, y))
    chosen, near = np.equal(x.value, value), _nearly_equal(x, y)
    variance, slack, shifts = _chosen(chosen, x, y, near)
    if x.slack is not None or y.slack is not None or shifts:
        worst = np.maximum(x.total_slack(), y.total_slack())
        slack = np.where(near, worst, 0 if slack is None else slack)
    away = None
    if x.away is not None or y.away is not None:
        of_x, of_y = (False if z.away is None else z.away for z in (x, y))
        away = np.where(chosen, of_x, of_y)
    return Budgeted(value, variance, slack, shifts, most_repeats(x, y), away=away)


def where(condition: Budgeted, x: Budgeted, y: Budgeted) -> Budgeted:
    """Choose by a mask; where the mask is in doubt, the other choice is a shift."""
    if np.result_type(condition.value).kind != "b":
        condition = _is_not_zero(condition)
    mask = condition.value
    value = np.where(mask, x.value, y.value)
    if value.dtype.kind == "f":
        x, y = in_units_of(x, value.dtype), in_units_of(y, value.dtype)
    if np.ndim(mask) == 0 and condition.slack is None:
        whole = x if mask else y
        whole = whole._replace(value=np.broadcast_to(whole.value, value.shape))
        return whole.map(np.array)._replace(value=value)
    doubt = None if condition.slack is None else condition.slack > 0
    variance, slack, shifts = _chosen(mask, x, y, doubt)
    if doubt is not None:
        jump = np.where(mask, -1.0, 1.0) * np.subtract(x.value, y.value, dtype=np.float64)
        jump = np.where(doubt, jump, 0.0)
        new, rest = _followed(jump)
        if not (x.exact and y.exact):  # what moves the other value moves the jump
            rest = rest + np.where(doubt, x.total_slack() + y.total_slack(), 0.0)
        shifts |= new
        if np.any(rest):
            slack = rest if slack is None else slack + rest
    return Budgeted(value, variance, slack, shifts, most_repeats(x, y))


def _followed(jump: Any) -> tuple[dict[int, Any], Any]:
    """Return what the other choice changes at each kink: the numbered shifts, and the rest.

    A shift is followed with its sign, so that it tells exactly, to first order, what the other
    choice would have given. Each costs as much as a forward derivative. Of many kinks at once only
    the largest are followed, and the rest is slack.

    Args:
        jump: the other value less the chosen one, 0 where there is no doubt.
    """
    places = np.flatnonzero(jump)
    if len(places) > FOLLOWED:
        sizes = np.abs(np.ravel(jump)[places])
        places = places[np.argsort(-sizes, kind="stable")[:FOLLOWED]]
    rest = np.abs(jump)
    shifts = {}
    for place in places:
        index = np.unravel_index(place, jump.shape)
        shift = shifts[next(_numbers)] = np.zeros(jump.shape)
        shift[index] = jump[index]
        rest[index] = 0
    return shifts, rest


def extremum(ufunc: np.ufunc, x: Budgeted, *, axis: Any = 0, keepdims: bool = False) -> Budgeted:
    """Return the largest or smallest along axes.

    It may move by as much as any of the elements that it may be.
    """

    def largest(part: Any, keepdims: bool = keepdims) -> Any:
        whole = shaped(part, x.value.shape)
        return np.maximum.reduce(whole, axis=axis, keepdims=keepdims)  # type: ignore[call-overload]

    value = ufunc.reduce(x.value, axis=axis, keepdims=keepdims)
    if x.exact:
        return Budgeted(value)
    kept = ufunc.reduce(x.value, axis=axis, keepdims=True)
    slack = np.asarray(x.total_slack())
    worst = None if x.variance is None else largest(x.variance, True)
    rivals = _nearly_equal(x, Budgeted(kept, worst, largest(slack, True))) | np.equal(x.value, kept)
    variance = None if x.variance is None else largest(np.where(rivals, x.variance, 0.0))
    moved = largest(np.where(rivals, slack, 0.0)) if np.any(slack) else None
    return Budgeted(value, variance, moved)
