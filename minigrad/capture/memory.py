"""The memory of a program: which results share it, and an array for each view."""

import bisect
from collections import defaultdict
from operator import attrgetter
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.lib.array_utils import byte_bounds

from minigrad.capture.program import Buffer, Call, Program, View

ALIGNMENT = 64
"""Bytes: a cache line, and the widest vector register."""


def _window(owner: Any, view: View, start: int, read_only: bool = False) -> Any:
    """Return an array at the place of a view in memory that begins at an address.

    Its base, which keeps the memory's owner alive, is no array. So minigrad takes it for the owner
    of its memory, and a change in place does not count as a change of the other arrays in the same
    buffer.
    """
    place = {
        "version": 3,
        "data": (start + view.offset, read_only),
        "typestr": view.dtype.str,
        "shape": view.shape,
        "strides": view.strides,
    }
    base = SimpleNamespace(owner=owner, __array_interface__=place)
    array = np.asarray(base)
    del base.__array_interface__  # it would take memory as long as the array does
    return array


class Memory:
    """Memory for the buffers that have none, and an array for each view."""

    def __init__(self) -> None:
        self._allocated: dict[Buffer, Any] = {}
        self._arrays: dict[View, Any] = {}

    def array(self, view: View) -> Any:
        """Return an array in the memory of the view's buffer, the same one at every call."""
        array = self._arrays.get(view)
        if array is None:
            if view.buffer.memory is not None:
                return self.own_array(view)
            assert view.is_inside(), f"{view} is larger than its memory"
            owner = self.owner(view.buffer)
            array = np.ndarray(view.shape, view.dtype, owner, view.offset, view.strides)
            self._arrays[view] = array
        return array

    def own_array(self, view: View) -> Any:
        """Return the array of a view; it counts as the owner of its memory, see `_window`."""
        assert view.is_inside(), f"{view} is larger than its memory"
        owner = self.owner(view.buffer)
        array = _window(owner, view, address(owner), not owner.flags.writeable)
        self._arrays[view] = array
        return array

    def owner(self, buffer: Buffer) -> Any:
        """Return an array of all the memory of a buffer, which is allocated if it has none."""
        if buffer.memory is not None:
            return buffer.memory
        owner = self._allocated.get(buffer)
        if owner is None:
            owner = self._allocated[buffer] = aligned(buffer.size)
        return owner


def aligned(size: int) -> Any:
    """Return an array of this many bytes that begins at a multiple of `ALIGNMENT`."""
    room = np.empty(size + ALIGNMENT, np.uint8)
    start = -address(room) % ALIGNMENT
    return room[start : start + size]


def address(array: Any) -> int:
    """Return where in memory the first element of an array is."""
    return int(array.__array_interface__["data"][0])


def extent(owner: Any) -> int:
    """Return the number of bytes from an array's first element to the end of its last."""
    return int(byte_bounds(owner)[1]) - address(owner) if owner.size else 0


def spanning(owners: list[Any], size: int) -> Any:
    """Return one array of bytes over several arrays that lie next to each other in memory."""
    view = View(Buffer(size), np.dtype(np.uint8), (size,), (1,))
    return _window(owners, view, address(owners[0]))


# ---- memory that is used again --------------------------------------------------------------

SLACK = 1.25
"""The largest ratio of a reused piece of memory to what is needed."""


def reuse_memory(program: Program) -> Program:
    """Let intermediate results share memory.

    A result takes the place of one that is not needed any more, which is likely to be in the
    processor's cache. An element-wise call writes its result over an input that no later call
    reads.
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
    """Return the input that an element-wise call may overwrite with its result."""
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


_size = attrgetter("size")


class _Free:
    """The free pieces of memory, the smallest first."""

    def __init__(self) -> None:
        self._pieces: list[Buffer] = []

    def take(self, buffer: Buffer) -> Buffer:
        """Return a free piece that fits a buffer, or a new one."""
        i = bisect.bisect_left(self._pieces, buffer.size, key=_size)
        if i < len(self._pieces) and self._pieces[i].size <= max(buffer.size, ALIGNMENT) * SLACK:
            return self._pieces.pop(i)
        return Buffer(buffer.size, name=buffer.name)

    def give_back(self, piece: Buffer) -> None:
        """Take back a piece."""
        bisect.insort(self._pieces, piece, key=_size)
