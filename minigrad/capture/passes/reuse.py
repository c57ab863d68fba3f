"""Memory that is not needed any more is used for something else."""

from __future__ import annotations

import bisect
from collections import defaultdict

import numpy as np

from minigrad.capture.memory import ALIGNMENT
from minigrad.capture.program import Buffer, Call, Program, View

SLACK = 1.25
"""How much larger than needed the memory may be that is used again."""


def reuse_memory(program: Program) -> Program:
    """Let results that do not outlive the run share memory.

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
    ending: dict[int, list[Buffer]] = defaultdict(list)
    for buffer, i in last.items():
        ending[i].append(buffer)
    places: dict[Buffer, Buffer] = {}
    free = _Free()
    for i, call in enumerate(program.calls):
        done = ending[i]
        out = call.out.buffer
        if out in last and out not in places:
            given = _overwritten(call, done, places)
            if given is not None:
                places[out] = places[given]
                done = [buffer for buffer in done if buffer is not given]
            else:
                places[out] = free.take(out)
        for buffer in done:
            free.give_back(places[buffer])

    def placed(view: View) -> View:
        return view.within(places[view.buffer]) if view.buffer in places else view

    return program.moved(placed)


def _overwritten(call: Call, done: list[Buffer], places: dict[Buffer, Buffer]) -> Buffer | None:
    """Return the input that an element by element call may write its result over."""
    if not isinstance(call.function, np.ufunc) or call.function is np.matmul:
        return None
    views = [x for x in call.inputs if isinstance(x, View)]
    for view in views:
        if (
            view[1:] == call.out[1:]
            and view.is_whole()
            and call.out.is_whole()
            and view.buffer in done
            and view.buffer in places
            and all(x == view for x in views if x.buffer is view.buffer)
        ):
            return view.buffer
    return None


class _Free:
    """Memory that is not needed at the moment, the smallest pieces first."""

    def __init__(self) -> None:
        self._pieces: list[Buffer] = []

    def take(self, buffer: Buffer) -> Buffer:
        """Return a piece for what is in this buffer, a new one if there is none that fits."""
        i = bisect.bisect_left(self._pieces, buffer.size, key=_size)
        if i < len(self._pieces) and self._pieces[i].size <= max(buffer.size, ALIGNMENT) * SLACK:
            return self._pieces.pop(i)
        return Buffer(buffer.size, name=buffer.name)

    def give_back(self, piece: Buffer) -> None:
        """Take back a piece."""
        bisect.insort(self._pieces, piece, key=_size)


def _size(buffer: Buffer) -> int:
    return buffer.size
