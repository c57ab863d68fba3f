"""The results of the trials, as tables for the terminal and as a picture."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from matplotlib.figure import Figure
from matplotlib.style import context
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from parity.report.figure import to_png
from parity.tables import Trimmed

LABELS = {
    "parity": "parity run --quick",
    "assert_close": "assert_close on the networks' gradients",
    "probes": "assert_close on all values of the probes",
    "final_mse": "final MSE within a relative 1e-3",
    "finite_differences": "finite differences of the small networks",
}


def table(document: dict[str, Any]) -> RenderableType:
    """Return what caught each defect and where, what the usual practice catches, and the counts."""
    found = Table("defect", "caught by", "located at", "usual practice", box=None, pad_edge=False)
    for column in found.columns:
        column.overflow = "fold"
    for entry in document["trials"]:
        named = next(filter(None, map(_place, entry["located"])), "nowhere")
        wanted = "" if entry["right"] else f", not {' or '.join(entry['node'])}"
        practices = (name for name, objection in entry["practices"].items() if objection)
        found.add_row(
            entry["name"],
            _text(_listed(entry["caught_by"]) or "missed", entry["caught"]),
            _text(named + wanted, entry["right"]),
            _listed(practices) or "-",
        )
    return Trimmed(Group(found, Text(), _counts(document)))


def _counts(document: dict[str, Any]) -> Table:
    """Return how many defects each judge catches, and how many correct runs it fails."""
    found = Table(
        "judge", "defects caught", "located", "correct runs failed", box=None, pad_edge=False
    )
    for name, counts in document["judges"].items():
        located = f"{document['located']} of {document['defects']}" if name == "parity" else "-"
        found.add_row(
            {"parity": "parity run --quick"}.get(name, name.replace("_", " ")),
            f"{counts['caught']} of {document['defects']}",
            located,
            f"{counts['false_alarms']} of {document['correct_runs']}",
        )
    return found


def _place(place: dict[str, Any]) -> str | None:
    """Return where a verdict located a failure; of a draw, the tensor."""
    found: str | None = place.get("rule", place.get("parameter"))
    if found is None and place["verdict"] == "probes":
        return f"probe {place['where']}"
    return found


def _listed(names: Iterable[str]) -> str:
    return ", ".join(name.replace("_", " ") for name in names)


def _text(words: str, good: bool) -> Text:
    return Text(words, "" if good else "bold red")


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
    return to_png(figure)


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
