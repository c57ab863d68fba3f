"""What a calibration found, in numbers: curves of false alarms, families, practices, defects."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from parity.checks.gradients import AGGREGATE_Z, COMMON, Z
from parity.evidence.calibration.cases import DATA, DTYPES
from parity.evidence.calibration.measure import COMMONS, GRADIENT_DEFECTS, TOLERANCES

Row = dict[str, Any]

KINDS = ("gradients", "parameters", "loss", "aggregate")
LEVELS = (0.5, 0.9, 0.99, 1.0)
STEPS = [round(0.25 * i, 2) for i in range(1, 41)]
"""Values of z at which the curves are given."""


def summary(rows: Sequence[Row]) -> dict[str, Any]:
    """Return curves of false alarms, and the worst of every family.

    A comparison is one training step of both engines. `curve` counts, for each z, the comparisons
    that would be failed by an element of a gradient, of an updated parameter, by the loss, and by
    an aggregate of a gradient; `aggregate_curves` counts the last for other values of COMMON.
    """
    worst = _worst(rows)
    by_common = np.array([row["aggregate"] for row in rows])
    return {
        "comparisons": len(rows),
        "tensors": sum(row["tensors"] for row in rows),
        "elements": sum(row["elements"] for row in rows),
        "unlimited": sum(row["unlimited"] for row in rows),
        "kinks": sum(row["kinks"] for row in rows),
        "choices": sum(row["choices"] for row in rows),
        "with_momentum": sum(row["momentum"] > 0 for row in rows),
        "after_training": sum(row["epochs"] > 0 for row in rows),
        "not_finite": sum(not row["finite"] for row in rows),
        "z": Z,
        "aggregate_z": AGGREGATE_Z,
        "common": COMMON,
        "false_alarms": {
            kind: int((values > (AGGREGATE_Z if kind == "aggregate" else Z)).sum())
            for kind, values in worst.items()
        },
        "curve": [{"z": z, **{k: int((v > z).sum()) for k, v in worst.items()}} for z in STEPS],
        "aggregate_curves": [
            {
                "common": common,
                "false_alarms": [int((by_common[:, i] > z).sum()) for z in STEPS],
                "worst": float(by_common[:, i].max()),
            }
            for i, common in enumerate(COMMONS)
        ],
        "families": [
            _family(family, dtype, some)
            for family in DATA
            for dtype in DTYPES
            if (some := [r for r in rows if (r["family"], r["dtype"]) == (family, dtype)])
        ],
        "practices": [_practice(practice.name, rows) for practice in TOLERANCES],
        "worst": {
            kind: [
                rows[i] | {"aggregate": float(worst["aggregate"][i])}
                for i in np.argsort(-worst[kind], kind="stable")[:3]
            ]
            for kind in ("gradients", "aggregate")
        },
    }


def _worst(rows: Sequence[Row]) -> dict[str, Any]:
    mine = COMMONS.index(COMMON)
    return {
        kind: np.array([row[kind][mine] if kind == "aggregate" else row[kind] for row in rows])
        for kind in KINDS
    }


def _family(family: str, dtype: str, rows: Sequence[Row]) -> dict[str, Any]:
    """Return quantiles of the worst difference of a comparison, in units of √2·σ."""
    return {
        "family": family,
        "dtype": dtype,
        "comparisons": len(rows),
        "elements": sum(row["elements"] for row in rows),
        "levels": LEVELS,
        **{
            kind: [float(q) for q in np.quantile(values, LEVELS, method="inverted_cdf")]
            for kind, values in _worst(rows).items()
        },
    }


def _practice(name: str, rows: Sequence[Row]) -> dict[str, Any]:
    """Return how many correct comparisons a fixed tolerance fails, over all and random ones."""
    found: dict[str, Any] = {"practice": name}
    for dtype in DTYPES:
        for of, family in (("all", None), ("random", "random")):
            some = [r for r in rows if r["dtype"] == dtype and family in (None, r["family"])]
            flagged = sum(name in row["flagged"] for row in some)
            found[f"{dtype}, {of}"] = {"comparisons": len(some), "false_alarms": flagged}
    return found


def detection(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Return for each network, dtype and defect which share of the planted ones each judge caught.

    `least` is the parameter in whose gradient the defect was caught least often, and at which share
    of the seeds.
    """
    return [
        _defect(architecture, dtype, defect, seeds, some)
        for architecture, dtype in dict.fromkeys((r["architecture"], r["dtype"]) for r in rows)
        for seeds in [[r for r in rows if (r["architecture"], r["dtype"]) == (architecture, dtype)]]
        for defect in GRADIENT_DEFECTS
        if (some := [p for row in seeds for p in row["planted"] if p["defect"] == defect])
    ]


def _defect(
    architecture: str, dtype: str, defect: str, seeds: Sequence[Row], planted: Sequence[Row]
) -> dict[str, Any]:
    element = np.array([p["gradients"] > Z for p in planted])
    aggregate = np.array([p["aggregate"] for p in planted]) > AGGREGATE_Z
    either = element | aggregate[:, COMMONS.index(COMMON)]
    names = np.array([p["parameter"] for p in planted])
    shares = {name: float(either[names == name].mean()) for name in dict.fromkeys(names.tolist())}
    least = min(shares, key=lambda name: shares[name])
    return {
        "architecture": architecture,
        "dtype": dtype,
        "defect": defect,
        "seeds": len(seeds),
        "planted": len(planted),
        "caught": {
            "element": float(element.mean()),
            "aggregate": float(aggregate[:, COMMONS.index(COMMON)].mean()),
            "either": float(either.mean()),
            **{
                practice.name: float(np.mean([practice.name in p["flagged"] for p in planted]))
                for practice in TOLERANCES
            },
        },
        "aggregate_by_common": [float(share) for share in aggregate.mean(axis=0)],
        "least": {"parameter": least, "share": shares[least]},
    }
