"""The picture of a calibration: false alarms against z, and defects caught against their size."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from matplotlib.figure import Figure
from matplotlib.style import context

from parity.evidence.calibration.measure import FACTORS
from parity.report.figure import to_png


def plot(document: Mapping[str, Any]) -> bytes:
    """Return the picture as PNG; `document` is the content of `calibration.json`."""
    with context("default"):
        figure = Figure(figsize=(10, 4.2), dpi=150, layout="constrained")
        left, right = figure.subplots(1, 2)
        _false_alarms(left, document)
        _caught(right, document)
    return to_png(figure)


def _false_alarms(axes: Any, document: Mapping[str, Any]) -> None:
    total, curve = document["comparisons"], document["curve"]
    for kind, label, style in (
        ("gradients", "an element of a gradient", "-"),
        ("parameters", "an element of an updated parameter", "--"),
        ("loss", "the loss", ":"),
        ("aggregate", "a gradient's scale or bias (aggregate)", "-."),
    ):
        points = [(point["z"], point[kind] / total) for point in curve if point[kind]]
        if points:
            axes.plot(*zip(*points, strict=True), style, label=label, marker=".", markersize=4)
    axes.axvline(document["z"], color="black", linewidth=1)
    axes.text(document["z"] + 0.1, 0.5, f"z = {document['z']:g}, used", va="center")
    axes.set(
        xlabel="z, in standard deviations of a difference",
        ylabel="share of comparisons beyond z",
        title=f"Correct engines: {total:,} steps of minigrad and torch",
        yscale="log",
        xlim=(0, 8),
        ylim=(0.5 / total, 1.5),
    )
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small", loc="center right")


def _caught(axes: Any, document: Mapping[str, Any]) -> None:
    for architecture, color in (("rightfit", "tab:blue"), ("overfit", "tab:red")):
        rows = {
            row["defect"]: row["caught"]
            for row in document["detection"]
            if (row["architecture"], row["dtype"]) == (architecture, "float32")
        }
        for judge, style in (("either", "-"), ("element", "--"), ("aggregate", ":")):
            points = [
                (factor, rows[name][judge])
                for factor in FACTORS
                if (name := f"× (1 + {factor:.0e})".replace("e-0", "e-")) in rows
            ]
            if points:
                axes.plot(
                    *zip(*points, strict=True),
                    style,
                    color=color,
                    marker=".",
                    label=f"{architecture}: {judge}",
                )
    axes.set(
        xscale="log",
        xlabel="ε: one gradient is multiplied by 1 + ε",
        ylabel="share caught",
        ylim=(-0.03, 1.05),
        title="Planted defects, float32",
    )
    axes.grid(alpha=0.3)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(fontsize="small")
