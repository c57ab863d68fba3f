"""gradients: from the same parameters, every element of every gradient is within its budget.

The budget here is provisional, one for a whole tensor: 256·u times the largest magnitude in it,
where u is the unit roundoff. Correct engines were seen to use up to 10·u in float32 and 113·u in
float64.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from parity.engines import Array

BUDGET_IN_ROUNDOFFS = 256


def check_gradients(actual: dict[str, Array], expected: dict[str, Array]) -> dict[str, Any]:
    """Compare the gradients of two engines; `expected` names the tensors there must be.

    `worst_budget_used` is the largest |actual - expected| / budget, None if that is not finite.
    A NaN or infinity agrees with the same one in the same place, and with nothing else.

    Raises:
        ValueError: an engine returned other tensors, shapes or dtypes than the expected ones.
    """
    if list(actual) != list(expected) or any(
        (actual[n].shape, actual[n].dtype) != (g.shape, g.dtype) for n, g in expected.items()
    ):
        raise ValueError(
            f"the engine under test returned the gradients {_described(actual)}; it must return "
            f"{_described(expected)}"
        )
    used = {name: budget_used(actual[name], expected[name]) for name in expected}
    worst = max(used, key=lambda name: float(used[name].max(initial=0.0)))
    index = np.unravel_index(int(used[worst].argmax()), used[worst].shape)
    ulps = {name: ulp_distance(actual[name], expected[name]) for name in expected}
    return {
        "passed": bool(used[worst][index] <= 1),
        "elements": sum(gradient.size for gradient in expected.values()),
        "worst_budget_used": float(used[worst][index]),
        "worst_at": {
            "parameter": worst,
            "index": [int(i) for i in index],
            "actual": float(actual[worst][index]).hex(),
            "expected": float(expected[worst][index]).hex(),
            "budget": budget(expected[worst]),
        },
        "max_ulp": max(float(distance.max(initial=0.0)) for distance in ulps.values()),
        "kinks": None,
    }


def budget(expected: Array) -> float:
    """Return the largest difference allowed to an element of this tensor."""
    finite = np.abs(expected[np.isfinite(expected)]).astype(np.float64)
    unit_roundoff = float(np.finfo(expected.dtype).eps) / 2
    return BUDGET_IN_ROUNDOFFS * unit_roundoff * float(finite.max(initial=0.0))


def budget_used(actual: Array, expected: Array) -> Array:
    """Return |actual - expected| / budget for every element; infinite where classes differ."""
    ours, theirs = actual.astype(np.float64), expected.astype(np.float64)
    with np.errstate(all="ignore"):
        difference = np.abs(ours - theirs)
        used = np.where(difference == 0, 0.0, difference / budget(expected))
    same_class = np.where(np.isnan(theirs), np.isnan(ours), ours == theirs)
    both_finite = np.isfinite(ours) & np.isfinite(theirs)
    result: Array = np.where(both_finite, used, np.where(same_class, 0.0, np.inf))
    return result


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


def _described(gradients: dict[str, Array]) -> str:
    return ", ".join(f"{n} {list(g.shape)} {g.dtype}" for n, g in gradients.items()) or "none"
