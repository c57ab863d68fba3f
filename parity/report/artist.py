"""The figures of networks on the page, drawn in a process of its own while others are judged."""

import functools
import html
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import Any, NamedTuple, Self

from parity.engines.process import EngineProcess
from parity.errors import summary
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


Figure = tuple[str, Callable[[], str], bool]
"""A caption, what draws the figure, and whether it is tall."""


class Artist:
    """Draws the figures of networks.

    Args:
        engines: their names, by "actual" and "expected".
    """

    def __init__(self, engines: Mapping[str, str]) -> None:
        self._engines = engines

    def draw(
        self, number: int, architecture: dict[str, Any], curves: Curves | None
    ) -> list[Captioned]:
        """Return the figures of a network, the page's first, second or so on.

        In the place of one that cannot be drawn there is the reason.
        """
        figures = self._figures(number, architecture, curves)
        return [Captioned(caption, _drawn(draw), tall) for caption, draw, tall in figures]

    def _figures(
        self, number: int, architecture: dict[str, Any], curves: Curves | None
    ) -> Iterator[Figure]:
        """Yield what the engines did, the step with the first nodes at which they differ, and how
        far apart they are, as far as it is known.
        """
        name = architecture["name"]
        names = {**self._engines, "name": name}
        if curves is not None:
            yield "Fit", _plot("fit", curves, **names, key=f"fit-{number}"), False
            yield "Loss", _plot("losses", curves, **names, key=f"losses-{number}"), False
        if 0 < len(nodes(architecture)) <= MOST_NODES:
            apart = ", ✗ first apart" if marks(architecture) else ""
            step = functools.partial(_step, architecture, f"step-{number}")
            yield f"One training step{apart}", step, True
        trajectory, gradients = architecture["trajectory"], architecture["gradients"]
        if curves is not None:
            figure = _plot("divergence", curves, trajectory, **names, key=f"divergence-{number}")
            yield "How far apart the losses are", figure, False
        if gradients is not None and gradients.get("per_parameter"):
            figure = _plot("budgets", gradients, name=name, key=f"budgets-{number}")
            yield "Budget used by each gradient", figure, False


def _plot(what: str, *arguments: object, **names: object) -> Callable[[], str]:
    """Return what draws a plot; it loads matplotlib, which takes a while."""

    def draw() -> str:
        from parity.report import plots

        svg: str = getattr(plots, what)(*arguments, **names)
        return svg

    return draw


def _step(architecture: dict[str, Any], key: str) -> str:
    return template("drawing.html").render(
        drawing=drawing(architecture), size=(BOX, HIGH), name=architecture["name"], key=key
    )


def _drawn(draw: Callable[[], str]) -> str:
    """Return a figure, or a paragraph that says why there is none."""
    try:
        return draw()
    except Exception as error:
        return f"<p>It could not be drawn: {html.escape(summary(error))}</p>"


class Drawing:
    """An artist at work in a process of its own; a context manager.

    What comes of a run does not depend on that process: if it dies, the figures are drawn here.

    Args:
        engines: as of `Artist`.
    """

    def __init__(self, engines: Mapping[str, str]) -> None:
        self._here = Artist(engines)
        self._artist = EngineProcess(functools.partial(Artist, engines), 1, "artist")
        self._networks: list[tuple[int, dict[str, Any], Curves | None]] = []
        self._drawn: dict[int, list[Captioned]] = {}
        self._begun: Callable[[], list[Captioned]] | None = None

    def __enter__(self) -> Self:
        self._artist.__enter__()
        return self

    def __exit__(self, *raised: object) -> None:
        self._artist.close()

    def begin(self, architecture: dict[str, Any], curves: Curves | None) -> None:
        """Begin the figures of the next network, once the last are finished; raise nothing."""
        self._receive()
        self._networks.append((len(self._networks) + 1, architecture, curves))
        with suppress(Exception):
            self._begun = self._artist.ask(Artist.draw, *self._networks[-1])

    def figures(self) -> list[list[Captioned]]:
        """Wait for the figures of all networks; return them."""
        self._receive()
        return [
            self._drawn.get(network[0]) or self._here.draw(*network) for network in self._networks
        ]

    def _receive(self) -> None:
        """Wait for the figures that were begun last, if the process has them."""
        begun, self._begun = self._begun, None
        with suppress(Exception):
            if begun is not None:
                self._drawn[len(self._networks)] = begun()
