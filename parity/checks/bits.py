"""Comparing floating point numbers by their bits, and counting how far apart they are."""

from collections.abc import Sequence
from typing import Any, SupportsIndex

import numpy as np

from parity.engines.protocol import Array


def first_difference(actual: dict[str, Array], expected: dict[str, Array]) -> dict[str, Any] | None:
    """Return the first element, in the expected order, whose bits differ; None if there is none.

    A tensor that only one side has, or that differs in shape or dtype, differs in its first
    element, and the entry says what is wrong under `problem`.
    """
    for name in [*expected, *(name for name in actual if name not in expected)]:
        ours, theirs = actual.get(name), expected.get(name)
        if problem := _misfit(ours, theirs):
            return {"parameter": name, "index": [], "problem": problem}
        assert ours is not None
        assert theirs is not None
        different = differ(ours, theirs)
        if different.any():
            index = np.unravel_index(int(different.argmax()), ours.shape)
            return {"parameter": name, **values_at(index, ours, theirs)}
    return None


def values_at(index: Sequence[SupportsIndex], actual: Array, expected: Array) -> dict[str, Any]:
    """Return an element's index and both values, in full, as a part of report.json."""
    at = tuple(map(int, index))
    ours, theirs = (float(array[at]).hex() for array in (actual, expected))
    return {"index": list(at), "actual": ours, "expected": theirs}


def same(actual: Array, expected: Array) -> Array:
    """Return where elements are equal, or both NaN."""
    found: Array = (actual == expected) | ((actual != actual) & (expected != expected))
    return found


def _misfit(actual: Array | None, expected: Array | None) -> str | None:
    """Return why two tensors cannot be compared element by element, None if they can."""
    if actual is None or expected is None:
        return f"only the {'expected' if actual is None else 'actual'} engine has it"
    ours, theirs = (f"{list(array.shape)} {array.dtype}" for array in (actual, expected))
    return None if ours == theirs else f"actual is {ours}, expected {theirs}"


def differ(actual: Array, expected: Array) -> Array:
    """Return where bits differ, so that NaN equals itself and -0.0 is not 0.0."""
    kind = f"u{expected.itemsize}"
    ours, theirs = (np.ascontiguousarray(array).view(kind) for array in (actual, expected))
    different: Array = (ours != theirs).reshape(expected.shape)
    return different


def canonical(state: dict[str, Array]) -> dict[str, Array]:
    """Return the arrays with every NaN replaced by NumPy's."""
    return {
        name: np.where(np.isnan(array), np.nan, array).astype(array.dtype, copy=False)
        for name, array in state.items()
    }


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
