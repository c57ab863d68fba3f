"""The arithmetic of comparisons: do engines agree, and how many times as fast is one as another."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from itertools import permutations
from typing import Any

AGREEMENT_TOLERANCE = {"float32": 4096 * 2.0**-24, "float64": 4096 * 2.0**-53}
"""By how much, relatively, the losses of the first steps may differ."""

CONFIDENCE = 0.95
FEWEST_ROUNDS = 6
"""With fewer, no two of the ratios enclose the median with this confidence."""


def agreement(
    architecture: str, dtype: str, losses: Mapping[str, Sequence[float]]
) -> dict[str, Any]:
    """Compare each engine's losses after 0, 1, … steps with those of the first engine.

    Losses that are not finite agree with nothing: they would say nothing of the engines.
    """
    reference = next(iter(losses))
    differences = {}
    for name, own in losses.items():
        relative = [
            abs(actual - expected) / abs(expected) if expected else float(actual != expected)
            for actual, expected in zip(own, losses[reference], strict=True)
        ]
        differences[name] = max(relative) if all(map(math.isfinite, relative)) else math.inf
    return {
        "architecture": architecture,
        "agrees": max(differences.values()) <= AGREEMENT_TOLERANCE[dtype],
        "reference": reference,
        "steps": len(losses[reference]) - 1,
        "tolerance": AGREEMENT_TOLERANCE[dtype],
        "losses": {name: [finite(loss) for loss in own] for name, own in losses.items()},
        "relative_difference": {name: finite(value) for name, value in differences.items()},
    }


def ratios(architecture: str, times: Mapping[str, Sequence[float]]) -> list[dict[str, Any]]:
    """Return, for every ordered pair of engines, how many times as fast the first is as the second.

    `times` are seconds per step, a value a round. The ratio is time(against) / time(engine) within
    a round; given are its median and the confidence interval of that.
    """
    result = []
    for engine, against in permutations(times, 2):
        pairs = zip(times[against], times[engine], strict=True)
        found = [other / own for other, own in pairs]
        low, high = median_interval(found)
        result.append(
            {
                "architecture": architecture,
                "engine": engine,
                "against": against,
                "median": statistics.median(found),
                "low": low,
                "high": high,
            }
        )
    return result


def median_interval(values: Sequence[float]) -> tuple[float, float]:
    """Return the interval that encloses the median of the values' distribution, 95 % sure or more.

    Its ends are the k-th value from either end of the sorted values. It misses the median if fewer
    than k values lie on one side of it, and how many do is binomially distributed with probability
    one half, whatever the values' distribution: k is the largest for which that is rare enough.
    Source: Conover, *Practical Nonparametric Statistics*, section 3.2. Raises ValueError for fewer
    than 6 values, which cannot give such an interval.
    """
    n = len(values)
    if n < FEWEST_ROUNDS:
        raise ValueError(f"{n} values give no {CONFIDENCE:.0%} interval: at least {FEWEST_ROUNDS}")
    k, missed = 0, 1  # missed: in how many of 2ⁿ equally likely cases at most k lie on one side
    while 2 * missed <= (1 - CONFIDENCE) * 2**n:
        k += 1
        missed += math.comb(n, k)
    ordered = sorted(values)
    return ordered[k - 1], ordered[n - k]


def finite(value: float) -> float | None:
    """Return the value, None if JSON has no number for it."""
    return value if math.isfinite(value) else None
