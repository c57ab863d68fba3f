"""A drawing of one training step, on which the nodes at which the engines part are marked.

Three lanes: forward downwards, backward upwards, and the optimiser's updates beside.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from parity.checks.verdicts import VERDICTS

LANES = {"forward": "forward", "backward": "backward", "optimizer": "optimiser"}
"""The phases of a step, and what a lane is called."""

WIDTH, LANE, BOX = 390, 135, 116
ROW, HIGH, TOP = 54, 38, 30
"""Pixels: of the drawing, a lane and a box; from row to row, a box, and above the first."""


class Node(NamedTuple):
    """A row of the drawing.

    Attributes:
        name: of a module, `prediction` or `loss`.
        operation: the layer's class.
        output: the shape of the output, and of the gradient by it.
        parameters: the shapes of the parameters; empty without.
        receiver: the node that alone its output goes into; None where that is not known.
    """

    name: str
    operation: str
    output: str
    parameters: str
    receiver: str | None


class Box(NamedTuple):
    """A node in a lane; x and y are its corner, `verdict` what failed if it parts there first."""

    x: float
    y: float
    title: str
    detail: str
    verdict: str


class Drawing(NamedTuple):
    """What `drawing.html` draws, in pixels: boxes, and arrows as (x, y) from and to."""

    width: float
    height: float
    lanes: list[tuple[float, str]]
    boxes: list[Box]
    arrows: list[tuple[float, float, float, float]]
    description: str


def nodes(architecture: Mapping[str, Any]) -> list[Node]:
    """The nodes of a step, in forward order; none of a report that does not list them."""

    def said(*shapes: Sequence[int]) -> str:
        return ", ".join(" × ".join(map(str, shape)) or "1" for shape in shapes)

    return [
        Node(
            node["name"], node["operation"], said(node["output"]), said(*node["parameters"]),
            node["receiver"],
        )
        for node in architecture.get("nodes") or ()
    ]  # fmt: skip


def marks(architecture: Mapping[str, Any]) -> dict[tuple[str, str], list[str]]:
    """The failing verdicts by phase and name of their `first_node`."""
    found: dict[tuple[str, str], list[str]] = {}
    for name in VERDICTS:
        first = (architecture[name] or {}).get("first_node")
        if first is not None:
            found.setdefault((first["phase"], first["node"]), []).append(name)
    return found


def drawing(architecture: Mapping[str, Any]) -> Drawing:
    """Lay out a training step of the network; only arrows that are known are drawn."""
    rows, marked = nodes(architecture), marks(architecture)
    left = [(WIDTH - BOX) / 2 + LANE * (lane - 1) for lane in range(len(LANES))]
    boxes, arrows = [], []
    for i, node in enumerate(rows):
        top = TOP + ROW * i
        title = f"{node.name} {node.operation}"
        texts = {"forward": (title, node.output), "backward": (title, node.output)}
        if node.parameters:
            texts["backward"] = (title, node.parameters)
            texts["optimizer"] = (f"{node.name} SGD", node.parameters)
        for x, phase in zip(left, LANES, strict=True):
            if phase in texts:
                verdicts = marked.get((phase, node.name), [])
                few = len(verdicts) <= 1
                verdict = "".join(verdicts) if few else f"{len(verdicts)} verdicts"
                boxes.append(Box(x, top, *texts[phase], verdict))
        forward, backward = (x + BOX / 2 for x in left[:2])
        if i + 1 == len(rows):
            arrows.append((left[0] + BOX, top + HIGH / 2, left[1], top + HIGH / 2))
        elif node.receiver == rows[i + 1].name:
            arrows.append((forward, top + HIGH, forward, top + ROW))
            arrows.append((backward, top + ROW, backward, top + HIGH))
        if node.parameters:
            arrows.append((left[1] + BOX, top + HIGH / 2, left[2], top + HIGH / 2))
    said = (
        f"{' and '.join(verdicts)}: first apart at {name} in {phase}"
        for (phase, name), verdicts in marked.items()
    )
    return Drawing(
        WIDTH,
        TOP + ROW * len(rows),
        [(x + BOX / 2, title) for x, title in zip(left, LANES.values(), strict=True)],
        boxes,
        arrows,
        "; ".join(said),
    )
