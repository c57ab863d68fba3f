"""start: data and initial parameters are identical in every bit."""

from typing import Any

from parity.checks.bits import first_difference
from parity.checks.words import Document
from parity.engines.protocol import Start


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
