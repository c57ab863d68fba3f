"""`Size`: the shape of a tensor."""

from __future__ import annotations

import math
from collections.abc import Iterable
from operator import index
from typing import Any, Self, SupportsIndex, overload

import numpy as np


class Size(tuple[int, ...]):
    """The shape of a tensor, printed as torch prints it; so is what is cut or joined from it."""

    __slots__ = ()
    __array_priority__ = -1  # above NumPy's numbers: np.int64(2) * size, too, repeats it

    def __new__(cls, iterable: Iterable[SupportsIndex] = (), /) -> Self:
        """Return these lengths as a shape; raise a TypeError where one is no int."""
        return tuple.__new__(cls, map(index, iterable))

    def __repr__(self) -> str:
        return f"torch.Size({list(self)})"

    def numel(self) -> int:
        """Return the number of elements of a tensor of this shape."""
        return math.prod(self)

    @overload
    def __getitem__(self, place: SupportsIndex) -> int: ...

    @overload
    def __getitem__(self, place: slice) -> Size: ...

    def __getitem__(self, place: Any) -> Any:
        found = tuple.__getitem__(self, place)
        return Size(found) if isinstance(place, slice) else found

    def __add__(self, other: Any) -> Any:
        return Size((*self, *other)) if isinstance(other, tuple) else NotImplemented

    def __radd__(self, other: Any) -> Any:
        return Size((*other, *self)) if isinstance(other, tuple) else NotImplemented

    def __mul__(self, times: Any) -> Any:
        if isinstance(times, np.ndarray):
            return NotImplemented  # NumPy multiplies the lengths
        return Size(tuple.__mul__(self, times))

    __rmul__ = __mul__
