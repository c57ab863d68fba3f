"""Memory that is not needed any more is used for something else."""

from __future__ import annotations

import bisect
from collections import defaultdict

import numpy as np

from minigrad.program.memory import ALIGNMENT
from minigrad.program.program import Buffer, Call, Program, View

SLACK = 1.25
"""How much larger than needed the memory may be that is used again."""


def reuse_memory(program: Program) -> Program:
    """Give all results that do not outlive the run places in one buffer.

    A result takes the place of one that is not needed any more. That is smaller, and it is in
    the processor's cache. An element by element call writes its result over the input that
    it is the last to read.
    """
    lasting = program.lasting()
    last: dict[Buffer, int] = {}  # the last call that needs it
    for i, call in enumerate(program.calls):
        for view in (*call.reads(), call.out):
            if view.buffer.memory is None and view.buffer not in lasting:
                last[view.buffer] = i
    arena = Buffer(0, name="temporaries")
    heap = _Heap()
    offsets: dict[Buffer, int] = {}
    ending: dict[int, list[Buffer]] = defaultdict(list)
    for buffer, i in last.items():
        ending[i].append(buffer)
    for i, call in enumerate(program.calls):
        done = ending[i]
        out = call.out.buffer
        if out in last and out not in offsets:
            given = _overwritten(call, done, offsets)
            if given is not None:
                offsets[out] = offsets[given]
                heap.sizes[out] = heap.sizes[given]
                done = [buffer for buffer in done if buffer is not given]
            else:
                offsets[out] = heap.take(out)
        for buffer in done:
            heap.give_back(buffer, offsets[buffer])
    arena.size = heap.end

    def placed(view: View) -> View:
        return view.within(arena, offsets[view.buffer]) if view.buffer in offsets else view

    return program.moved(placed)


def _overwritten(call: Call, done: list[Buffer], offsets: dict[Buffer, int]) -> Buffer | None:
    """Return the input that an element by element call may write its result over."""
    if not isinstance(call.function, np.ufunc) or call.function is np.matmul:
        return None
    views = [x for x in call.inputs if isinstance(x, View)]
    for view in views:
        alike = view[1:] == call.out[1:]
        if (
            alike
            and view.is_whole()
            and view.buffer in done
            and view.buffer in offsets
            and all(x == view for x in views if x.buffer is view.buffer)
        ):
            return view.buffer
    return None


class _Heap:
    """Places in memory, given out and taken back."""

    def __init__(self) -> None:
        self.end = 0
        self.sizes: dict[Buffer, int] = {}  # of what each buffer was given
        self._free: list[tuple[int, int]] = []  # size and offset, in order

    def take(self, buffer: Buffer) -> int:
        """Return the offset of a place for this buffer."""
        size = max(-(-buffer.size // ALIGNMENT), 1) * ALIGNMENT
        i = bisect.bisect_left(self._free, (size, 0))
        if i < len(self._free) and self._free[i][0] <= size * SLACK:
            size, offset = self._free.pop(i)
        else:
            offset = self.end
            self.end += size
        self.sizes[buffer] = size
        return offset

    def give_back(self, buffer: Buffer, offset: int) -> None:
        """Take back the place of a buffer."""
        bisect.insort(self._free, (self.sizes[buffer], offset))
