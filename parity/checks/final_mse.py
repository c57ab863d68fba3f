"""final MSE: the loss after the last update, on both sides."""

import math
from collections.abc import Mapping
from typing import Any

from parity.checks.trajectory import LIMIT, deviation
from parity.checks.words import Document, number


def check_final_mse(
    actual: float,
    expected: float,
    trajectory: Mapping[str, Any] | None = None,
    bitwise: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return both, their relative difference, and whether it passes where that can be told.

    Args:
        actual, expected: final MSE of the engine under test and of the reference.
        trajectory, bitwise: those verdicts, None if they were not reached.

    Returns:
        `passed`: where the run is predictable to its end, whether the difference is at most
        `LIMIT` times `expected_spread`, which is what a few ulps in the initial parameters do to
        the reference. Otherwise what `bitwise` says; None if there is no such verdict, since then
        only the distribution over many seeds can tell. `relative_difference` is NaN or infinite
        where a side is not finite.
    """
    if expected:
        difference = abs(actual - expected) / abs(expected)
    else:
        difference = 0.0 if actual == expected else math.inf
    passed = spread = None
    if trajectory is not None:
        spread = trajectory["final_spread"]
        if trajectory["horizon_epoch"] is None and math.isfinite(spread):
            passed = bool(deviation(actual, expected) <= LIMIT * spread)
        elif bitwise is not None:
            passed = bitwise["passed"]
    return {
        "passed": passed,
        "actual": actual,
        "expected": expected,
        "relative_difference": difference,
        "expected_spread": spread,
    }


def describe_final_mse(verdict: Document, architecture: Document, settings: Document) -> str:
    """Return both, how far they are from each other, and how far a few ulps move the reference."""
    actual, expected = number(verdict["actual"]), number(verdict["expected"])
    text = f"{settings['engine']} {actual}, {settings['against']} {expected}"
    if verdict["relative_difference"] is not None:
        text += f"; relative difference {number(verdict['relative_difference'], 2)}"
    if verdict["expected_spread"] is not None:
        text += f", expected spread {number(verdict['expected_spread'], 2)}"
    trajectory = architecture["trajectory"]
    if verdict["passed"] is None and trajectory and trajectory["horizon_epoch"] is not None:
        text += "; beyond the horizon only a sweep over seeds can tell"
    return text
