"""The graph in the language of Graphviz: `minigrad explain rightfit --dot | dot -Tsvg`."""

from __future__ import annotations

from minigrad.explain.explanation import Explanation
from minigrad.explain.graph import Box, graph
from minigrad.explain.table import number_text, shape_text

SHAPES = {"operation": "box", "leaf": "ellipse", "data": "plaintext", "gap": "plaintext"}


def dot(explanation: Explanation) -> str:
    """Return a digraph: values as lines, gradients as dashed lines with their norm."""
    drawn = graph(explanation)
    lines = [f"// {note}" for note in drawn.notes]
    lines += ["digraph {", '  node [fontname="sans-serif"];']
    for box in drawn.boxes:
        lines.append(f"  {_name(box)} [shape={SHAPES[box.kind]}, label={_quoted(_label(box))}];")
    for edge in drawn.edges:
        shape = "" if edge.source.kind == "gap" else shape_text(edge.entry.shape)
        source, target = _name(edge.source), _name(edge.target)
        lines.append(f"  {source} -> {target} [label={_quoted(shape)}];")
        if edge.norm is not None:
            said = _quoted(f"∂ {number_text(edge.norm)}")
            options = f"label={said}, style=dashed, color=orangered, constraint=false"
            lines.append(f"  {target} -> {source} [{options}];")
    return "\n".join([*lines, "}"]) + "\n"


def _name(box: Box) -> str:
    return f"n{box.number}"


def _label(box: Box) -> str:
    return f"{box.title}\n{box.detail}" if box.detail else box.title


def _quoted(said: str) -> str:
    escaped = said.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
