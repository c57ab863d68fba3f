"""Kinks: where values that are compared are closer than their own errors.

Two correct engines may then choose differently, and neither is wrong. A ReLU whose input is zero
within its rounding error passes the gradient on in one engine and not in the other.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import numpy as np

NEAR = 9.0
"""Values closer than this many standard deviations of their joint error are in doubt.

It is z·√2 and more for the z that verdicts use: two engines' values differ by √2 deviations.
"""

FOLLOWED = 8
"""So many kinks of a single choice are followed one by one."""

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


def counted(doubt: Any) -> Any:
    """Count the doubtful elements of a mask; return them as slack, 1 where in doubt, or None."""
    found = int(np.count_nonzero(doubt))
    if found == 0:
        return None
    kinks = _active.get()
    if kinks is not None:
        kinks.count += found
    return doubt.astype(np.float64)


def shifts(jump: Any) -> tuple[dict[int, Any], Any]:
    """Follow what the other choice changes at each kink: the numbered shifts, and the rest.

    A shift is followed with its sign, so that it tells exactly, to first order, what the other
    choice would have given. Each costs as much as a derivative forward; of many kinks at once only
    the largest are followed, and the rest is a slack.

    Args:
        jump: other value less chosen one, 0 where there is no doubt.
    """
    places = np.flatnonzero(jump)
    if len(places) > FOLLOWED:
        sizes = np.abs(np.ravel(jump)[places])
        places = places[np.argsort(-sizes, kind="stable")[:FOLLOWED]]
    rest = np.abs(jump)
    followed = {}
    for place in places:
        index = np.unravel_index(place, jump.shape)
        shift = followed[next(_numbers)] = np.zeros(jump.shape)
        shift[index] = jump[index]
        rest[index] = 0
    return followed, rest
