"""The generator's integers: its bits, and what is counted or put in order with them."""

import math
import operator
import threading
from collections.abc import Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from minigrad.temporary import locked

Shape = int | Sequence[int]


class Integers:
    """What a `Generator` draws without making fractions of it."""

    _engine: np.random.MT19937
    _lock: threading.RLock

    def integers(self, shape: Shape, low: int, high: int) -> NDArray[np.int64]:
        """Return integers from [low, high), as `torch.randint` draws them.

        Each is the rest of 32 random bits, of 64 for a range of 2**28 and more, divided by the
        range: the smaller ones are a little more likely.

        Raises:
            TypeError: the shape is not made of ints.
            RuntimeError: ``low >= high``, or a dimension is negative.
        """
        dimensions, size = dimensions_of("integers", shape)
        if low >= high:
            raise RuntimeError(f"integers expects low < high, but got low = {low}, high = {high}")
        bits = 64 if high - low >= 2**28 else 32
        words = locked(self._lock, partial(self._words, size, bits))
        rests = (words % np.uint64(high - low)).view(np.int64)
        return (rests + np.int64(low)).reshape(dimensions)

    def permutation(self, n: int) -> NDArray[np.int64]:
        """Return the numbers from 0 to n - 1 in random order, as `torch.randperm` draws them.

        Fisher and Yates' shuffle: each place is exchanged with one that is not behind it.

        Raises:
            RuntimeError: n is negative.
            NotImplementedError: it is so large that torch draws in another way.
        """
        if n < 0:
            raise RuntimeError(f"randperm: n must be non-negative, got {n}")
        if n >= (2**32 - 1) // 20:
            raise NotImplementedError(f"randperm: n = {n} is too large: at most 200,000,000")
        words = locked(self._lock, lambda: self._engine.random_raw(max(n - 1, 0)))
        order = list(range(n))
        places = (words % np.arange(n, 1, -1, dtype=np.uint64)).tolist() if n > 1 else []
        for i, further in enumerate(places):
            order[i], order[i + further] = order[i + further], order[i]
        return np.array(order, np.int64)

    def integer(self) -> int:
        """Return a number from [0, 2**63), as torch draws the seeds of other generators."""
        high, low = locked(self._lock, lambda: self._engine.random_raw(2)).tolist()
        return int(high % 2**31 << 32 | low)

    def _words(self, count: int, bits: int) -> NDArray[np.uint64]:
        """Return words of 32 or 64 random bits."""
        if bits == 32:
            return self._engine.random_raw(count)
        halves = self._engine.random_raw(2 * count)  # the upper one is drawn first
        return halves[0::2] << np.uint64(32) | halves[1::2]


def dimensions_of(name: str, shape: Shape) -> tuple[tuple[int, ...], int]:
    """Return the shape as a tuple, and its number of elements."""
    sizes = (shape,) if isinstance(shape, (int, np.integer)) else shape
    if not isinstance(sizes, Sequence) or not all(hasattr(size, "__index__") for size in sizes):
        raise TypeError(f"{name}: the shape must be an int or a sequence of them, not {shape!r}")
    dimensions = tuple(operator.index(size) for size in sizes)
    if any(size < 0 for size in dimensions):
        raise RuntimeError(f"{name}: a dimension cannot be negative, but shape is {dimensions}")
    return dimensions, math.prod(dimensions)
