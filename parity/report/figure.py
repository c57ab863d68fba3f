"""What figures have in common: colours, data as dots and lines, and how they become files.

A figure for the page has no background. Its ink takes the text colour of the page, so it is legible
on a light and on a dark one; nothing is told by colour alone.
"""

import io
import math
import re
from html import escape
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.style import context

from parity.report import Array

# Both at least 3:1 against white and against the page's dark background (WCAG 2.2, 1.4.11).
ACTUAL = "#d1495b"
EXPECTED = "#3d7fc0"
# Stands for the page's text colour; no other element may use it.
INK = "#010203"
# More points are thinned out: browsers are slow with a page of 100,000.
MAX_DOTS = 1000
WIDTH = 4.3
"""Inches of every figure, so that their letters have one size on the page."""

MOST_LETTERS = 54
"""In a line of the legend."""

STYLE: dict[str, Any] = {
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 11,
    "svg.fonttype": "none",
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": "medium",
    "grid.alpha": 0.15,
    "grid.color": INK,
    "legend.frameon": False,
    "svg.hashsalt": "parity",
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
}


def new_figure(height: float = 4.0) -> tuple[Figure, Axes]:
    """A figure so many inches high."""
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    axes = figure.subplots()
    figure.patch.set_visible(False)
    axes.patch.set_visible(False)
    axes.grid(visible=True)
    return figure, axes


def legend_above(figure: Figure) -> None:
    """Say above the axes what is drawn, so that nothing of it is covered."""
    labels = figure.axes[0].get_legend_handles_labels()[1]
    if not labels:
        return
    lengths = [len(label) + 6 for label in labels]
    columns = 2 if 2 * max(lengths) <= MOST_LETTERS else 1
    style: dict[str, Any] = {"columnspacing": 1.2, "handlelength": 1.6, "borderpad": 0}
    figure.legend(
        loc="outside upper left",
        ncols=len(labels) if sum(lengths) <= MOST_LETTERS else columns,
        fontsize=10,
        **style,
    )


def to_png(figure: Figure) -> bytes:
    """Return a figure as a PNG file; the same figure gives the same bytes every time."""
    buffer = io.BytesIO()
    with context("default"):
        figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def to_svg(figure: Figure, title: str, description: str, key: str) -> str:
    """The figure as an `svg` element that can stand in a page: ids unique, inks the page's.

    The same figure gives the same text every time: no date in it, and ids from `svg.hashsalt`.
    """
    buffer = io.StringIO()
    canvas: Any = FigureCanvasSVG(figure)
    canvas.print_svg(buffer)  # `savefig` draws twice, first for the layout alone
    text = buffer.getvalue()
    box = re.search(r'viewBox="[^"]*"', text)
    assert box is not None
    # What comes before the first group would tell the date, and style the whole page.
    body = text[text.index("<g ") :]
    body = re.sub(r'( id="|url\(#|xlink:href="#)', rf"\g<1>{key}-", body)
    body = body.replace(INK, "currentColor")
    described = f'<desc id="{key}-desc">{escape(description)}</desc>' if description else ""
    labels = f"{key}-title {key}-desc" if description else f"{key}-title"
    return (
        f'<svg {box[0]} role="img" aria-labelledby="{labels}" stroke-linejoin="round">'
        f'<title id="{key}-title">{escape(title)}</title>{described}\n{body}'
    )


def rings(axes: Axes, x: Array, y: Array) -> None:
    """Points that were not trained on as rings."""
    axes.plot(
        x[:, 0], y[:, 0], "o", markersize=4, color=EXPECTED, fillstyle="none", label="held out"
    )


def dots(axes: Axes, x: Array, y: Array, color: str) -> None:
    """The data as dots, thinned evenly to at most `MAX_DOTS`."""
    every = math.ceil(len(x) / MAX_DOTS) or 1
    label = "data" if every == 1 else f"data (1 in {every})"
    axes.plot(x[::every, 0], y[::every, 0], "o", markersize=3, color=color, label=label)


def draw_line(axes: Axes, x: Array, y: Array, label: str, **style: Any) -> bool:
    """Draw y over ascending x, with gaps where it is not finite; False if it is nowhere finite."""
    order = np.argsort(np.ravel(x), kind="stable")
    finite = np.where(np.isfinite(y), y, np.nan).ravel()[order]
    if np.isnan(finite).all():
        return False
    if len(order) == 1:
        style["marker"] = "o"  # a line through one point is invisible
    axes.plot(np.ravel(x)[order], finite, label=label, **style)
    return True


def loggable(y: Array) -> Array:
    """What a log axis can show of y, NaN elsewhere; clipped so that no tick overflows."""
    return np.where(np.isfinite(y) & (y > 0), np.clip(y, 1e-150, 1e150), np.nan)
