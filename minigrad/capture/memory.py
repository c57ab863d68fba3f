"""The memory of a program: arrays for its views."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np

from minigrad.capture.program import Buffer, View

ALIGNMENT = 64
"""Bytes: a cache line, and the widest vector register."""


Room: TypeAlias = tuple[Any, int]
"""An array of bytes, and from where on in it there is room."""


class _Window:
    """What NumPy makes an array of: a view, by its address, and the owner to keep alive.

    NumPy takes the array for one that owns its memory, since its base is no array: changing one
    array in place then does not count as a change of the others in the same piece of memory.
    """

    __slots__ = ("__array_interface__", "owner")

    def __init__(self, owner: Any, view: View, start: int, read_only: bool) -> None:
        self.owner = owner
        self.__array_interface__ = {
            "version": 3,
            "data": (start + view.offset, read_only),
            "typestr": view.dtype.str,
            "shape": view.shape,
            "strides": view.strides,
        }

    def array(self) -> Any:
        """Return the array; at the first call only, since no more is needed from then on."""
        array = np.asarray(self)
        del self.__array_interface__
        return array


class Memory:
    """Memory for the buffers that have none, and an array for each view."""

    def __init__(self) -> None:
        self._rooms: dict[Buffer, Room] = {}
        self._arrays: dict[View, Any] = {}

    def array(self, view: View) -> Any:
        """Return an array in the memory of the view's buffer, the same one at every call."""
        array = self._arrays.get(view)
        if array is None:
            if view.buffer.memory is not None:
                return self.own_array(view)
            assert view.is_inside(), f"{view} is larger than its memory"
            room, start = self._room(view.buffer)
            array = np.ndarray(view.shape, view.dtype, room, start + view.offset, view.strides)
            self._arrays[view] = array
        return array

    def own_array(self, view: View) -> Any:
        """Return the array of a view, and let it be one that NumPy takes for its memory's owner."""
        assert view.is_inside(), f"{view} is larger than its memory"
        owner = self.owner(view.buffer)
        array = _Window(owner, view, address(owner), not owner.flags.writeable).array()
        self._arrays[view] = array
        return array

    def owner(self, buffer: Buffer) -> Any:
        """Return an array of all the memory of a buffer."""
        if buffer.memory is not None:
            return buffer.memory
        room, start = self._room(buffer)
        return np.ndarray(buffer.size, np.uint8, room, start)

    def _room(self, buffer: Buffer) -> Room:
        room = self._rooms.get(buffer)
        if room is None:
            room = self._rooms[buffer] = aligned(buffer.size)
        return room


def aligned(size: int) -> Room:
    """Return bytes, and from where on there are this many, at a multiple of `ALIGNMENT`."""
    room = np.empty(size + ALIGNMENT, np.uint8)
    return room, -address(room) % ALIGNMENT


def address(array: Any) -> int:
    """Return where in memory the first element of an array is."""
    found: int = array.__array_interface__["data"][0]
    return found


def extent(owner: Any) -> int:
    """Return how many bytes from its first element on an array's elements take up."""
    if owner.size == 0:
        return 0
    last = sum((n - 1) * s for n, s in zip(owner.shape, owner.strides, strict=True) if s > 0)
    return int(last) + int(owner.itemsize)


def spanning(owners: list[Any], size: int) -> Any:
    """Return the bytes from the first of several arrays on, which lie one behind the other."""
    view = View(Buffer(size), np.dtype(np.uint8), (size,), (1,))
    return _Window(owners, view, address(owners[0]), False).array()
