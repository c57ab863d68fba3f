"""Arrays in memory that several processes share."""

import math
from collections.abc import Mapping, Sequence
from multiprocessing.shared_memory import SharedMemory
from typing import Any, Self

import numpy as np

from parity.engines.protocol import Array


class Exchange:
    """Rooms of arrays: every room has arrays of the same names and shapes.

    One process makes it and uses it as a context manager, which frees the memory. Other processes
    receive it as an argument of a call, and `close` it.

    Args:
        shapes: the shape of every array.
        dtype: of all of them.
        rooms: the names of the rooms.
    """

    def __init__(
        self, shapes: Mapping[str, tuple[int, ...]], dtype: str, rooms: Sequence[str]
    ) -> None:
        self._layout = (dict(shapes), np.dtype(dtype), tuple(rooms))
        size = sum(map(math.prod, shapes.values())) * np.dtype(dtype).itemsize
        self._memory = SharedMemory(create=True, size=max(1, size * len(rooms)))
        self._views: dict[str, dict[str, Array]] = {}

    def __contains__(self, room: str) -> bool:
        return room in self._layout[2]

    def room(self, name: str) -> dict[str, Array]:
        """Return the arrays of a room, which are the memory itself."""
        if name not in self._views:
            shapes, dtype, rooms = self._layout
            sizes = [math.prod(shape) * dtype.itemsize for shape in shapes.values()]
            offset = rooms.index(name) * sum(sizes)
            self._views[name] = room = {}
            for (key, shape), size in zip(shapes.items(), sizes, strict=True):
                room[key] = np.ndarray(shape, dtype, self._memory.buf, offset)
                offset += size
        return self._views[name]

    def close(self) -> None:
        """Release the memory; the rooms' arrays must not be used any more."""
        self._views.clear()
        self._memory.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self._memory.unlink()
        self.close()

    def __getstate__(self) -> Any:
        return self._layout, self._memory.name

    def __setstate__(self, state: Any) -> None:
        self._layout, name = state
        self._memory, self._views = SharedMemory(name), {}
