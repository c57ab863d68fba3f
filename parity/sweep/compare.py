"""Whether two engines' results are of one distribution, seed by seed and as a whole.

**distribution.** The two-sample Kolmogorov-Smirnov statistic D is the largest distance between the
engines' empirical distributions of final MSE. Its usual p-value assumes independent samples. Here
each seed is trained by both engines, from the same bits, and most pairs end close together: D is
far smaller than the usual test allows, so a wrong engine would pass. If both engines are correct,
their results at a seed differ by rounding alone, and could as well be exchanged. So the null
distribution is made by exchanging the two results of each seed with probability ½, and counting how
often D gets as large (Fisher's randomisation test, paired; the observed arrangement is counted as
well, which keeps the level exact: Phipson and Smyth 2010). Pairs that are equal but for rounding
hardly move D either way; only those beyond their horizons decide, as it should be.

A run that diverged has an infinite final MSE, whether it says NaN or infinity: it is larger than
any other, and equal to all that diverged.

**pairs.** At the seeds whose horizons were sought, the reference was also run from perturbed
starts. Where there is no horizon, the run is predictable to its end, and the two final MSEs may
differ by no more than the verdict `final MSE` of `parity run` allows: `LIMIT` times as much as the
perturbed runs. Where there is a horizon, a single pair says nothing, but all pairs together do. The
perturbed runs and the engine's all start from the same bits but for a few ulps, so each of them is
as likely as any other to end furthest from the reference. A correct engine is the furthest at one
seed in `RUNS` + 1, and the number of such seeds is judged by the binomial distribution.
(Differences below `LIMIT` times the narrowest envelope do not count: they are the rounding of the
loss alone, which perturbed runs of one engine have in common. The perturbed runs start `ULPS` times
as far apart as rounding does, so correct engines stay below what is allowed; and the seeds are
different draws.)

**start.** Data and initial parameters of a seed are equal in every bit.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from parity.checks.final_mse import check_final_mse
from parity.checks.trajectory import LIMIT, deviation, floor
from parity.engines.protocol import Array
from parity.sweep.database import GIVEN, STATES, Row

LEVEL = 1e-3
"""The probability that a sweep of correct engines fails one of its two significance tests on any
network; each test on each network has an equal share."""

EXCHANGES = 50_000
"""How many random arrangements make the null distribution."""

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


def compare(
    actual: Mapping[int, Row], expected: Mapping[int, Row], networks: int = 1
) -> dict[str, Any]:
    """Compare the results of two engines on one network, at the seeds that both have.

    Args:
        actual, expected: by seed.
        networks: how many are compared in this sweep.

    Returns:
        `passed`: None if no verdict was reached; `seeds`, how many; `sides`, each side's
        `quantiles` and `states`; the verdicts `start`, `distribution` and `pairs`; `horizon`.
    """
    seeds = sorted(actual.keys() & expected.keys())
    ours, theirs = [actual[seed] for seed in seeds], [expected[seed] for seed in seeds]
    level = LEVEL / (2 * networks)
    verdicts = {
        "start": check_starts(ours, theirs),
        "distribution": check_distribution(final_mse(ours), final_mse(theirs), level),
        "pairs": check_pairs(ours, theirs, level),
    }
    reached = [found["passed"] for found in verdicts.values() if found["passed"] is not None]
    return {
        "passed": all(reached) if reached else None,
        "seeds": len(seeds),
        "sides": {"actual": side(ours), "expected": side(theirs)},
        **verdicts,
        "horizon": horizons(theirs),
    }


def final_mse(rows: Sequence[Row]) -> Array:
    """Return the final MSEs as float64; infinite where they are not finite."""
    found = np.array([row.final_mse for row in rows], np.float64)
    return np.where(np.isfinite(found), found, np.inf)


def side(rows: Sequence[Row]) -> dict[str, Any]:
    """Return an engine's `quantiles` (infinite among those that diverged) and `states`, counted."""
    return {
        "quantiles": _quantiles(final_mse(rows)),
        "states": {name: sum(row.state == name for row in rows) for name in STATES},
    }


def check_starts(actual: Sequence[Row], expected: Sequence[Row]) -> dict[str, Any]:
    """Judge whether the engines began from the same bits; `differ` has the seeds where not.

    `seeds` is how many both engines drew themselves; without any the verdict is not reached, but
    seeds that begin from other bits fail it, whoever drew them: nothing else could be judged.
    """
    pairs = list(zip(actual, expected, strict=True))
    differ = [a.seed for a, b in pairs if a.start.split()[-1] != b.start.split()[-1]]
    drawn = sum(not any(row.start.startswith(GIVEN) for row in pair) for pair in pairs)
    return {"passed": not differ if drawn or differ else None, "seeds": drawn, "differ": differ}


def check_distribution(actual: Array, expected: Array, level: float) -> dict[str, Any]:
    """Judge by a paired Kolmogorov-Smirnov test whether two samples have one distribution.

    Args:
        actual, expected: pairs, (n,) each; not NaN.
        level: how often correct engines may fail.

    Returns:
        `passed`: None if there are so few pairs that none could fail; `statistic`, D; `p_value`;
        `level`; `fails_from`, the least D that fails, None if there is none;
        `independent_p_value`, SciPy's, as if the samples were independent, None for so few.
    """
    from scipy.stats import ks_2samp  # takes long to load

    count = len(actual)
    if not count:
        return dict.fromkeys(
            ("passed", "statistic", "p_value", "fails_from", "independent_p_value")
        ) | {"level": level}
    exchanges = max(EXCHANGES, math.ceil(2 / level))  # or no p-value could be below the level
    statistic, exchanged = _distances(actual, expected, exchanges)
    p_value = float((1 + np.count_nonzero(exchanged >= statistic)) / (1 + exchanges))
    # The largest p-value below the level allows this many exchanged ones to be as large.
    may = math.ceil(level * (1 + exchanges)) - 2
    assert may >= 0
    fails_from = int(np.sort(exchanged)[::-1][may]) + 1
    # Every pair the same way round, of 2ⁿ arrangements two, is the least likely of all.
    enough = 2.0 ** (1 - count) < level
    return {
        "passed": p_value >= level if enough else None,
        "statistic": statistic / count,
        "p_value": p_value,
        "level": level,
        "fails_from": fails_from / count if enough and fails_from <= count else None,
        "independent_p_value": float(ks_2samp(actual, expected, method="asymp").pvalue)
        if enough
        else None,
    }


def _distances(actual: Array, expected: Array, exchanges: int) -> tuple[int, Array]:
    """Return D times n as observed, and for random arrangements, (exchanges,)."""
    count = len(actual)
    values = np.concatenate([actual, expected])
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    last = np.append(ordered[1:] != ordered[:-1], True)  # of each run of equal values
    pair = order % count
    sign = np.where(order < count, 1, -1).astype(np.int32)

    def distance(ways: Array) -> Array:
        heights = np.cumsum(ways[:, pair] * sign, axis=1, dtype=np.int32)
        found: Array = np.abs(heights[:, last]).max(axis=1)
        return found

    generator = np.random.default_rng(0)  # the same verdict each time
    rows = max(1, 4_000_000 // (2 * count))  # at once, to bound memory
    exchanged = [
        distance(generator.choice(np.array([-1, 1], np.int32), size=(len(some), count)))
        for some in (range(exchanges)[first : first + rows] for first in range(0, exchanges, rows))
    ]
    return int(distance(np.ones((1, count), np.int32))[0]), np.concatenate(exchanged)


def check_pairs(actual: Sequence[Row], expected: Sequence[Row], level: float) -> dict[str, Any]:
    """Judge how far apart the two results of a seed are.

    Args:
        actual, expected: results at the same seeds; those of `expected` tell the horizons.
        level: how often correct engines may fail the test over the seeds.

    Returns:
        `passed`: None if nothing could fail; `seeds`, how many had their horizons sought;
        `predictable`, how many of them have none, and `worst_used`, the largest share of what is
        allowed there, None without; `outliers`, those that exceed it; `furthest`, at how many of
        the seeds the engine ended further from the reference than every perturbed run, `level`,
        `p_value` and `fails_from`, how many are too many, None if all were not; `suspects`, these
        seeds if they are too many. Outliers and suspects have `seed`, `actual`, `expected`,
        `relative_difference` and `allowed`. `quantiles` of the relative difference are over all
        pairs, and `most_apart` is the seed of the largest.
    """
    from scipy.stats import binom  # takes long to load

    apart_all = deviation(final_mse(actual), final_mse(expected))
    pairs = zip(actual, expected, map(float, apart_all), strict=True)
    sought = [pair for pair in pairs if pair[1].horizon_runs]
    outliers, used, furthest = [], [], []
    for ours, theirs, apart in sought:
        mine, reference = map(float, final_mse([ours, theirs]))
        trajectory = {"final_spread": theirs.final_spread, "horizon_epoch": theirs.horizon_epoch}
        found = check_final_mse(mine, reference, trajectory)
        spread = float(theirs.final_spread or 0)
        if found["passed"] is not None:
            used.append(apart / (LIMIT * spread))
            if not found["passed"]:
                outliers.append(_pair(ours, theirs, apart, LIMIT * spread))
        if apart > max(spread, LIMIT * floor(ours.dtype)):
            furthest.append(_pair(ours, theirs, apart, spread))
    chance = 1 / (1 + min((theirs.horizon_runs for _, theirs, _ in sought), default=0))
    p_value = float(binom.sf(len(furthest) - 1, len(sought), chance))
    fails_from = int(binom.isf(level, len(sought), chance)) + 1
    enough = fails_from <= len(sought)
    unlikely = enough and p_value < level
    return {
        "passed": not (outliers or unlikely) if used or enough else None,
        "seeds": len(sought),
        "predictable": len(used),
        "worst_used": max(used, default=None),
        "outliers": outliers,
        "furthest": len(furthest),
        "level": level,
        "p_value": p_value,
        "fails_from": fails_from if enough else None,
        "suspects": furthest if unlikely else [],
        "quantiles": _quantiles(apart_all),
        "most_apart": actual[int(apart_all.argmax())].seed if len(apart_all) else None,
    }


def _pair(ours: Row, theirs: Row, apart: float, allowed: float) -> dict[str, Any]:
    return {
        "seed": ours.seed,
        "actual": ours.final_mse,
        "expected": theirs.final_mse,
        "relative_difference": apart,
        "allowed": allowed,
    }


def horizons(rows: Sequence[Row]) -> dict[str, Any]:
    """Return how the horizon spreads: `seeds`, how many had it sought; `none`, how many have none;
    `quantiles` in epochs over the seeds, infinite among those that have none.
    """
    sought = [row.horizon_epoch for row in rows if row.horizon_runs]
    epochs = np.array([math.inf if epoch is None else epoch for epoch in sought])
    return {
        "seeds": len(sought),
        "none": sought.count(None),
        "quantiles": _quantiles(epochs),
    }


def _quantiles(values: Array) -> dict[float, float]:
    """Return the values themselves below which these shares are, which may be infinite."""
    if not len(values):
        return {}
    found = np.quantile(values, QUANTILES, method="inverted_cdf")
    return dict(zip(QUANTILES, map(float, found), strict=True))
