"""The picture of `parity bench --scaling`."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter

COLOURS = {
    "minigrad": "#0072b2",
    "minigrad-captured": "#56b4e9",
    "minigrad-ensemble": "#009e73",
    "minigrad-reproducible": "#cc79a7",
    "torch": "#d55e00",
}
"""Of the project's own engines and of torch in its ordinary mode; all others are grey."""

PEER = "#a0a0a0"
PEAK = "matrix products alone"
TITLES = {
    "width": "two hidden layers of this width, 100 samples",
    "batch": "1-16-16-1, this many samples",
    "depth": "this many hidden layers of 16, 100 samples",
}
GAP = 0.05
"""The least distance of two labels, as a share of the height of the axes."""


def scaling_picture(found: Mapping[str, Any]) -> Figure:
    """Return time per step against width, batch and depth, on log axes.

    The dotted line is the time that the matrix products alone would take at the machine's measured
    peak, which none can go below. Lines have their names at their right ends, in the last panel.
    """
    figure = Figure(figsize=(13, 4.6), layout="constrained", dpi=120)
    axes: list[Axes] = list(figure.subplots(1, len(TITLES), sharey=True))
    engines = list(dict.fromkeys(name for point in found["points"] for name in point["times"]))
    engines.sort(key=lambda name: name in COLOURS)  # these lie above the others
    for each, (axis, title) in zip(axes, TITLES.items(), strict=True):
        points = [point for point in found["points"] if point["axis"] == axis]
        for name in engines:
            timed = [p for p in points if "median_s" in p["times"].get(name, {})]
            each.plot(
                [point["value"] for point in timed],
                [point["times"][name]["median_s"] for point in timed],
                color=COLOURS.get(name, PEER),
                linewidth=2 if name in COLOURS else 1,
                marker="." if name in COLOURS else None,
                label=name,
            )
        each.plot(
            [point["value"] for point in points],
            [point["flops"] / found["matmul_flops_per_s"] for point in points],
            color="black",
            linestyle=":",
            label=PEAK,
        )
        each.set(xscale="log", yscale="log", xlabel=axis)
        each.set_title(title, fontsize="medium")
        each.grid(which="major", alpha=0.3)
        each.yaxis.set_major_formatter(EngFormatter(unit="s"))
        each.xaxis.set_major_formatter(EngFormatter(sep=""))
    axes[0].set_ylabel("time per training step")
    times = [t.get("median_s") for point in found["points"] for t in point["times"].values()]
    # The line of the peak goes on below.
    axes[0].set_ylim(bottom=min(filter(None, times), default=1e-6) / 1.5)
    _name_lines(axes[-1])
    peak = found["matmul_flops_per_s"] / 1e9
    threads = "1 thread" if found["threads"] == 1 else f"{found['threads']} threads"
    figure.suptitle(f"Time per training step, {threads}; matmul peak {peak:,.0f} Gflop/s")
    return figure


def _name_lines(axes: Axes) -> None:
    """Write the name of each line to the right of the axes, at the height of its last point.

    Names that would lie upon each other are moved apart.
    """
    low, high = np.log(axes.get_ylim())
    lines = [line for line in axes.get_lines() if len(np.atleast_1d(line.get_ydata()))]
    ends = [float(np.atleast_1d(line.get_ydata())[-1]) for line in lines]
    wanted = (np.log(ends) - low) / (high - low)
    order = np.argsort(wanted)
    heights = spread(wanted[order], GAP)
    for height, line in zip(heights, (lines[i] for i in order), strict=True):
        axes.text(
            1.03, height, str(line.get_label()), color=str(line.get_color()), va="center",
            transform=axes.transAxes, fontsize="small",
        )  # fmt: skip


def spread(wanted: Any, gap: float) -> Any:
    """Return ascending heights at least `gap` apart, as near to the wanted, ascending ones.

    That is isotonic regression of what is left when the gaps are taken out, (n,) each.
    """
    from scipy.optimize import isotonic_regression  # takes long to load

    steps = gap * np.arange(len(wanted))
    return isotonic_regression(wanted - steps).x + steps if len(wanted) else wanted
