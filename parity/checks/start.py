"""start: data and initial parameters are identical in every bit."""

from __future__ import annotations

from typing import Any

import numpy as np

from parity.checks.words import Document
from parity.engines.protocol import Array, Start


def check_start(actual: Start, expected: Start) -> dict[str, Any]:
    """Compare what two engines drew from the same seed."""
    data = first_difference({"x": actual.x, "y": actual.y}, {"x": expected.x, "y": expected.y})
    parameters = first_difference(actual.parameters, expected.parameters)
    return {
        "passed": data is None and parameters is None,
        "data_identical": data is None,
        "parameters_identical": parameters is None,
        "first_difference": data or parameters,
    }


def describe_start(verdict: Document, architecture: Document, settings: Document) -> str:
    """Return what is equal in every bit, or what is not."""
    apart = [what for what in ("data", "parameters") if not verdict[f"{what}_identical"]]
    return f"{' and '.join(apart)} differ" if apart else "data and parameters equal in every bit"


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
        different = _bits(ours) != _bits(theirs)
        if different.any():
            index = np.unravel_index(int(different.argmax()), ours.shape)
            return {
                "parameter": name,
                "index": [int(i) for i in index],
                "actual": float(ours[index]).hex(),
                "expected": float(theirs[index]).hex(),
            }
    return None


def _misfit(actual: Array | None, expected: Array | None) -> str | None:
    """Return why two tensors cannot be compared element by element, None if they can."""
    if actual is None or expected is None:
        return f"only the {'expected' if actual is None else 'actual'} engine has it"
    ours, theirs = (f"{list(array.shape)} {array.dtype}" for array in (actual, expected))
    return None if ours == theirs else f"actual is {ours}, expected {theirs}"


def _bits(array: Array) -> Array:
    """Return the array's bits as integers, so that NaN equals itself and -0.0 is not 0.0."""
    return np.ascontiguousarray(array).view(f"u{array.itemsize}")
