"""The figures of networks on the page, drawn in a process of its own while others are judged."""

import functools
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple, Self

from parity.engines.pipe import JUDGE
from parity.engines.process import EngineProcess
from parity.report import Curves
from parity.report.drawing import BOX, HIGH, drawing, marks, nodes
from parity.report.templates import template

MOST_NODES = 100
"""A step of more nodes is not drawn: it would be longer than the rest of the page."""


class Captioned(NamedTuple):
    """A figure on the page; a tall one stands beside two others."""

    caption: str
    svg: str
    tall: bool = False


class Artist:
    """Draws the figures of networks, in the order in which they are on the page.

    Args:
        engines: their names, by "actual" and "expected".
    """

    def __init__(self, engines: Mapping[str, str]) -> None:
        from parity.report import plots  # loads matplotlib, which takes a while

        self._plots, self._engines, self._number = plots, engines, 0

    def draw(self, architecture: dict[str, Any], curves: Curves | None) -> list[Captioned]:
        """Return the figures of the next network."""
        self._number += 1
        return list(self._figures(architecture, curves))

    def _figures(self, architecture: dict[str, Any], curves: Curves | None) -> Iterator[Captioned]:
        """Yield what the engines did, the step with the first nodes at which they differ, and how
        far apart they are, as far as it is known.
        """
        plots, number, name = self._plots, self._number, architecture["name"]
        names = {**self._engines, "name": name}
        if curves is not None:
            yield Captioned("Fit", plots.fit(curves, **names, key=f"fit-{number}"))
            yield Captioned("Loss", plots.losses(curves, **names, key=f"losses-{number}"))
        if 0 < len(nodes(architecture)) <= MOST_NODES:
            step = template("drawing.html").render(
                drawing=drawing(architecture),
                size=(BOX, HIGH),
                name=name,
                key=f"step-{number}",
            )
            apart = ", ✗ first apart" if marks(architecture) else ""
            yield Captioned(f"One training step{apart}", step, tall=True)
        trajectory, gradients = architecture["trajectory"], architecture["gradients"]
        if curves is not None:
            key = f"divergence-{number}"
            figure = plots.divergence(curves, trajectory, **names, key=key)
            yield Captioned("How far apart the losses are", figure)
        if gradients is not None and gradients.get("per_parameter"):
            figure = plots.budgets(gradients, name=name, key=f"budgets-{number}")
            yield Captioned("Budget used by each gradient", figure)


class Drawing:
    """An artist at work in a process of its own; a context manager.

    Args:
        engines: as of `Artist`.
    """

    def __init__(self, engines: Mapping[str, str]) -> None:
        self._artist = EngineProcess(functools.partial(Artist, engines), 1, JUDGE)
        self._drawn: list[list[Captioned]] = []
        self._begun: list[Callable[[], list[Captioned]]] = []

    def __enter__(self) -> Self:
        self._artist.__enter__()
        return self

    def __exit__(self, *raised: object) -> None:
        self._artist.close()

    def begin(self, architecture: dict[str, Any], curves: Curves | None) -> None:
        """Begin the figures of the next network, once the last are finished."""
        self.figures()
        self._begun.append(self._artist.ask(Artist.draw, architecture, curves))

    def figures(self) -> list[list[Captioned]]:
        """Wait for the figures of all networks; return them."""
        self._drawn += [begun() for begun in self._begun]
        self._begun.clear()
        return self._drawn
