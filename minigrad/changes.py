"""The order of things: nodes and in-place changes are numbered from one sequence."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any, TypeAlias
from weakref import KeyedRef, ref

import numpy as np

Array: TypeAlias = Any
"""Whatever speaks NumPy's protocol: an ndarray, a `Tensor`, or another array type."""

numbers = itertools.count(1)


class Moment:
    """When something happened last, a number from the sequence."""

    __slots__ = ("__weakref__", "number")

    def __init__(self) -> None:
        self.number = 0


class Changes:
    """A logbook of in-place changes: which memory was changed last when.

    "When" is a number from the sequence that also numbers the nodes, so a node can tell whether
    something it saved has been changed since. Memory is known by the `id` of the array that owns
    it, so views need no care. An entry goes when its owner does.
    """

    def __init__(self) -> None:
        self.latest = 0
        self._last: dict[int, int] = {}
        self._together: dict[int, list[ref[Moment]]] = {}  # see `together`
        self._owners: dict[int, KeyedRef[int, Array]] = {}

    def add(self, *arrays: Array) -> None:
        """Note that the memory of these arrays is being changed now."""
        self.latest = next(numbers)
        for array in arrays:
            self._last[id(array) if array.base is None else id(owner(array))] = self.latest
        if len(self._last) != len(self._owners):  # an optimizer's step need not look any closer
            self._watch(arrays)

    def last(self, array: Array) -> int:
        """Return when the memory of `array` was changed last, 0 if never."""
        key = id(owner(array))
        moments = (reference() for reference in self._together.get(key, ()))
        return max([self._last.get(key, 0), *(m.number for m in moments if m is not None)])

    def together(self, arrays: Sequence[Array]) -> Moment:
        """Return when the memory of all these arrays was changed last, now, for the caller to set.

        A captured step changes them at every run, and sets this (and `latest`) in place of `add`.
        """
        self.add(*arrays)
        moment = Moment()
        for key in map(id, map(owner, arrays)):
            known = [one for one in self._together.get(key, ()) if one() is not None]
            self._together[key] = [*known, ref(moment)]
        return moment

    def __len__(self) -> int:
        return len(self._last)

    def _watch(self, arrays: Sequence[Array]) -> None:
        """Have the entries of these arrays dropped with their owners."""
        for whole in map(owner, arrays):
            if id(whole) not in self._owners:
                self._owners[id(whole)] = KeyedRef(whole, self._drop, id(whole))

    def _drop(self, reference: KeyedRef[int, Array]) -> None:
        self._last.pop(reference.key, None)
        self._together.pop(reference.key, None)
        self._owners.pop(reference.key, None)


changes = Changes()
changed = changes.add


def owner(array: Array) -> Array:
    """Return the array whose memory this is."""
    while isinstance(array.base, (np.ndarray, type(array))):
        array = array.base
    return array
