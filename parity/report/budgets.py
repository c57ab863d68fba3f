"""How much of their budget the elements of every gradient use: a distribution for each."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from matplotlib.axes import Axes
from matplotlib.style import context

from parity.report.figure import ACTUAL, EXPECTED, INK, STYLE, new_figure, to_svg

LOWEST, HIGHEST = 1e-4, 1e6
"""Shares of the budget beyond these are drawn there."""


def budgets(gradients: Mapping[str, Any], *, name: str, key: str) -> str:
    """SVG of the shares of their budgets that elements use, a row a parameter, on a log axis.

    The box holds the middle half of a gradient's elements, the line nine tenths of them, and the
    point is the worst. `gradients` is that verdict, `name` the architecture's; `key` starts every
    id.
    """
    rows = gradients["per_parameter"]
    with context(["default", STYLE]):
        figure, (axes,) = new_figure(1, height=0.9 + 0.26 * len(rows))
        for place, row in enumerate(rows):
            _row(axes, place, row)
        axes.axvline(1, color=ACTUAL, linewidth=1.4)
        axes.text(1, -0.75, "limit ", color=ACTUAL, ha="right", va="center", fontsize=8.5)
        top = max(1.0, *(_drawable(row["worst"]) for row in rows))
        axes.set(
            xscale="log",
            xlim=(LOWEST / 1.5, 3 * top),
            ylim=(len(rows) - 0.4, -1.2),
            yticks=range(len(rows)),
            yticklabels=[row["parameter"] for row in rows],
            xlabel="|difference| / budget; at the left edge $10^{-4}$ or less",
        )
        axes.grid(visible=False, axis="y")
        out = [row["parameter"] for row in rows if not _within(row["worst"])]
        said = f"out of budget: {', '.join(out)}" if out else "every element is within its budget"
        title = f"Share of their budget that the gradients of {name} use"
        return to_svg(figure, title, said, key)


def _row(axes: Axes, place: int, row: Mapping[str, Any]) -> None:
    _, low, lower, median, upper, high, _ = map(_drawable, row["quantiles"])
    axes.plot((low, high), (place, place), color=EXPECTED, linewidth=1.2)
    axes.barh(place, upper - lower, 0.5, lower, color=EXPECTED, alpha=0.6, linewidth=0)
    axes.plot((median, median), (place - 0.25, place + 0.25), color=INK, linewidth=1.2)
    within = _within(row["worst"])
    axes.plot(
        _drawable(row["worst"]),
        place,
        marker="o" if within else "X",
        markersize=3.5 if within else 6,
        color=INK if within else ACTUAL,
        linewidth=0,
    )


def _within(share: float | None) -> bool:
    return share is not None and share <= 1


def _drawable(share: float | None) -> float:
    """None stands for what is not finite."""
    if share is None or not math.isfinite(share):
        return HIGHEST
    return min(max(share, LOWEST), HIGHEST)
