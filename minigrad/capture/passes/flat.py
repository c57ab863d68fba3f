"""Flat memory: the same call on many arrays becomes a single call.

An optimizer makes the same few calls for each parameter. If the parameters lie next to each other
in memory, and no other call depends on the order, one call can do the work for all parameters. The
time of the optimizer's step then depends on the number of elements, not on the number of arrays.
"""

import bisect
from collections import defaultdict
from collections.abc import Iterable, Iterator
from itertools import accumulate, pairwise
from typing import Any

from minigrad.capture.memory import address, spanning
from minigrad.capture.program import EXACT, Buffer, Call, Program, View, contiguous

SMALL = 2**16
"""Bytes: the largest array that is joined with others; larger calls gain nothing."""

PATIENCE = 64
"""The number of calls in a row that cannot be moved after which the search ends."""


def join_calls(program: Program) -> Program:
    """Place arrays next to each other in memory, and make the same call on all of them at once.

    Only calls on memory that is visible outside, and on results of such calls: an optimizer's.
    """
    layout = _Layout()
    calls = _joined(program, layout)
    layout.lay_rest(program)
    return program.with_calls(calls).moved(layout.place)


def _joined(program: Program, layout: "_Layout") -> list[Call]:
    """Return the calls with those that are alike joined, and lay out what they are on."""
    order = _Order(program)
    lasting = program.lasting()
    groups: dict[Any, list[int]] = defaultdict(list)
    for i, call in enumerate(program.calls):
        if (kind := _kind(call)) is not None:
            groups[kind].append(i)

    def is_wanted(i: int) -> bool:
        """Return whether a call has not been joined, and should be."""
        arrays = _arrays(program.calls[i])
        return i not in order.moved and any(b in lasting or b in layout.places for b in arrays)

    first_of: dict[int, list[int]] = {}
    for i, call in enumerate(program.calls):
        group = groups.get(_kind(call), [])
        if len(group) > 1 and is_wanted(i):
            members = [
                i,
                *order.movable(filter(is_wanted, group[bisect.bisect_right(group, i) :]), i),
            ]
            rows = [_arrays(program.calls[j]) for j in members]
            if len(members) > 1 and layout.lay(list(zip(*rows, strict=True))):
                first_of[i] = members
                order.moved |= dict.fromkeys(members, i)
    calls = []
    for i, call in enumerate(program.calls):
        if i in first_of:
            calls.append(layout.joined([program.calls[j] for j in first_of[i]]))
        elif i not in order.moved:
            calls.append(call)
    return calls


def _kind(call: Call) -> Any:
    """Return a key that is equal for calls that can be joined; None if a call cannot be."""
    if call.function not in EXACT or call.options or not call.out.is_whole():
        return None
    if call.out.nbytes > SMALL:
        return None
    kind: list[Any] = [call.function, call.out.dtype]
    for x in call.inputs:
        if not isinstance(x, View):
            kind.append((type(x), repr(x)))
        elif x.shape == ():
            kind.append(x)
        elif x.is_whole() and x.shape == call.out.shape:
            kind.append(x.dtype)
        else:
            return None
    return tuple(kind)


def _arrays(call: Call) -> tuple[Buffer, ...]:
    """Return the buffers of the arrays with axes in a call, the result last."""
    views = (*call.inputs, call.out)
    return tuple(x.buffer for x in views if isinstance(x, View) and x.shape != ())


class _Order:
    """Which calls can be moved: none may cross a call that writes what it uses, or the reverse."""

    def __init__(self, program: Program) -> None:
        self.moved: dict[int, int] = {}
        self._calls = program.calls
        self._readers: dict[Buffer, list[int]] = defaultdict(list)
        self._writers: dict[Buffer, list[int]] = defaultdict(list)
        for i, call in enumerate(program.calls):
            self._writers[call.out.buffer].append(i)
            for view in call.reads():
                self._readers[view.buffer].append(i)

    def movable(self, later: Iterable[int], to: int) -> Iterator[int]:
        """Yield those calls that can be made where the earlier call `to` is.

        The search ends after a number of calls that cannot, so that it takes linear time.
        """
        stuck = 0
        for i in later:
            if self._can_move(i, to):
                yield i
                stuck = 0
            else:
                stuck += 1
                if stuck == PATIENCE:
                    return

    def _can_move(self, i: int, to: int) -> bool:
        call = self._calls[i]
        needed = [j for view in call.reads() for j in self._writers[view.buffer]]
        changed = self._writers[call.out.buffer] + self._readers[call.out.buffer]
        return all(j >= i or self.moved.get(j, j) < to for j in needed + changed)


class _Layout:
    """Which buffers lie next to each other, and in which flat buffer.

    Attributes:
        places: for each such buffer the flat one, and the offset in it.
    """

    def __init__(self) -> None:
        self.places: dict[Buffer, tuple[Buffer, int]] = {}

    def lay(self, columns: list[tuple[Buffer, ...]]) -> bool:
        """Place the buffers of each column next to each other, if that is possible for all."""
        new = dict.fromkeys(c for c in columns if self.places.keys().isdisjoint(c))
        buffers = [buffer for column in new for buffer in column]
        if any(len(set(each)) < len(each) for each in (*columns, buffers)):
            return False
        if not all(column in new or self._is_laid(column) for column in columns):
            return False
        flats = [_flat(column) for column in new]
        if None in flats:
            return False
        for column, flat in zip(new, flats, strict=True):
            assert flat is not None
            offsets = accumulate((buffer.size for buffer in column), initial=0)
            parts = {}
            for buffer, offset in zip(column, offsets, strict=False):
                self.places[buffer] = flat, offset  # of empty ones several have the same offset
                parts[offset] = buffer.name
            flat.parts = parts
        return True

    def lay_rest(self, program: Program) -> None:
        """Place the other small tensors next to each other in the order of their first use.

        A step that uses a network without training it then leaves the parameters in the layout
        that the step that trains it needs.
        """
        rest: dict[Any, dict[Buffer, None]] = defaultdict(dict)
        for view in program.tensors:
            buffer = view.buffer
            small = buffer.memory is None and buffer.size <= SMALL
            if small and buffer not in self.places and view.is_whole():
                rest[view.dtype][buffer] = None
        for buffers in rest.values():
            self.lay([tuple(buffers)])

    def _is_laid(self, column: tuple[Buffer, ...]) -> bool:
        """Return whether these buffers lie next to each other already."""
        flat, start = self.places.get(column[0], (None, 0))
        offsets = accumulate((buffer.size for buffer in column), initial=start)
        places = [(flat, offset) for offset in offsets]
        return all(self.places.get(b) == place for b, place in zip(column, places, strict=False))

    def place(self, view: View) -> View:
        """Return where a view is now."""
        return view.within(*self.places[view.buffer]) if view.buffer in self.places else view

    def joined(self, calls: list[Call]) -> Call:
        """Return the call in place of several."""
        size = sum(call.out.size for call in calls)

        def whole(x: Any) -> Any:
            if not isinstance(x, View) or x.shape == ():
                return x
            return contiguous(x.buffer, x.dtype, (size,))  # which `place` moves to the first's

        first = calls[0]
        return first._replace(inputs=tuple(map(whole, first.inputs)), out=whole(first.out))


def _flat(column: tuple[Buffer, ...]) -> Buffer | None:
    """Return one buffer for several; None if they have memory that is not adjacent."""
    size = sum(buffer.size for buffer in column)
    name = f"{column[0].name} to {column[-1].name}"
    outside = [buffer.memory for buffer in column if buffer.memory is not None]
    if not outside:
        return Buffer(size, name=name)
    if len(outside) < len(column):
        return None
    for before, after in pairwise(column):
        if address(before.memory) + before.size != address(after.memory):
            return None
    return Buffer(size, spanning(outside, size), name=name)
