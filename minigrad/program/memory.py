"""The memory of a program: arrays for its views."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.program.program import Buffer, View

ALIGNMENT = 64
"""Bytes: a cache line, and the widest vector register."""


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
        self._owners: dict[Buffer, Any] = {}
        self._arrays: dict[View, Any] = {}

    def array(self, view: View) -> Any:
        """Return an array in the memory of the view's buffer, the same one at every call."""
        array = self._arrays.get(view)
        if array is None:
            assert view.is_inside(), f"{view} is larger than its memory"
            owner = self.owner(view.buffer)
            array = _Window(owner, view, address(owner), not owner.flags.writeable).array()
            self._arrays[view] = array
        return array

    def owner(self, buffer: Buffer) -> Any:
        """Return the array that owns the memory of a buffer."""
        owner = self._owners.get(buffer)
        if owner is None:
            owner = buffer.memory
            if owner is None:
                owner = aligned(buffer.size)
            self._owners[buffer] = owner
        return owner


def aligned(size: int) -> Any:
    """Return this many bytes from an address that is a multiple of `ALIGNMENT` on."""
    raw = np.empty(size + ALIGNMENT, np.uint8)
    start = -address(raw) % ALIGNMENT
    return raw[start : start + size]


def address(array: Any) -> int:
    """Return where in memory the first element of an array is."""
    found: int = array.__array_interface__["data"][0]
    return found


def spanning(owners: list[Any], size: int) -> Any:
    """Return the bytes from the first of several arrays on, which lie one behind the other."""
    view = View(Buffer(size), np.dtype(np.uint8), (size,), (1,))
    return _Window(owners, view, address(owners[0]), False).array()
