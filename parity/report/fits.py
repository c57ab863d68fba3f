"""Pictures of training runs: the fit and, as an animation, how it came about."""

import io
from collections.abc import Mapping
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.style import context
from matplotlib.ticker import LogFormatter
from PIL import Image

from parity.points import abscissa, column, points
from parity.report import Array
from parity.report.figure import EXPECTED, dots, draw_line, loggable, rings
from parity.training import Finished

MOST_NETWORKS = 6
"""The most networks side by side; more would make a large file that nobody can read."""

FRAME_MS, LAST_MS = 120, 3000
"""Milliseconds for which a frame is shown, and the last one, before it begins again."""

DPI = 80
COLORS = 128
"""Colours of the palette: a picture has few, and their shades at edges."""

LEGEND: dict[str, Any] = {"frameon": False, "fontsize": 8, "handlelength": 1, "columnspacing": 1}
MOST_LABELS = 6
"""With more layers than this, only the first and the last are named."""


@context("default")
def training_picture(runs: Mapping[str, Finished]) -> Figure:
    """Return a figure of training runs, by name, side by side.

    Black dots are the data, a red line is the prediction. Each title is the run's name and final
    MSE; where points are held out they are rings, and below the name are the MSE on them and the
    generalisation gap. Where there is no finite prediction, words take the line's place.
    """
    figure = Figure(figsize=(4.8 * len(runs), 4.2), dpi=150, layout="constrained")
    row = figure.subplots(1, len(runs), sharey=True, squeeze=False)[0]
    for axes, (name, finished) in zip(row, runs.items(), strict=True):
        draw_fit(axes, name, finished)
    row[0].set_ylabel("y")
    row[0].legend()
    return figure


def draw_fit(axes: Axes, name: str, finished: Finished) -> None:
    """Draw a training run on axes, as in `training_picture`."""
    start, run, fresh = finished.start, finished.run, finished.held_out
    title = f"{name}: final {finished.measure} {run.final_mse:.6g}"
    if fresh is not None:
        rings(axes, fresh.x, fresh.y)
        title += f"\nheld out {fresh.mse:.6g}, gap {finished.gap:+.4g}"
    x, y, prediction = points(start, run.prediction)
    dots(axes, x, y, "black")
    if not draw_line(axes, x, prediction, "prediction", color="red", linewidth=2.0):
        axes.text(0.5, 0.5, "no finite prediction", transform=axes.transAxes, ha="center")
    # parse_math: a dollar sign in a title starts no formula.
    axes.set_title(title, parse_math=False)
    axes.set_xlabel(abscissa(start)[0])


# ---- the animation --------------------------------------------------------------------------


@context("default")
def animation(runs: Mapping[str, Finished]) -> bytes:
    """Return a GIF of training runs side by side, by name.

    There is a frame for each moment of their histories, so at most `parity.training.MOMENTS`. All
    runs begin with the first frame and end with the last, however many epochs they have.
    """
    figure, panels = _panels(len(runs))
    networks = [
        _Network(name, run, *axes) for (name, run), axes in zip(runs.items(), panels, strict=True)
    ]
    canvas: Any = FigureCanvasAgg(figure)
    canvas.draw()  # all that does not move
    still = canvas.copy_from_bbox(figure.bbox)

    def picture(share: float) -> Image.Image:
        canvas.restore_region(still)
        for network in networks:
            network.draw(share)
        return Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")

    # One palette, that of the last and fullest frame: with one for each, colours flicker.
    palette = picture(1.0).quantize(COLORS)
    count = max(len(network.moments) for network in networks)
    first, *others = [
        picture(share).quantize(palette=palette, dither=Image.Dither.NONE)
        for share in np.linspace(0, 1, count)
    ]
    file = io.BytesIO()
    durations = [FRAME_MS] * len(others) + [LAST_MS]
    first.save(file, "GIF", save_all=True, append_images=others, duration=durations, loop=0)
    return file.getvalue()


def _panels(networks: int) -> tuple[Figure, list[list[Axes]]]:
    """A figure, and for each network the panels of the fit, the loss and the gradients."""
    if networks == 1:
        figure = Figure(figsize=(9, 4.8), dpi=DPI, layout="constrained")
        mosaic = figure.subplot_mosaic([["fit", "loss"], ["fit", "norms"]], width_ratios=[5, 4])
        return figure, [[mosaic[name] for name in ("fit", "loss", "norms")]]
    figure = Figure(figsize=(3.6 * networks, 7.2), dpi=DPI, layout="constrained")
    rows = figure.subplots(3, networks, sharey="row", squeeze=False, height_ratios=[3, 2, 2])
    return figure, [list(column) for column in rows.T]


class _Network:
    """A network's panels, and what moves in them."""

    def __init__(self, name: str, run: Finished, fit: Axes, loss: Axes, norms: Axes) -> None:
        assert run.history is not None
        self._name, self._history, self._measure = name, run.history, run.measure
        self.moments = run.history.moments
        self._fit = fit
        over, whole = abscissa(run.start)
        x = whole[run.history.points, 0]
        self._order = np.argsort(x, kind="stable")
        x = x[self._order]
        if run.held_out is not None:
            rings(fit, run.held_out.x, run.held_out.y)
        dots(fit, whole, column(run.start.y, len(whole)), "black")
        fit.set(xlabel=over, ylabel="y")
        style: dict[str, Any] = {"color": "red", "linewidth": 2.0, "marker": "o" * (len(x) == 1)}
        # Still without values: the data alone is to be in view, wherever the prediction goes.
        (self._prediction,) = fit.plot(x, np.full(len(x), np.nan), label="prediction", **style)
        fit.legend(loc="upper center")
        self._title = fit.set_title(self._said(0), parse_math=False)
        self._curves = [*self._losses(loss), *self._norms(norms)]
        for axes, what in ((loss, run.measure), (norms, "gradient norm")):
            last = self.moments[-1]
            axes.set(xlim=(0, last), xlabel="epoch (square-root axis)", ylabel=what)
            # Moments are spaced like squares: on this axis time passes evenly.
            axes.set_xscale("function", functions=(np.sqrt, np.square))
            axes.set_xticks(sorted({round(last * share**2) for share in np.linspace(0, 1, 6)}))
            axes.yaxis.set_major_formatter("{x:g}")
            axes.yaxis.set_minor_formatter(LogFormatter(labelOnlyBase=False))
            axes.grid(alpha=0.3)
            axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=6, **LEGEND)
        for artist in (self._title, self._prediction, *(line for line, _ in self._curves)):
            artist.set_animated(True)  # drawn in each frame, and not with what stands still

    def _losses(self, axes: Axes) -> list[tuple[Any, Array]]:
        """Draw the losses; return each line with its values, epoch by epoch."""
        curves = []
        if self._history.held_out is not None:
            style: dict[str, Any] = {"color": EXPECTED, "linewidth": 2.4, "alpha": 0.7}
            curves.append(_curve(axes, self._history.held_out, "held out", **style))
        style = {"color": "black", "linewidth": 0.8}
        return [*curves, _curve(axes, self._history.losses, "data", **style)]

    def _norms(self, axes: Axes) -> list[tuple[Any, Array]]:
        """Draw the gradient norm of each layer, as `_losses` does."""
        norms = self._history.norms
        shades = matplotlib.colormaps["viridis"](np.linspace(0, 0.9, len(norms)))
        curves = []
        for number, (layer, values) in enumerate(norms.items()):
            named = len(norms) <= MOST_LABELS or number in (0, len(norms) - 1)
            label = f"layer {layer}" if number == 0 else layer if named else "_"
            curves.append(_curve(axes, values, label, color=shades[number], linewidth=1.0))
        return curves

    def draw(self, share: float) -> None:
        """Draw the moment at which this share of the frames is over."""
        number = round(share * (len(self.moments) - 1))
        prediction = self._history.predictions[number][self._order]
        self._prediction.set_ydata(np.where(np.isfinite(prediction), prediction, np.nan))
        self._title.set_text(self._said(number))
        for line, values in self._curves:
            so_far = values[: self.moments[number] + 1]
            line.set_data(np.arange(len(so_far)), so_far)
            line.axes.draw_artist(line)
        self._fit.draw_artist(self._prediction)
        self._fit.draw_artist(self._title)

    def _said(self, number: int) -> str:
        """Return the title of the fit at this moment."""
        history, epoch = self._history, self.moments[number]
        text = f"{self._name}: epoch {epoch:,} of {self.moments[-1]:,}\n"
        text += f"{self._measure} {history.losses[epoch]:.4g}"
        if not np.isfinite(history.predictions[number]).any():
            text += ", no finite prediction"
        elif history.held_out is not None:
            text += f", held out {history.held_out[epoch]:.4g}"
        return text


def _curve(axes: Axes, values: Array, label: str, **style: Any) -> tuple[Any, Array]:
    """Draw a line on a log axis that has room for all of it."""
    shown = loggable(values)
    (line,) = axes.plot(np.arange(len(shown)), shown, label=label, **style)
    if not np.isnan(shown).all():
        axes.set_yscale("log")
    return line, shown
