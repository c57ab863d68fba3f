"""Shrinking: the smallest case that still fails, found by leaving things out and judging again.

Tried in turn, until nothing can be left out any more: steps, momentum, layers, samples, units,
bits of the numbers. Of lists, halves are left out first, then halves of these, at last
single elements (compare Zeller and Hildebrandt 2002, *Simplifying and Isolating Failure-Inducing
Input*). Every candidate is a network like any other and is judged by the real verdict, whose budget
is computed anew; that it fails is all that counts.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from parity.cases.case import Case
from parity.cases.shrink_steps import (
    SAMPLES,
    count,
    keep,
    plainer,
    shallower,
    steps,
    with_steps,
)
from parity.engines.protocol import Array
from parity.errors import EngineFailedError, UsageError

VerdictOn = Callable[[Case], Mapping[str, Any]]
"""Returns the verdict on a case. May raise UsageError or EngineFailedError: an engine
cannot do what the case asks."""

MOST_TRIALS = 400
MOST_SECONDS = 10.0

FEW_BITS = (1, 2, 4, 8)
"""Numbers of significant bits that numbers are rounded to."""


def shrink(
    case: Case, verdict_on: VerdictOn, trials: int = MOST_TRIALS, seconds: float = MOST_SECONDS
) -> Case:
    """Return a case of the same kind that fails and from which nothing can be left out any more.

    Deterministic, unless time runs out.

    Args:
        case: one that fails.
        verdict_on: returns the verdict that it fails.
        trials: call that no more often than this.
        seconds: begin no trial after this time.

    Returns:
        The case, with the verdict on it. `shrunk` in its origin tells of the search: the number of
        `trials`, of `reductions`, which are trials that failed, and what `stopped` it: "nothing
        more to leave out", "trials" or "time".
    """
    search = _Search(case, verdict_on, trials, time.monotonic() + seconds)
    while search.stopped is None:
        before = search.case
        search.fewer_steps()
        search.first_of(plainer)
        search.first_of(shallower)
        for axis in range(SAMPLES, len(search.case.task.sizes)):
            search.fewest(axis)
        search.rounder()
        if search.case is before:
            break
    told = {
        "trials": search.trials,
        "reductions": search.reductions,
        "stopped": search.stopped or "nothing more to leave out",
    }
    return replace(search.case, origin={**search.case.origin, "shrunk": told})


class _Search:
    """The smallest case so far, and how much of the search is left."""

    def __init__(self, case: Case, verdict_on: VerdictOn, most: int, deadline_s: float) -> None:
        self.case = case
        self.trials = self.reductions = 0
        self.stopped: str | None = None
        self._verdict_on, self._most, self._deadline_s = verdict_on, most, deadline_s

    def fails(self, candidate: Case) -> bool:
        """Judge a candidate; keep it if it fails."""
        if self.trials >= self._most:
            self.stopped = "trials"
        elif time.monotonic() > self._deadline_s:
            self.stopped = "time"
        if self.stopped is not None:
            return False
        self.trials += 1
        try:
            verdict = self._verdict_on(candidate)
        except (UsageError, EngineFailedError):  # another failure than the one that is sought
            return False
        before = self.case.verdict
        if verdict["passed"] is not False or _located(verdict) != _located(before):
            return False
        if verdict.get("at_zero") and not before.get("at_zero"):  # there little of a case matters
            return False
        self.reductions += 1
        self.case = replace(candidate, verdict=dict(verdict))
        return True

    def first_of(self, candidates: Callable[[Case], Iterator[Case]]) -> None:
        """Replace the case by the first candidate that fails, as long as there is one."""
        while any(self.fails(candidate) for candidate in candidates(self.case)):
            pass

    def fewest(self, axis: int) -> None:
        """Keep as few samples, or units of a layer, as will do, at least one."""
        whole = self.case
        kept = list(range(count(whole, axis)))
        size = len(kept)
        while size > 1:
            size = (size + 1) // 2
            first = 0
            while first < len(kept):
                rest = kept[:first] + kept[first + size :]
                if rest and self.fails(keep(whole, axis, rest)):
                    kept = rest
                else:
                    first += size

    def fewer_steps(self) -> None:
        """Find few steps that will do: doubled from 1 until they fail, then halved in between."""
        passing, failing = 0, 1
        while failing < steps(self.case) and not self.fails(with_steps(self.case, failing)):
            passing, failing = failing, 2 * failing
        failing = steps(self.case)
        while failing - passing > 1:
            middle = (passing + failing) // 2
            if self.fails(with_steps(self.case, middle)):
                failing = middle
            else:
                passing = middle

    def rounder(self) -> None:
        """Round the numbers to few bits: all of them, then those of single arrays, or to zero."""
        if self.case.start is None:
            return
        every = list(self.case.tensors)
        for names in (every, *([name] for name in every)):
            for bits in FEW_BITS if len(names) > 1 else (0, *FEW_BITS):
                if self._rounded(names, bits):
                    break

    def _rounded(self, names: Sequence[str], bits: int) -> bool:
        """Return whether these arrays have numbers of so few bits, now if not before."""
        before = self.case.tensors
        rounded = {name: round_to(before[name], bits) for name in names}
        same = all(np.array_equal(rounded[n], before[n], equal_nan=True) for n in names)
        return same or self.fails(self.case.with_tensors(before | rounded))


def _located(verdict: Mapping[str, Any]) -> bool:
    """Return whether a first difference was found: one in the final MSE alone says little."""
    return verdict.get("first_difference") is not None


def round_to(array: Array, bits: int) -> Array:
    """Return the numbers rounded to some significant bits, 0 for none: NaN and infinities stay."""
    if bits == 0:
        return np.zeros_like(array)
    fraction, exponent = np.frexp(array)
    with np.errstate(all="ignore"):
        rounded: Array = np.ldexp(np.round(np.ldexp(fraction, bits)), exponent - bits)
    return rounded
