"""How far floating point numbers are from each other, counted in numbers."""

from __future__ import annotations

import numpy as np

from parity.engines.protocol import Array


def ulp_distance(actual: Array, expected: Array) -> Array:
    """Return how many floating point numbers lie between the elements; NaNs are 0 apart."""
    kind = {4: np.int32, 8: np.int64}[expected.itemsize]
    ours, theirs = (
        _ordered(np.ascontiguousarray(array).view(kind)) for array in (actual, expected)
    )
    both_nan = np.isnan(actual) & np.isnan(expected)
    # In uint64 the larger less the smaller is exact, from one end of float64 to the other.
    distance = np.maximum(ours, theirs).view(np.uint64) - np.minimum(ours, theirs).view(np.uint64)
    result: Array = np.where(both_nan, 0.0, distance.astype(np.float64))
    return result


def _ordered(bits: Array) -> Array:
    """Map the bits of floats to int64 in the same order, both zeros to 0."""
    magnitude = (bits & np.iinfo(bits.dtype).max).astype(np.int64)
    return np.where(bits < 0, -magnitude, magnitude)
