"""final MSE: the loss after the last update, on both sides."""

from __future__ import annotations

import math
from typing import Any


def check_final_mse(actual: float, expected: float) -> dict[str, Any]:
    """Show both and their relative difference; judging it needs the trajectory verdict."""
    if expected:
        difference = abs(actual - expected) / abs(expected)
    else:
        difference = 0.0 if actual == expected else math.inf
    return {
        "passed": None,
        "actual": actual,
        "expected": expected,
        "relative_difference": difference,
        "expected_spread": None,
    }
