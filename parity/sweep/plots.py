"""`sweep.png`: the distributions of final MSE, pair by pair too, and of the horizon."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.style import context
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from parity.report.figure import ACTUAL, EXPECTED
from parity.sweep.compare import final_mse
from parity.sweep.database import Row
from parity.sweep.plan import Plan, Rows

STYLES: tuple[dict[str, Any], ...] = (
    {"color": ACTUAL, "linewidth": 1.4, "linestyle": (0, (4, 2))},
    {"color": EXPECTED, "linewidth": 4.0, "alpha": 0.55},
)
"""Lines of the engine under test, and of the reference, which is wider and lies below."""


@context("default")
def picture(plan: Plan, results: Mapping[str, tuple[Rows, Rows]]) -> Figure:
    """Return a figure with a row for each network; the engine's name and the shares in words."""
    figure = Figure(figsize=(13, 3.6 * len(results) + 0.4), dpi=100, layout="constrained")
    panels = figure.subplots(len(results), 3, squeeze=False)
    for (name, (actual, expected)), row in zip(results.items(), panels, strict=True):
        seeds = sorted(actual.keys() & expected.keys())
        ours, theirs = [actual[seed] for seed in seeds], [expected[seed] for seed in seeds]
        row[0].set_title(f"{name}: {len(seeds):,} seeds, {plan.dtype}", loc="left")
        _distributions(row[0], plan, ours, theirs)
        _pairs(row[1], plan, ours, theirs)
        _horizons(row[2], plan, theirs)
    return figure


def _distributions(axes: Axes, plan: Plan, actual: Sequence[Row], expected: Sequence[Row]) -> None:
    """Draw the share of seeds that end at or below each final MSE, diverged ones left out."""
    for engine, rows, style in (
        (plan.against, expected, STYLES[1]),
        (plan.engine, actual, STYLES[0]),
    ):
        values = np.sort(final_mse(rows))
        zeros = np.count_nonzero(values <= 0)  # which a log axis has no place for
        finite = values[zeros:][np.isfinite(values[zeros:])]
        shares = (zeros + np.arange(len(finite) + 1)) / max(len(values), 1)
        gone = np.count_nonzero(np.isinf(values))
        label = engine + (f" ({100 * gone / len(values):.1f} % diverged)" if gone else "")
        if len(finite):
            axes.step(np.append(finite[:1], finite), shares, where="post", label=label, **style)
            axes.set_xscale("log")
            _log(axes.xaxis)
    axes.set(xlabel="final MSE", ylabel="share of the seeds", ylim=(0, 1.02))
    _finish(axes)


def _pairs(axes: Axes, plan: Plan, actual: Sequence[Row], expected: Sequence[Row]) -> None:
    """Draw each seed's two results; on the diagonal they are equal."""
    ours, theirs = final_mse(actual), final_mse(expected)
    both = np.isfinite(ours) & np.isfinite(theirs) & (ours > 0) & (theirs > 0)
    if both.any():
        shown = np.concatenate([ours[both], theirs[both]])
        low, high = shown.min() / 1.1, shown.max() * 1.1  # apart even where the values are not
        axes.plot([low, high], [low, high], color="#888888", linewidth=0.8)
        axes.plot(theirs[both], ours[both], "o", markersize=2.5, alpha=0.5, color=ACTUAL)
        axes.set(xscale="log", yscale="log")
        _log(axes.xaxis)
        _log(axes.yaxis)
        axes.set(xlim=(low, high), ylim=(low, high))
    axes.set_title("each seed: equal on the line", loc="left", fontsize="medium")
    axes.set(xlabel=f"final MSE of {plan.against}", ylabel=f"final MSE of {plan.engine}")
    _finish(axes)


def _horizons(axes: Axes, plan: Plan, expected: Sequence[Row]) -> None:
    """Draw at which epochs seeds stop being predictable."""
    sought = [row.horizon_epoch for row in expected if row.horizon_runs]
    epochs = [epoch for epoch in sought if epoch is not None]
    said = f"{len(epochs):,} of {len(sought):,} seeds have a horizon"
    axes.set_title(said if sought else "no horizon was sought", loc="left", fontsize="medium")
    if not epochs:
        axes.set_axis_off()
        return
    axes.hist(epochs, bins=min(40, 5 + len(epochs) // 5), color=EXPECTED)
    axes.set(xlabel=f"horizon of {plan.against}, epoch", ylabel="seeds")
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    _finish(axes)


def _log(axis: Axis) -> None:
    """Let a logarithmic axis show plain numbers, also where it has no power of ten."""
    axis.set_major_locator(LogLocator(subs=(1, 1.5, 2, 3, 5, 7)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())


def _finish(axes: Axes) -> None:
    axes.grid(visible=True, alpha=0.25)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(loc="lower right")
