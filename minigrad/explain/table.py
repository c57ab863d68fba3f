"""The tape as a table, and how shapes and numbers are written."""

from textwrap import wrap
from typing import NamedTuple

import numpy as np

from minigrad.explain.computation import Computation, Entry
from minigrad.explain.events import Values

MOST_ROWS = 200
"""The most rows; of more entries, the first and the last hundred are shown."""

HEADINGS = ("#", "value", "shape", "from", "range", "gradient", "made by")


class Row(NamedTuple):
    """The cells of an entry, in the order of `HEADINGS`."""

    number: str
    name: str
    shape: str
    inputs: str
    value: str
    gradient: str
    line: str


def rows(computation: Computation) -> list[Row | int]:
    """Return the rows; a number stands for as many rows that are left out."""
    entries = computation.entries
    found: list[Row | int] = [row(entry) for entry in kept(entries)]
    if len(entries) > MOST_ROWS:
        found.insert(MOST_ROWS // 2, len(entries) - MOST_ROWS)
    return found


def kept(entries: list[Entry]) -> list[Entry]:
    """Return the entries that are shown."""
    if len(entries) <= MOST_ROWS:
        return entries
    return entries[: MOST_ROWS // 2] + entries[-(MOST_ROWS // 2) :]


def row(entry: Entry) -> Row:
    """Return the cells of an entry."""
    line = "" if entry.line is None else f"{entry.line}  {entry.line.text}"
    return Row(
        str(entry.number),
        entry.name,
        shape_text(entry.shape),
        " ".join(input_text(value) for value in entry.inputs),
        range_text(entry.value),
        "needs none" if entry.node is None else range_text(entry.gradient),
        line,
    )


def shape_text(shape: tuple[int, ...]) -> str:
    """Return a shape in a few characters: `100×16`, and `scalar` without axes."""
    return "×".join(map(str, shape)) if shape else "scalar"


def input_text(value: object) -> str:
    """Return an entry's number as `#3`; a Python number, and anything else, as it is."""
    return f"#{value.number}" if isinstance(value, Entry) else "?" if value is None else str(value)


def range_text(values: Values | None) -> str:
    """Return the smallest and the largest value, or the only one; say if some are not finite."""
    if values is None:
        return "–"
    if values.size == 0:
        return "empty"
    finite = values[np.isfinite(values)] if values.dtype.kind == "f" else values
    if finite.size == 0:
        return "not finite"
    low, high = finite.min(), finite.max()
    said = number_text(low) if low == high else f"{number_text(low)} … {number_text(high)}"
    others = values.size - finite.size
    return f"{said}, {others} not finite" if others else said


def number_text(value: object) -> str:
    """Return a number with four digits."""
    return f"{float(value):.4g}"  # type: ignore[arg-type]


def text(computation: Computation, width: int) -> str:
    """Return the table for a terminal of this width: a row takes one line, or up to three."""
    found = rows(computation)
    cells = [HEADINGS, *(row for row in found if isinstance(row, Row))]
    widths = [max(len(row[i]) for row in cells) for i in range(len(HEADINGS))]
    in_one_line = sum(widths[:6]) + 2 * 6 + 24 <= width
    lines = []
    for row in [Row(*HEADINGS), *found]:
        if isinstance(row, int):
            lines.append(f"… {row:,} values left out …")
            continue
        padded = [cell.ljust(size) for cell, size in zip(row, widths, strict=True)]
        padded[0] = row.number.rjust(widths[0])
        if in_one_line:
            lines.append(_fit("  ".join(padded[:6]) + "  " + row.line, width))
            continue
        lines.append(_fit("  ".join(padded[:4]), width))
        indent = " " * (widths[0] + 4)
        lines.append(_fit(f"{indent}{padded[4]}  ∂ {row.gradient}", width))
        if row.line and row.number != HEADINGS[0]:
            lines.append(_fit(indent + row.line, width))
    head = f"{computation.title}: {count_text(computation)}"
    return "\n".join([*_wrapped(head, width), "", *lines, *_notes(computation, width)])


def count_text(computation: Computation) -> str:
    """Return how many values there are of which kind."""
    operations = sum(entry.is_operation for entry in computation.entries)
    leaves = sum(entry.node is not None for entry in computation.entries) - operations
    data = len(computation.entries) - operations - leaves
    counted = ((operations, "operation"), (leaves, "leaf"), (data, "input without gradient"))
    plural = {"leaf": "leaves", "input without gradient": "inputs without gradient"}
    said = [f"{n:,} {w if n == 1 else plural.get(w, w + 's')}" for n, w in counted if n]
    return ", ".join(said) + "."


def _notes(computation: Computation, width: int) -> list[str]:
    return [line for note in computation.missing for line in ("", *_wrapped(note, width))]


def _wrapped(said: str, width: int) -> list[str]:
    return wrap(said[0].upper() + said[1:], width)


def _fit(line: str, width: int) -> str:
    line = line.rstrip()
    return line if len(line) <= width else line[: width - 1] + "…"
