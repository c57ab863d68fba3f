"""The results of the trials as tables for the terminal."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from parity.report.trimmed import Trimmed


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
