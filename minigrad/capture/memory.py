"""The memory of a program: which results share it, and an array for each view."""

import bisect
from collections import defaultdict
from collections.abc import Callable
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
    base = _Place(owner, place)
    array = np.asarray(base)
    del base.__array_interface__  # it would take memory as long as the array does
    return array


class _Place:
    """A place in memory, which NumPy can make an array of."""

    __slots__ = ("__array_interface__", "owner")

    def __init__(self, owner: Any, place: dict[str, Any]) -> None:
        self.owner = owner
        self.__array_interface__ = place


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


def placement(program: Program) -> Callable[[View], View]:
    """Return a function that moves views of intermediate results to a buffer that they share.

    A result takes the place of others that are not needed any more, which is likely to be in the
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
    places: dict[Buffer, int] = {}  # where in the shared buffer each begins
    shared = _Shared()
    for i, call in enumerate(program.calls):
        done = ending[i]
        out = call.out.buffer
        if out in last and out not in places:
            given = _overwritten(call, done, places)
            if given is not None:
                places[out] = places[given]
                done = [buffer for buffer in done if buffer is not given]
            else:
                places[out] = shared.take(out.size)
        for buffer in done:
            shared.give_back(places[buffer], buffer.size)

    def placed(view: View) -> View:
        start = places.get(view.buffer)
        return view if start is None else view.within(shared.buffer, start)

    return placed


def _overwritten(call: Call, done: list[Buffer], places: dict[Buffer, int]) -> Buffer | None:
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


class _Shared:
    """A buffer that grows, and the free pieces of it.

    Attributes:
        buffer: the whole.
    """

    def __init__(self) -> None:
        self.buffer = Buffer(0, name="results")
        self._free: list[tuple[int, int]] = []  # start and end of each piece, in order

    def take(self, size: int) -> int:
        """Return where the smallest free piece begins that is large enough."""
        size = _rounded(size)
        fitting = [piece for piece in self._free if piece[1] - piece[0] >= size]
        if not fitting:
            self._grow(size)
            fitting = self._free[-1:]
        start, end = min(fitting, key=lambda piece: piece[1] - piece[0])
        i = self._free.index((start, end))
        self._free[i : i + 1] = [(start + size, end)] if start + size < end else []
        return start

    def _grow(self, size: int) -> None:
        """Have a free piece of this size at the end."""
        end = self.buffer.size
        last = self._free[-1] if self._free and self._free[-1][1] == end else (end, end)
        self.buffer.size = last[0] + size
        self.give_back(end, self.buffer.size - end)

    def give_back(self, start: int, size: int) -> None:
        """Take back a piece, which becomes one with those beside it."""
        end = start + _rounded(size)
        i = bisect.bisect_left(self._free, (start, end))
        if i < len(self._free) and self._free[i][0] == end:
            _, end = self._free.pop(i)
        if i > 0 and self._free[i - 1][1] == start:
            i -= 1
            start, _ = self._free.pop(i)
        self._free.insert(i, (start, end))


def _rounded(size: int) -> int:
    return max(-(-size // ALIGNMENT), 1) * ALIGNMENT
