"""The picture of `parity bench --scaling`."""

from collections.abc import Mapping
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter

COLOURS = {
    "minigrad": "#0072b2",
    "minigrad-captured": "#56b4e9",
    "torch": "#d55e00",
    "torch-compile": "#e69f00",
    "numpy-floor": "#000000",
    "jax": "#009e73",
    "jax-scan": "#00c896",
}
"""Of the engines that are in every such picture; the others take what is left."""

OTHERS = ("#cc79a7", "#8c564b", "#7f7f7f", "#bcbd22", "#9467bd", "#e377c2")
MARKERS = "osD^v<>PX*hp"
TITLES = {
    "width": "two hidden layers of this width, 100 samples",
    "batch": "1-16-16-1, this many samples",
    "depth": "this many hidden layers of 16, 100 samples",
}


def scaling_picture(found: Mapping[str, Any]) -> Figure:
    """Return time per step against width, batch and depth, on log axes.

    The dotted line is the time that the matrix products alone would take at the machine's measured
    peak, which none can go below.
    """
    figure = Figure(figsize=(13, 4.6), layout="constrained", dpi=120)
    axes: list[Axes] = list(figure.subplots(1, len(TITLES), sharey=True))
    engines = list(dict.fromkeys(name for point in found["points"] for name in point["times"]))
    spare = iter(OTHERS)
    colours = {name: COLOURS.get(name) or next(spare, "#999999") for name in engines}
    for each, (axis, title) in zip(axes, TITLES.items(), strict=True):
        points = [point for point in found["points"] if point["axis"] == axis]
        for i, name in enumerate(engines):
            timed = [p for p in points if "median_s" in p["times"].get(name, {})]
            each.plot(
                [point["value"] for point in timed],
                [point["times"][name]["median_s"] for point in timed],
                color=colours[name],
                marker=MARKERS[i % len(MARKERS)],
                markersize=4,
                linestyle="--" if name == "numpy-floor" else "-",
                label=name,
            )
        each.plot(
            [point["value"] for point in points],
            [point["flops"] / found["matmul_flops_per_s"] for point in points],
            color="#555555",
            linestyle=":",
            label="matmul peak",
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
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=7)
    peak = found["matmul_flops_per_s"] / 1e9
    threads = "1 thread" if found["threads"] == 1 else f"{found['threads']} threads"
    figure.suptitle(f"Time per training step, {threads}; matmul peak {peak:,.0f} Gflop/s")
    return figure
