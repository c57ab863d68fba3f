"""The figures of the page: the fit, the losses, how far apart they are, and the budgets used.

The two engines differ in width and dashes as well as in colour.
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.style import context

from parity.report import Array, Curves
from parity.report.figure import (
    ACTUAL,
    EXPECTED,
    INK,
    STYLE,
    dots,
    draw_line,
    legend_above,
    loggable,
    new_figure,
    to_svg,
)

ACTUAL_STYLE: dict[str, Any] = {"color": ACTUAL, "linewidth": 1.6, "dashes": (3, 2)}
EXPECTED_STYLE: dict[str, Any] = {"color": EXPECTED, "linewidth": 4.0, "alpha": 0.6}
LOSSES_STYLE = EXPECTED_STYLE | {"linewidth": 2.4}
# Fewer points are marked: a line through one point is invisible.
MIN_POINTS = 100

LOWEST, HIGHEST = 1e-4, 1e6
"""Shares of the budget beyond these are drawn there."""


@context(["default", STYLE])
def fit(curves: Curves, *, actual: str, expected: str, name: str, key: str) -> str:
    """SVG of the data as dots and the predictions of both engines as lines.

    `actual` and `expected` are the engines' names, `name` the architecture's. `key` starts every id
    within the SVG: with a key of its own for each figure, many fit in one page.
    """
    figure, axes = new_figure()
    dots(axes, curves.x, curves.y, INK)
    drawn = {
        expected: draw_line(axes, curves.x, curves.prediction_expected, expected, **EXPECTED_STYLE),
        actual: draw_line(axes, curves.x, curves.prediction_actual, actual, **ACTUAL_STYLE),
    }
    _limit(axes, curves)
    missing = " and ".join(engine for engine, there in drawn.items() if not there)
    said = f"no finite prediction: {missing}" if missing else ""
    _note(axes, said)
    axes.set(xlabel=curves.over, ylabel="y")
    legend_above(figure)
    title = f"Fit of {name}: data and the predictions of {actual} and {expected}"
    return to_svg(figure, title, said, key)


@context(["default", STYLE])
def losses(curves: Curves, *, actual: str, expected: str, name: str, key: str) -> str:
    """SVG of both loss curves, on a log axis.

    A log axis has no place for zero and NaN: where losses are not finite, the figure says so in
    words. Arguments as for `fit`.
    """
    a, b = curves.losses_actual, curves.losses_expected
    epochs = np.arange(1.0, len(a) + 1)
    figure, axes = new_figure()
    drawn = [
        draw_line(axes, epochs, loggable(b), expected, **LOSSES_STYLE),
        draw_line(axes, epochs, loggable(a), actual, **ACTUAL_STYLE | {"linewidth": 0.7}),
    ]
    axes.set(xlabel="epoch", ylabel="loss")
    gone = "\n".join(
        f"{engine}: not finite from epoch {np.argmin(np.isfinite(loss)) + 1:,}"
        for engine, loss in ((actual, a), (expected, b))
        if not np.isfinite(loss).all()
    )
    _note(axes, gone)
    if any(drawn):
        axes.set_yscale("log")
    legend_above(figure)
    title = f"Loss of {name} by epoch for {actual} and {expected}"
    return to_svg(figure, title, gone.replace("\n", "; "), key)


@context(["default", STYLE])
def divergence(
    curves: Curves,
    trajectory: Mapping[str, Any] | None,
    *,
    actual: str,
    expected: str,
    name: str,
    key: str,
) -> str:
    """SVG of the losses' relative difference |a - b| / |b| inside its envelope, on a log axis.

    The shaded region, up to the horizon, is where the engine must stay: `limit` envelopes of the
    verdict `trajectory`. Without this verdict or an envelope, the difference is alone. Where losses
    are equal, the figure says so in words. Otherwise as `losses`; `b` is `expected`.
    """
    a, b = curves.losses_actual, curves.losses_expected
    epochs = np.arange(1.0, len(a) + 1)
    figure, axes = new_figure()
    difference = loggable(_relative_difference(a, b))
    marks: dict[str, Any] = {"linewidth": 0.9, "markersize": 3}
    if np.count_nonzero(difference > 0) < MIN_POINTS:
        marks["marker"] = "."
    drawn = draw_line(axes, epochs, difference, actual, **ACTUAL_STYLE | marks)
    axes.set(xlabel="epoch", ylabel=f"relative difference from {expected}")
    said = [_equality(a, b)]
    if curves.envelope is not None and trajectory is not None:
        drawn |= _draw_envelope(axes, curves.envelope, trajectory, expected)
        if (horizon := trajectory["horizon_epoch"]) is not None:
            said.append(f"not predictable from epoch {horizon + 1:,}")
    if drawn:
        axes.set_yscale("log")
    else:
        axes.set(yticks=[], xlim=(0, max(len(a), 1)))
    legend_above(figure)
    _note(axes, "\n".join(filter(None, said)))
    title = f"Loss of {name}: how far {actual} is from {expected}"
    return to_svg(figure, title, "; ".join(filter(None, said)), key)


def _draw_envelope(
    axes: Axes, envelope: Array, trajectory: Mapping[str, Any], expected: str
) -> bool:
    """Draw how far the reference is from itself, and what is allowed up to the horizon."""
    horizon = trajectory["horizon_epoch"]
    epochs = np.arange(1.0, len(envelope) + 1)
    allowed = loggable(trajectory["limit"] * envelope)[:horizon]
    drawn = draw_line(axes, epochs, loggable(envelope), f"envelope of {expected}", **LOSSES_STYLE)
    if len(allowed):
        low = axes.dataLim.y0 if drawn else allowed.min()
        axes.fill_between(
            epochs[:horizon], allowed, low, color=EXPECTED, alpha=0.15, linewidth=0,
            label=f"allowed: {trajectory['limit']} envelopes",
        )  # fmt: skip
    if horizon is not None:
        axes.axvline(horizon + 1, color=INK, linewidth=0.8, label="horizon")
    return drawn


# ---- budgets --------------------------------------------------------------------------------


@context(["default", STYLE])
def budgets(gradients: Mapping[str, Any], *, name: str, key: str) -> str:
    """SVG of the shares of their budgets that elements use, a row a parameter, on a log axis.

    The box holds the middle half of a gradient's elements, the line nine tenths of them, and the
    point is the worst. `gradients` is that verdict, `name` the architecture's; `key` starts every
    id.
    """
    rows = gradients["per_parameter"]
    figure, axes = new_figure(1.2 + 0.28 * len(rows))
    for place, row in enumerate(rows):
        _row(axes, place, row)
    axes.axvline(1, color=ACTUAL, linewidth=1.4)
    axes.text(1, -0.75, "limit ", color=ACTUAL, ha="right", va="center", fontsize=10)
    top = max(1.0, *(_drawable(row["worst"]) for row in rows))
    axes.set(
        xscale="log",
        xlim=(LOWEST / 1.5, 3 * top),
        ylim=(len(rows) - 0.4, -1.2),
        yticks=range(len(rows)),
        yticklabels=[row["parameter"] for row in rows],
        xlabel="|difference| / budget\nat the left edge $10^{-4}$ or less",
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


# ---- what the figures share -----------------------------------------------------------------


def _relative_difference(a: Array, b: Array) -> Array:
    with np.errstate(all="ignore"):
        difference: Array = np.abs(a - b) / np.abs(b)
    return difference


def _limit(axes: Axes, curves: Curves) -> None:
    """Show the data, and predictions as far as they are off by no more than the data's range."""
    low, high = curves.y.min(), curves.y.max()
    span = (high - low) or 1.0
    both = np.concatenate([curves.y, curves.prediction_actual, curves.prediction_expected])
    inside = np.clip(both[np.isfinite(both)], low - span, high + span)
    axes.set_ylim(inside.min() - 0.05 * span, inside.max() + 0.05 * span)


def _note(axes: Axes, text: str) -> None:
    axes.set_title(text, loc="left", fontsize=10)


def _equality(a: Array, b: Array) -> str:
    """In words, at how many epochs losses are equal numbers; at all, if NaN meets NaN."""
    same = (a == b) & (np.signbit(a) == np.signbit(b))
    if (same | np.isnan(a) & np.isnan(b)).all():
        return f"losses equal in every bit at all {len(a):,} epochs"
    count = np.count_nonzero(same & np.isfinite(a))
    return f"losses equal in every bit at {count:,} of {len(a):,} epochs" if count else ""
