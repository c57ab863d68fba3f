"""The picture of the trials: what each judge catches, and how often it fails a correct engine."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

from matplotlib.figure import Figure
from matplotlib.style import context

LABELS = {
    "parity": "parity run --quick",
    "assert_close": "assert_close on the networks' gradients",
    "probes": "assert_close on all values of the probes",
    "final_mse": "final MSE within a relative 1e-3",
    "finite_differences": "finite differences of the small networks",
}


def plot(document: Mapping[str, Any]) -> bytes:
    """Return the picture as PNG; `document` is the content of `detection.json`."""
    total, runs = document["defects"], document["correct_runs"]
    judges = document["judges"].items()
    caught = [(LABELS[name], counts["caught"], total) for name, counts in judges]
    alarms = [(LABELS[name], counts["false_alarms"], runs) for name, counts in judges]
    with context("default"):
        figure = Figure(figsize=(10, 2.6), dpi=150, layout="constrained")
        left, right = figure.subplots(1, 2, sharey=True, width_ratios=(2, 1))
        _bars(left, caught, "tab:blue")
        _bars(right, alarms, "tab:red")
        left.set(title=f"Caught of {total} planted defects", xlabel="share")
        right.set(title=f"Failed of {runs} correct runs", xlabel="share")
        left.invert_yaxis()
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def _bars(axes: Any, rows: list[tuple[str, int, int]], color: str) -> None:
    """Draw a share of a total for each row, with both numbers beside it."""
    shares = [count / total if total else 0.0 for _, count, total in rows]
    axes.barh([label for label, _, _ in rows], shares, color=color, height=0.6)
    for place, (share, (_, count, total)) in enumerate(zip(shares, rows, strict=True)):
        inside = share > 0.5
        axes.text(
            share + (-0.01 if inside else 0.01),
            place,
            f"{count} of {total}",
            va="center",
            ha="right" if inside else "left",
            color="white" if inside else "black",
        )
    axes.set(xlim=(0, 1))
