"""Comparisons: do engines agree, how many times as fast is one, and what has become slower.

Only ratios carry over from one moment of a machine to another, let alone to another machine. So an
engine is compared with a peer that an older `bench.json` timed, too: it has become slower, or
faster, if the confidence intervals of the two ratios do not meet.
"""

import json
import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from itertools import permutations
from pathlib import Path
from typing import Any, NamedTuple

import jsonschema

from parity.documents import schema
from parity.errors import UsageError

AGREEMENT_TOLERANCE = {"float32": 4096 * 2.0**-24, "float64": 4096 * 2.0**-53}
"""The largest relative difference of losses in the first steps."""

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
    a round; returned are its median and the confidence interval of the median.
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


def quartiles(seconds: Sequence[float]) -> dict[str, float]:
    """Return the median and the other quartiles of some times, as a document has them."""
    q1_s, median_s, q3_s = statistics.quantiles(seconds, n=4, method="inclusive")
    return {"median_s": median_s, "q1_s": q1_s, "q3_s": q3_s}


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


# ---- an older bench.json --------------------------------------------------------------------


class Change(NamedTuple):
    """How an engine's speed beside a peer's has changed.

    Attributes:
        architecture, engine, against: what is compared.
        before, after: the ratios: how many times as fast as `against`.
    """

    architecture: str
    engine: str
    against: str
    before: Mapping[str, Any]
    after: Mapping[str, Any]

    @property
    def verdict(self) -> str:
        """`slower`, `faster` or `same`: whether the two intervals meet."""
        if self.after["high"] < self.before["low"]:
            return "slower"
        return "faster" if self.after["low"] > self.before["high"] else "same"

    def __str__(self) -> str:
        text = "{median:.2f} [{low:.2f} – {high:.2f}]"
        then, now = text.format(**self.before), text.format(**self.after)
        return (
            f"{self.architecture}: {self.engine} is {self.verdict}: {now} times as fast as "
            f"{self.against}, was {then}"
        )


def read(path: str | Path) -> dict[str, Any]:
    """Return the document of a `bench.json`.

    Raises:
        UsageError: it cannot be read, or is none.
    """
    try:
        document: dict[str, Any] = json.loads(Path(path).read_text(encoding="utf-8"))
        jsonschema.validate(document, schema("bench"))
    except OSError as error:
        raise UsageError(f"cannot read the baseline {path}: {error.strerror}") from error
    except (ValueError, RecursionError, jsonschema.ValidationError) as error:
        reason = error.message if isinstance(error, jsonschema.ValidationError) else error
        raise UsageError(f"the baseline {path} is no bench.json: {reason}") from error
    return document


def require_comparable(
    before: Mapping[str, Any],
    architectures: Iterable[str],
    engines: Iterable[str],
    against: str,
    read_losses: bool = False,
) -> None:
    """Check, before anything is timed, that a baseline has something to compare.

    Raises:
        UsageError: no engine was held against `against` there on any of the architectures, or
            losses were read there and are not to be now, or the reverse.
    """
    if before.get("read_losses", False) != read_losses:
        give, read = ("without", "not ") if read_losses else ("with", "")
        raise UsageError(f"in the baseline losses were {read}read: compare {give} --read-losses")
    wanted = {(architecture, engine) for architecture in architectures for engine in engines}
    if not wanted & ratios_to(before, against).keys():
        known = sorted({result["engine"] for result in before["results"]})
        where = sorted({result["architecture"] for result in before["results"]})
        raise UsageError(
            f"the baseline has nothing to compare with {against}: it timed {', '.join(known)} on "
            f"{', '.join(where)}. Name two of these engines, and one of these architectures"
        )


def changes(before: Mapping[str, Any], after: Mapping[str, Any], against: str) -> list[Change]:
    """Return how every engine compares with `against`, wherever both documents say it."""
    old, new = ratios_to(before, against), ratios_to(after, against)
    return [Change(*key, against, old[key], new[key]) for key in new if key in old]


def ratios_to(document: Mapping[str, Any], against: str) -> dict[tuple[str, str], dict[str, Any]]:
    """Return the ratios of a document to one engine, by architecture and engine."""
    return {
        (ratio["architecture"], ratio["engine"]): ratio
        for ratio in document["ratios"]
        if ratio["against"] == against
    }
