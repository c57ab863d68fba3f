"""Drawing a graph, as SVG and for Graphviz: values flow downwards, gradients upwards."""

import json
import math
from html import escape
from itertools import groupby
from operator import attrgetter
from typing import NamedTuple

from minigrad.explain.graph import Box, Edge, Graph
from minigrad.explain.table import number_text, shape_text

WIDE, HIGH = 112, 36
ACROSS, DOWN = 126, 78
MARGIN = 20
"""Pixels: size of a box, distances between boxes, and the margin."""

LANE, LABEL = 26, 52
"""Pixels between the lanes, left of a column, of what passes by other boxes; and for a label."""

APART = 8
"""Pixels from the middle of a box to the line of a value, and to that of a gradient."""

THINNEST, THICKEST = 1.5, 7.0
"""Pixels: the lines of the smallest and of the largest gradient."""


class Placed(NamedTuple):
    """Where a box is drawn: its left upper corner."""

    x: float
    y: float


def svg(graph: Graph) -> str:
    """Return the picture, to be styled by what is around it."""
    places = _place(graph)
    width = max((place.x for place in places.values()), default=0) + WIDE + MARGIN
    height = max((place.y for place in places.values()), default=0) + HIGH + MARGIN
    lanes = _lanes(graph.edges, places)
    first = [lane for edge, lane in lanes.items() if places[edge.source].x == MARGIN]
    left = max(0, LANE * (1 + max(first, default=-1)) + LABEL - MARGIN) if first else 0
    thickness = _thickness(graph.edges)
    arrivals = _arrivals(graph.boxes, places)
    labelled = {(edge.source, edge.entry): edge for edge in reversed(graph.edges)}.values()
    turns = {(place, box) for e in lanes for place, box in ((0, e.source), (1, e.target))}

    def label(edge: Edge) -> str:
        if edge.source.kind == "gap" or edge not in labelled:
            return ""
        crossed = edge not in lanes and ((0, edge.source) in turns or (1, edge.target) in turns)
        return "right" if crossed else "left"

    lines = [
        _edge(edge, places, arrivals[edge], thickness, lanes.get(edge), label(edge))
        for edge in graph.edges
    ]
    boxes = [_box(box, places[box]) for box in graph.boxes]
    fits = " fits" if left + width <= 450 else ""  # may be made smaller where there is little room
    said = f"{len(graph.boxes)} boxes: values flow downwards, gradients upwards"
    return (
        f'<svg class="graph{fits}" xmlns="http://www.w3.org/2000/svg" role="group" '
        f'aria-label="{said}" width="{left + width:g}" '
        f'height="{height:g}" viewBox="{-left:g} 0 {left + width:g} {height:g}">'
        f"{_arrow('ahead')}{_arrow('back')}"
        f"{''.join(lines)}{''.join(boxes)}</svg>"
    )


def _arrow(name: str) -> str:
    return (
        f'<marker id="arrow-{name}" class="{name}" viewBox="0 0 8 8" refX="7" refY="4" '
        'markerUnits="userSpaceOnUse" markerWidth="9" markerHeight="9" orient="auto">'
        '<path d="M0 0 8 4 0 8z"/></marker>'
    )


def _place(graph: Graph) -> dict[Box, Placed]:
    """Place each box near those it comes from, the leaves to the right of the operations."""
    columns: dict[Box, float] = {}
    rank = attrgetter("rank")
    first = min(map(rank, graph.boxes), default=0)
    for _, row in groupby(sorted(graph.boxes, key=rank), rank):
        wished: list[tuple[float, int, Box]] = []
        for box in row:
            sources = [edge.source for edge in box.arriving]
            known = [columns[s] for s in sources if s in columns and s.arriving]
            beside = min((columns[s] for s in sources if s in columns), default=math.inf)
            place = sum(known) / len(known) if known else beside
            wished.append((place, box.number, box))
        free = 0.0
        for place, _, box in sorted(wished, key=lambda wish: wish[:2]):
            columns[box] = free if math.isinf(place) else max(free, float(round(place)))
            free = columns[box] + 1
    return {
        box: Placed(MARGIN + ACROSS * columns[box], MARGIN + DOWN * (box.rank - first))
        for box in graph.boxes
    }


def _lanes(edges: list[Edge], places: dict[Box, Placed]) -> dict[Edge, int]:
    """Return the lane, 0 next to the boxes, of each edge that passes by boxes of its own column."""
    lanes: dict[Edge, int] = {}

    def height(edge: Edge) -> float:
        return places[edge.target].y - places[edge.source].y

    for edge in sorted(edges, key=height):
        (x, y), (to, end) = places[edge.source], places[edge.target]
        if x == to and end - y > DOWN:
            taken = {
                lane
                for other, lane in lanes.items()
                if places[other.source].x == x
                and places[other.source].y < end
                and y < places[other.target].y
            }
            lanes[edge] = next(lane for lane in range(len(taken) + 1) if lane not in taken)
    return lanes


def _thickness(edges: list[Edge]) -> dict[Edge, float]:
    """Return the thickness of each gradient's line, linear in the logarithm of its norm."""
    norms = {e: e.norm for e in edges if e.norm is not None}
    logs = {e: math.log10(n) for e, n in norms.items() if 0 < n < math.inf}
    low, high = min(logs.values(), default=0.0), max(logs.values(), default=0.0)
    span = max(high - low, 1.0)
    return {
        edge: THINNEST + (THICKEST - THINNEST) * (logs[edge] - low) / span
        if edge in logs
        else (THICKEST if n else 0.75)
        for edge, n in norms.items()
    }


def _arrivals(boxes: list[Box], places: dict[Box, Placed]) -> dict[Edge, float]:
    """Return how far from the middle of its target's top each value arrives."""
    found: dict[Edge, float] = {}
    for box in boxes:
        arriving = box.arriving
        away = {edge: places[edge.source].x - places[box].x for edge in arriving}
        for sign in (-1, 1):
            side = sorted((e for e in arriving if sign * away[e] > 0), key=lambda e: abs(away[e]))
            step = min(17.0, (WIDE / 2 - 24) / max(len(side), 1))
            found |= {edge: sign * (24 + step * i) for i, edge in enumerate(side)}
        middle = [edge for edge in arriving if away[edge] == 0]
        found |= {edge: -6.0 * i for i, edge in enumerate(middle)}
    return found


def _edge(
    edge: Edge,
    places: dict[Box, Placed],
    arrival: float,
    thickness: dict[Edge, float],
    lane: int | None,
    label: str,
) -> str:
    source, target = places[edge.source], places[edge.target]
    top, bottom = source.y + HIGH, target.y
    start, end = source.x + WIDE / 2, target.x + WIDE / 2 + arrival
    straight = source.x == target.x
    reach = 0.5 * (bottom - top)
    aside = source.x - LANE * ((lane or 0) + 0.6)
    apart = APART if straight else APART / 2
    mark = f'data-from="{edge.source.number}" data-to="{edge.target.number}"'

    def curve(x0: float, y0: float, x1: float, y1: float, bend: float) -> str:
        if lane is None:
            return f"M{x0:g} {y0:g}C{x0:g} {y0 + bend:g} {x1:g} {y1 - bend:g} {x1:g} {y1:g}"
        x, turn = aside + (x0 > start) * APART, math.copysign(DOWN - HIGH, bend)
        out = f"{x0:g} {y0 + 0.7 * turn:g} {x:g} {y0 + 0.3 * turn:g} {x:g} {y0 + turn:g}"
        back = f"{x:g} {y1 - 0.3 * turn:g} {x1:g} {y1 - 0.7 * turn:g} {x1:g} {y1:g}"
        return f"M{x0:g} {y0:g}C{out}L{x:g} {y1 - turn:g}C{back}"

    ahead = curve(start - APART, top, end - apart, bottom - 1, reach)
    parts = [f'<path class="forward" {mark} d="{ahead}" marker-end="url(#arrow-ahead)"/>']
    if edge in thickness:
        back = curve(end + apart, bottom, start + APART, top + 1, -reach)
        said = f"gradient of {edge.entry.name}: norm {number_text(edge.norm)}"
        parts.append(
            f'<path class="backward" {mark} d="{back}" marker-end="url(#arrow-back)" '
            f'stroke-width="{thickness[edge]:.2f}"><title>{escape(said)}</title></path>'
        )
    if label:
        shape = escape(shape_text(edge.entry.shape))
        if source.x > target.x or label == "right":  # lines go to the left: the right is free
            x, y = start + APART + 8, (top + bottom) / 2 + 3 if straight else top + 14
            parts.append(f'<text class="label right" x="{x:g}" y="{y:g}">{shape}</text>')
        else:
            x = (
                (start + (end if straight else start)) / 2 - APART - 5
                if lane is None
                else aside - 5
            )
            y = (top + bottom) / 2 + 3 if straight else top + 14
            parts.append(f'<text class="label" x="{x:g}" y="{y:g}">{shape}</text>')
    return "".join(parts)


def _box(box: Box, place: Placed) -> str:
    x, y = place
    numbers = " ".join(str(entry.number) for entry in box.entries)
    texts = [(box.title, "title", 16 if box.detail else 22)]
    if box.detail:
        texts.append((box.detail, "detail", 29))
    lines = "".join(
        f'<text class="{kind}" x="{x + WIDE / 2:g}" y="{y + down:g}">{escape(_short(said))}</text>'
        for said, kind, down in texts
    )
    return (
        f'<g class="box {box.kind}" data-box="{box.number}" data-entries="{numbers}">'
        f"<title>{escape(_description(box))}</title>"
        f'<rect x="{x:g}" y="{y:g}" width="{WIDE}" height="{HIGH}" rx="6"/>{lines}</g>'
    )


def _short(said: str) -> str:
    return said if len(said) <= 18 else said[:17] + "…"


def _description(box: Box) -> str:
    if box.kind == "gap":
        return box.title
    return "\n".join(
        f"#{entry.number} {entry.name}, {shape_text(entry.shape)}" for entry in box.entries
    )


# ---- in the language of Graphviz --------------------------------------------------------------

SHAPES = {"operation": "box", "leaf": "ellipse", "data": "plaintext", "gap": "plaintext"}


def dot(drawn: Graph) -> str:
    """Return a digraph: values as lines, gradients as dashed lines with their norm."""
    lines = [f"// {note}" for note in drawn.notes]
    lines += ["digraph {", '  node [fontname="sans-serif"];']
    for box in drawn.boxes:
        label = _quoted(f"{box.title}\n{box.detail}".strip())
        lines.append(f"  {_dot_name(box)} [shape={SHAPES[box.kind]}, label={label}];")
    for edge in drawn.edges:
        shape = "" if edge.source.kind == "gap" else shape_text(edge.entry.shape)
        source, target = _dot_name(edge.source), _dot_name(edge.target)
        lines.append(f"  {source} -> {target} [label={_quoted(shape)}];")
        if edge.norm is not None:
            said = _quoted(f"∂ {number_text(edge.norm)}")
            options = f"label={said}, style=dashed, color=orangered, constraint=false"
            lines.append(f"  {target} -> {source} [{options}];")
    return "\n".join([*lines, "}"]) + "\n"


def _dot_name(box: Box) -> str:
    return f"n{box.number}"


def _quoted(said: str) -> str:
    return json.dumps(said, ensure_ascii=False)
