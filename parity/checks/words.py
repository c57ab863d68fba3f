"""Phrases in the descriptions of several verdicts: numbers, elements, and shares of a budget."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

Document = Mapping[str, Any]
"""A part of report.json that is read."""


def number(value: float | None, digits: int = 6) -> str:
    """Return the number to so many digits; `None`, which is NaN or infinite, is `not finite`."""
    return "not finite" if value is None or not math.isfinite(value) else f"{value:.{digits}g}"


def exactly(value: float | str | None, dtype: str = "float64") -> str:
    """Return a number with the digits that tell it from others of its dtype, or `not finite`.

    Args:
        value: a number, or a text with a hexadecimal one.
        dtype: float32 or float64.
    """
    if value is None:
        return "not finite"
    found = float.fromhex(value) if isinstance(value, str) else float(value)
    return str(np.dtype(dtype).type(found))


def worst(share: float | None, of: str) -> str:
    """Return the largest share that is used, such as `worst 0.12 times its budget`."""
    if share is None or not math.isfinite(share):
        return "worst not finite"
    return f"worst {number(share, 2)} times its {of}"


def element(place: Document) -> str:
    """Return an element of a tensor, such as `epoch 3, updated 2.weight[3, 1]`."""
    name = place["parameter"] if "parameter" in place else place["tensor"]
    index = place.get("index")
    if index:
        name += f"[{', '.join(map(str, index))}]"
    if place.get("of") not in (None, name.partition("[")[0], "gradients"):
        name = f"{place['of']} {name}"
    return f"epoch {place['epoch']}, {name}" if "epoch" in place else name


def by_aggregate(verdict: Document) -> bool:
    """Return whether a tensor as a whole is out of its budget, by a scale factor or a bias."""
    used = verdict.get("aggregate_used", 0.0)
    return used is None or used > 1


def steps(verdict: Document, architecture: Document) -> str:
    """Return how many steps were judged; of mini-batches there are several an epoch."""
    count = verdict["epochs"]
    return f"{count:,} {'epochs' if count <= architecture.get('epochs', count) else 'steps'}"


def final_loss(architecture: Document) -> str:
    """Return what the loss after training is called: "final MSE", if it is that."""
    return f"final {'MSE' if architecture.get('loss', 'MSELoss') == 'MSELoss' else 'loss'}"


def budget(verdict: Document) -> str:
    """Return how much of their budgets the elements use, the kinks, and a tensor out of budget."""
    kinks = f"; {verdict['kinks']:,} kinks" if verdict["kinks"] else ""
    said = worst(verdict["worst_budget_used"], "budget") + kinks
    if by_aggregate(verdict):
        at, used = verdict["aggregate_at"], number(verdict["aggregate_used"], 2)
        said += f"; {element(at)} as a whole {used} times its budget: {fit(at)}"
    return said


def wrong_of(actual: bool, expected: bool) -> str | None:
    """Return who is wrong, "actual", "expected", "both" or None, if these say who is right."""
    return {(False, True): "actual", (True, False): "expected", (False, False): "both"}.get(
        (actual, expected)
    )


def fit(place: Document) -> str:
    """Return the scale factor and the bias that were fitted to a tensor, with their errors."""
    return ", ".join(
        f"{name} {number(place[name], 3)} ± {number(place[f'{name}_error'], 2)}"
        for name in ("scale", "bias")
        if name in place
    )
