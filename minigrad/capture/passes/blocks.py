"""Blocks: element by element calls on large arrays, one part of the arrays after the other.

Where several such calls follow each other, one block goes through all of them before the next one
does. It stays in the processor's cache on its way, and what only leads from one call to the next
takes up the memory of a block.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from minigrad.capture.passes.exact import EXACT
from minigrad.capture.program import Buffer, Call, Program, View, contiguous

BLOCK = 2**16
"""So many elements fit into a processor's cache, and outlast the beginning of a call."""

ROWS = 2**13
"""So many elements have a block where there is a row."""

MOST = 64
"""Blocks at the most; they become larger in larger arrays."""


def work_in_blocks(program: Program) -> Program:
    """Make element by element calls that follow each other block by block.

    A row that is broadcast to all rows of a matrix, a bias, is written into each row of a block
    first: NumPy adds two arrays of one shape in half the time.
    """
    lasting = program.lasting()
    uses: dict[Buffer, list[int]] = defaultdict(list)
    for i, call in enumerate(program.calls):
        for view in (*call.reads(), call.out):
            if view.buffer.memory is None and view.buffer not in lasting:
                uses[view.buffer].append(i)
    calls: list[Call] = []
    merged: dict[Buffer, Buffer] = {}
    for run in _runs(program.calls):
        calls += run.in_blocks(uses, merged)

    def placed(view: View) -> View:
        return view._replace(buffer=merged[view.buffer]) if view.buffer in merged else view

    return program.with_calls(calls).moved(placed) if merged else program.with_calls(calls)


@dataclass
class _Run:
    """Calls that can be made block by block.

    Attributes:
        start: the number of the first one.
        size: how many elements each computes, one by one; None if it is one call that does not.
        width: the length of the rows that are broadcast; None if there are none.
    """

    start: int
    size: int | None
    width: int | None = None
    calls: list[Call] = field(default_factory=list)
    places: dict[Buffer, View] = field(default_factory=dict)
    written: set[Buffer] = field(default_factory=set)

    def takes(self, call: Call) -> bool:
        """Add a call if it fits."""
        if _size(call) != self.size or (self.size is None and self.calls):
            return False
        width = next((x.size for x in call.inputs if _is_row(x, call.out)), None)
        if None not in (width, self.width) and width != self.width:
            return False
        views = [*call.reads(), call.out]
        for view in views:
            place = self.places.get(view.buffer)
            touched = view.buffer in self.written or view.buffer is call.out.buffer
            if place is not None and touched and not _is_same_place(view, place):
                return False
        self.calls.append(call)
        self.width = self.width or width
        for view in views:
            place = self.places.setdefault(view.buffer, view)
            if not _is_same_place(view, place):
                self.places[view.buffer] = NOWHERE
        self.written.add(call.out.buffer)
        return True

    def in_blocks(
        self, uses: dict[Buffer, list[int]], merged: dict[Buffer, Buffer]
    ) -> Iterator[Call]:
        """Yield the calls for one block after the other.

        Args:
            uses: for each intermediate result the numbers of the calls that read or write it.
            merged: is added to: results, with those whose memory they take.
        """
        size, width = self.size, self.width
        if size is None or (width is None and size < 2 * BLOCK):
            yield from self.calls
            return
        length = max(BLOCK if width is None else ROWS, -(-size // MOST))
        length = min(max(length // (width or 1), 1) * (width or 1), size)
        small: dict[Buffer, Buffer] = {}
        if length < size:
            small = self._small(length, uses)
            self._merge(small, uses, merged)
        rows: dict[View, Buffer] = {}
        for call in self.calls:
            for x in call.inputs:
                if _is_row(x, call.out) and x not in rows:
                    rows[x] = Buffer(length * x.dtype.itemsize, name=x.buffer.name)
                    out = contiguous(rows[x], x.dtype, (length // x.size, x.size))
                    yield call._replace(function=np.copyto, inputs=(x,), out=out)
        for start in range(0, size, length):
            count = min(length, size - start)
            for call in self.calls:
                shape = call.out.shape if count == size else (count,)

                def part(
                    x: Any, out: View = call.out, shape: Any = shape, start: int = start
                ) -> Any:
                    if not isinstance(x, View) or x.shape == ():
                        return x
                    if _is_row(x, out):
                        return contiguous(rows[x], x.dtype, shape)
                    if x.buffer in small:
                        return contiguous(small[x.buffer], x.dtype, shape)
                    return contiguous(x.buffer, x.dtype, shape, x.offset + start * x.dtype.itemsize)

                yield call._replace(inputs=tuple(map(part, call.inputs)), out=part(call.out))

    def _small(self, length: int, uses: dict[Buffer, list[int]]) -> dict[Buffer, Buffer]:
        """Return buffers of a block's size in place of those that only these calls use."""
        end = self.start + len(self.calls)
        return {
            out.buffer: Buffer(length * out.dtype.itemsize, name=out.buffer.name)
            for out in (call.out for call in self.calls)
            if out.buffer in uses
            and self.start <= uses[out.buffer][0] <= uses[out.buffer][-1] < end
        }

    def _merge(
        self,
        small: dict[Buffer, Buffer],
        uses: dict[Buffer, list[int]],
        merged: dict[Buffer, Buffer],
    ) -> None:
        """Let results take the memory of what these calls are the last to read."""
        free: list[Buffer] = []
        for i, call in enumerate(self.calls, self.start):
            for view in call.reads():
                buffer = view.buffer
                known = buffer in uses and buffer not in small and buffer not in free
                # Not where a later block reads what an earlier one would have overwritten.
                aligned = self.places[buffer] is not NOWHERE
                if known and aligned and view.is_whole() and uses[buffer][-1] == i:
                    free.append(buffer)
            out = call.out.buffer
            if out in uses and out not in small and call.out.is_whole() and uses[out][0] == i:
                given = next((buffer for buffer in free if buffer.size == out.size), None)
                if given is not None:
                    free.remove(given)
                    merged[out] = merged.get(given, given)


NOWHERE = View(Buffer(0), np.dtype(np.bool_), (), (), -1)
"""In place of where a buffer is used, if calls use different parts of it for an element."""


def _runs(calls: tuple[Call, ...]) -> Iterator[_Run]:
    """Yield all calls, together with those that can be made block by block with them."""
    run: _Run | None = None
    for i, call in enumerate(calls):
        if run is None or not run.takes(call):
            if run is not None:
                yield run
            run = _Run(i, _size(call))
            run.takes(call)
    if run is not None:
        yield run


def _is_same_place(x: View, y: View) -> bool:
    """Return whether each element of one is where the same element of the other is."""
    return x.offset == y.offset and x.size == y.size and x.dtype.itemsize == y.dtype.itemsize


def _size(call: Call) -> int | None:
    """Return how many elements a call computes, if one by one and in the order of memory."""
    out = call.out
    if call.function not in EXACT or call.options or out.shape == () or not out.is_contiguous():
        return None
    for x in call.inputs:
        if not isinstance(x, View):
            continue
        if x.buffer is out.buffer and not _is_same_place(x, out):
            return None
        alike = x.shape == out.shape and x.is_contiguous()
        if not (alike or x.shape == () or _is_row(x, out)):
            return None
    return out.size


def _is_row(x: Any, out: View) -> bool:
    """Return whether x is broadcast to all rows of the result."""
    if not isinstance(x, View) or len(x.shape) != 1 or len(out.shape) < 2:
        return False
    return x.shape[0] == out.shape[-1] > 1 and out.size > x.size and x.is_contiguous()
