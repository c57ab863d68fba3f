"""The graph of a computation: what is drawn as one box, and what flows between the boxes."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import groupby

import numpy as np

from minigrad.explain.computation import Computation, Entry
from minigrad.explain.events import Values

MOST_SINGLE = 20
"""The most entries with a box each; of more, each layer is one box that includes its leaves."""

MOST_BOXES = 200
"""The most boxes; of more, the first and last hundred are drawn, with one box in between."""


@dataclass(eq=False)
class Box:
    """One or several entries in one place.

    Attributes:
        entries: those in it; the last is the one whose value leaves it.
        title, detail: its two lines of text.
        kind: 'operation', 'leaf', 'data' or 'gap'.
        arriving: what flows into it.
        rank: the row in which it is drawn; whatever leads to it is in a smaller one.
    """

    entries: list[Entry]
    title: str
    detail: str
    kind: str
    arriving: list[Edge] = field(default_factory=list)
    rank: int = 0

    @property
    def number(self) -> int:
        """The number of its last entry, which no other box has."""
        return self.entries[-1].number


@dataclass(eq=False)
class Edge:
    """A value on its way from a box to another.

    Attributes:
        entry: the value.
        norm: the Euclidean norm of its gradient; None where it has none, or it is not known.
    """

    source: Box
    target: Box
    entry: Entry
    norm: float | None


@dataclass
class Graph:
    """Boxes in creation order, edges, and sentences on what is drawn differently."""

    boxes: list[Box]
    edges: list[Edge]
    notes: list[str]


def graph(computation: Computation) -> Graph:
    """Return the graph of a computation; a large one is simplified."""
    entries = computation.entries
    notes = []
    if len(entries) <= MOST_SINGLE:
        groups = [[entry] for entry in entries]
    else:
        groups = _layers(entries)
        if len(groups) < len(entries):
            notes.append("A layer is one box; what it alone uses is in it.")
    boxes = [_box(group) for group in groups]
    if len(boxes) > MOST_BOXES:
        half = MOST_BOXES // 2
        middle = boxes[half:-half]
        left_out = [entry for box in middle for entry in box.entries]
        gap = Box(left_out, f"… {len(middle):,} left out …", "", "gap")
        boxes = [*boxes[:half], gap, *boxes[-half:]]
        notes.append(
            f"{len(middle):,} boxes in the middle are left out: the first and the last {half} of "
            f"{len(middle) + 2 * half:,} are drawn."
        )
    edges = _edges(boxes)
    _rank(boxes, edges)
    return Graph(boxes, edges, notes)


def _layers(entries: list[Entry]) -> list[list[Entry]]:
    """Group the operations of each call of a layer, and the leaves with those that use them."""
    operations = [entry for entry in entries if entry.is_operation]
    groups = [list(group) for _, group in groupby(operations, lambda entry: entry.layer or entry)]
    group_of = {entry: group for group in groups for entry in group}
    users: dict[Entry, list[Entry]] = {}
    for entry in entries:
        for parent in entry.parents:
            users.setdefault(parent, []).append(entry)
    for entry in entries:
        if entry.is_operation:
            continue
        used_in = {id(group_of[user]): group_of[user] for user in users.get(entry, [])}
        if entry.node is not None and len(used_in) == 1:
            group = next(iter(used_in.values()))
            group.insert(sum(not other.is_operation for other in group), entry)
        else:
            groups.append([entry])
    return sorted(groups, key=lambda group: group[-1].number)


def _box(entries: list[Entry]) -> Box:
    last = entries[-1]
    if last.node is None:
        return Box(entries, last.name, "data", "data")
    if not last.is_operation:
        return Box(entries, last.name, "leaf", "leaf")
    names = list(dict.fromkeys(entry.name for entry in entries if entry.is_operation))
    inside = [entry.name.rpartition(".")[2] for entry in entries if not entry.is_operation]
    layer = "" if last.operation is None else f"{last.layer} {last.operation.layer_type}".strip()
    detail = " + ".join(inside) if inside else layer
    title = " ".join(names) if len(names) < 3 else f"{names[0]} … {names[-1]}"
    if inside and layer:
        title = layer
    return Box(entries, title, detail, "operation")


def _edges(boxes: list[Box]) -> list[Edge]:
    box_of = {entry: box for box in boxes for entry in box.entries}
    found: dict[tuple[int, int, int], Edge] = {}
    for box in boxes:
        for entry in box.entries:
            for parent in entry.parents:
                source = box_of[parent]
                if source is not box:
                    key = (id(source), id(box), 0 if source.kind == "gap" else parent.number)
                    found.setdefault(key, Edge(source, box, parent, norm(parent.gradient)))
    for edge in found.values():
        edge.target.arriving.append(edge)
    return list(found.values())


def norm(values: Values | None) -> float | None:
    """Return the Euclidean norm, in float64; None without values."""
    return None if values is None else float(np.linalg.norm(values.astype(float)))


def _rank(boxes: list[Box], edges: list[Edge]) -> None:
    """Set each box's row: operations below all they use, leaves right above their first use."""
    for box in boxes:
        box.rank = 1 + max((edge.source.rank for edge in box.arriving), default=-1)
    for box in boxes:
        if not box.arriving:
            box.rank = min((e.target.rank for e in edges if e.source is box), default=1) - 1
