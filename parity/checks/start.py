"""start: data and initial parameters are identical in every bit."""

import math
from typing import Any

import numpy as np

from parity.checks.bits import first_difference
from parity.checks.words import Document
from parity.engines.protocol import Start

ULPS = 4.0
"""How far correct functions may be from each other: within 2 ulps of the true value each."""


def check_start(actual: Start, expected: Start, ulps: float = 0.0) -> dict[str, Any]:
    """Compare what two engines drew from the same seed.

    Args:
        actual, expected: what they drew.
        ulps: by how much the data may differ, in units in the last place of each tensor's largest
            element. A problem may compute its data by functions such as `sin`, which libraries
            round differently.
    """
    data = first_difference(actual.data, expected.data)
    parameters = first_difference(actual.parameters, expected.parameters)
    far = _apart(actual, expected) if data and ulps else math.inf
    found = {
        "passed": (data is None or far <= ulps) and parameters is None,
        "data_identical": data is None,
        "parameters_identical": parameters is None,
        "first_difference": data or parameters,
    }
    return found if far > ulps else {**found, "data_ulps": far}


def _apart(actual: Start, expected: Start) -> float:
    """Return how far the data are apart, in ulps of each tensor's largest element."""
    far = 0.0
    for name, array in expected.data.items():
        other = actual.data.get(name)
        if other is None or (other.shape, other.dtype) != (array.shape, array.dtype):
            return math.inf
        if array.dtype.kind != "f":
            far = max(far, 0.0 if np.array_equal(array, other) else math.inf)
            continue
        spacing = float(np.spacing(np.abs(array).max(initial=0)))
        apart = np.abs(np.subtract(other, array, dtype=np.float64)).max(initial=0.0) / spacing
        far = max(far, float(apart) if math.isfinite(apart) else math.inf)
    return far


def describe_start(verdict: Document, architecture: Document, settings: Document) -> str:
    """Return what is equal in every bit, or what is not."""
    apart = [what for what in ("data", "parameters") if not verdict[f"{what}_identical"]]
    if verdict["passed"] and apart:
        return f"parameters equal in every bit, data within {verdict['data_ulps']:.2g} ulp"
    return f"{' and '.join(apart)} differ" if apart else "data and parameters equal in every bit"
