"""What the page shows of arrays: small ones whole, large ones as means of blocks."""

import json
import math
from typing import Any

import numpy as np

from minigrad.explain.computation import Entry
from minigrad.explain.events import Code, Values

MOST_WHOLE = 2048
"""The most elements of an array that is shown whole."""

MOST_BLOCKS = 24
"""The most blocks along each axis."""

RULE = (
    f"A tensor of at most {MOST_WHOLE:,} elements is shown element by element. Of a larger one "
    f"each cell is the mean of a block, at most {MOST_BLOCKS} × {MOST_BLOCKS} blocks of equal size "
    "up to one row or column; ranges and norms are always those of all elements."
)


class Shown:
    """Arrays and source lines of the page: each is stored once and known by its number.

    Attributes:
        arrays: summaries of arrays.
        codes: lines of source.
    """

    def __init__(self) -> None:
        self.arrays: list[dict[str, Any]] = []
        self.codes: list[dict[str, Any]] = []
        self._known: dict[Any, int] = {}

    def array(self, values: Values | None) -> int | None:
        """Return the number of an array; None for None."""
        if values is None:
            return None
        key = values.shape, str(values.dtype), values.tobytes()
        if key not in self._known:
            self._known[key] = len(self.arrays)
            self.arrays.append(summary(values))
        return self._known[key]

    def figure(
        self, name: str, values: Any, of: Entry | Any, kind: str = "value", note: str = ""
    ) -> dict[str, Any]:
        """Return how the page shows a value.

        Args:
            name: what the value is called here.
            values: an array, or a number.
            of: the entry that it belongs to; the number itself for a number.
            kind: what it is of the entry: its "value", its "gradient", or what an optimizer's step
                made of it, "updated", or kept of it, "buffer".
            note: stands beside the name; by default the name of the entry.
        """
        return {
            "kind": "tensor",
            "name": name,
            "note": note or maker(of),
            "of": f"{kind} {of.number}" if isinstance(of, Entry) else None,
            "array": self.array(values) if isinstance(values, np.ndarray) else None,
            "text": short(values),
        }

    def code(self, code: Code) -> int:
        """Return the number of lines of source."""
        if code not in self._known:
            self._known[code] = len(self.codes)
            self.codes.append(code._asdict())
        return self._known[code]


def maker(value: Entry | Any) -> str:
    """Return the name of what made an input; a number as it is."""
    return value.name if isinstance(value, Entry) else str(value)


def group(title: str, figures: list[dict[str, Any]]) -> dict[str, Any]:
    """Return figures that stand under one title."""
    return {"title": title, "figures": figures}


def short(value: Any) -> str:
    """Return a value as Python writes it, on one line and not too long."""
    said = " ".join(repr(value).split())
    return said if len(said) <= 80 else said[:79] + "…"


def as_table(values: Values) -> Values:
    """Return the values with two axes: the last one across, all others down."""
    columns = values.shape[-1] if values.ndim else 1
    return values.reshape(math.prod(values.shape[:-1]), columns)


def block_means(table: Values) -> tuple[Values, list[int], list[int]]:
    """Return the mean of each block, computed in float64, and where its rows and columns begin."""
    rows, columns = (_starts(length) for length in table.shape)
    with np.errstate(all="ignore"):  # values that are not finite give means that are not
        sums = np.add.reduceat(table.astype(float), rows[:-1], axis=0)
        sums = np.add.reduceat(sums, columns[:-1], axis=1)
        means = sums / np.diff(rows).reshape(-1, 1) / np.diff(columns)
    return means, rows, columns


def _starts(length: int) -> list[int]:
    """Return where blocks of nearly equal length begin, and after them the end."""
    blocks = min(length, MOST_BLOCKS)
    return [i * length // blocks for i in range(blocks + 1)]


def summary(values: Values) -> dict[str, Any]:
    """Return what the page needs to know of an array; `cells` is JSON text already.

    Cells have the shortest digits that give back the same value of the array's dtype; means are
    rounded to float32. A value that is not finite is a string.
    """
    table = as_table(values)
    cells = table
    rows: list[int] = []
    columns: list[int] = []
    if values.size > MOST_WHOLE:
        means, rows, columns = block_means(table)
        with np.errstate(over="ignore"):
            cells = means.astype(np.float32)
    finite = values[np.isfinite(values)] if values.dtype.kind == "f" else values
    with np.errstate(over="ignore"):
        norm = float(np.linalg.norm(finite.astype(float)))
    return {
        "shape": list(values.shape),
        "dtype": str(values.dtype),
        "size": list(cells.shape),
        "rows": rows,
        "columns": columns,
        "low": digits(finite.min()) if finite.size else "",
        "high": digits(finite.max()) if finite.size else "",
        "norm": f"{norm:.4g}",
        "strange": int(values.size - finite.size),
        "cells": cells,
    }


def digits(value: Any) -> str:
    """Return the shortest digits that give back the value in its dtype."""
    return str(value.item() if value.dtype.kind != "f" else np.asarray(value).astype(str))


def json_of(summaries: list[dict[str, Any]]) -> str:
    """Return summaries as JSON."""
    found = []
    for summary in summaries:
        cells = summary["cells"]
        rest = {key: value for key, value in summary.items() if key != "cells"}
        found.append(f'{json.dumps(rest)[:-1]}, "cells": [{",".join(_written(cells))}]}}')
    return f"[{','.join(found)}]"


def _written(cells: Values) -> list[str]:
    if cells.dtype.kind != "f":
        return [json.dumps(value) for value in cells.ravel().tolist()]
    written: list[str] = cells.ravel().astype(str).tolist()
    if np.isfinite(cells).all():
        return written
    return [text if text[-1].isdigit() or text[-1] == "." else f'"{text}"' for text in written]
