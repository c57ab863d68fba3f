"""Curves: SVG for the page, and the picture of one training run.

The two engines differ in width and dashes as well as in colour.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.style import context

from parity.report.figure import ACTUAL, EXPECTED, INK, STYLE, new_figure, to_svg
from parity.report.model import Array, Curves

ACTUAL_STYLE: dict[str, Any] = {"color": ACTUAL, "linewidth": 1.6, "dashes": (3, 2)}
EXPECTED_STYLE: dict[str, Any] = {"color": EXPECTED, "linewidth": 4.0, "alpha": 0.6}
# More points are thinned out: browsers are slow with a page of 100,000.
MAX_DOTS = 1000
# Fewer points are marked: a line through one point is invisible.
MIN_POINTS = 100


def fit(curves: Curves, *, actual: str, expected: str, name: str, key: str) -> str:
    """SVG of the data as dots and the predictions of both engines as lines.

    `actual` and `expected` are the engines' names, `name` the architecture's. `key` starts every id
    within the SVG: with a key of its own for each figure, many fit in one page.
    """
    with context(["default", STYLE]):
        figure, (axes,) = new_figure(1)
        dots(axes, curves.x, curves.y, INK)
        drawn = {
            expected: _line(axes, curves.x, curves.prediction_expected, expected, **EXPECTED_STYLE),
            actual: _line(axes, curves.x, curves.prediction_actual, actual, **ACTUAL_STYLE),
        }
        _limit(axes, curves)
        missing = " and ".join(engine for engine, there in drawn.items() if not there)
        said = f"no finite prediction: {missing}" if missing else ""
        _note(axes, said)
        axes.set(xlabel="x", ylabel="y")
        axes.legend(loc="upper center")  # a parabola leaves room there
        title = f"Fit of {name}: data and the predictions of {actual} and {expected}"
        return to_svg(figure, title, said, key)


def losses(curves: Curves, *, actual: str, expected: str, name: str, key: str) -> str:
    """SVG of both loss curves and, below, their relative difference |a - b| / |b|, on log axes.

    A log axis has no place for zero and NaN: where losses are equal or not finite, the figure says
    so in words. Arguments as for `fit`; `b` is `expected`.
    """
    a, b = curves.losses_actual, curves.losses_expected
    epochs = np.arange(1.0, len(a) + 1)
    with context(["default", STYLE]):
        figure, (upper, lower) = new_figure(2)
        drawn = [
            _line(upper, epochs, loggable(b), expected, **EXPECTED_STYLE | {"linewidth": 2.4}),
            _line(upper, epochs, loggable(a), actual, **ACTUAL_STYLE | {"linewidth": 0.7}),
        ]
        upper.set_ylabel("loss")
        gone = "\n".join(
            f"{engine}: not finite from epoch {np.argmin(np.isfinite(loss)) + 1:,}"
            for engine, loss in ((actual, a), (expected, b))
            if not np.isfinite(loss).all()
        )
        _note(upper, gone)
        if any(drawn):
            upper.set_yscale("log")
            upper.legend()

        difference = _relative_difference(a, b)
        points = np.count_nonzero(difference > 0)
        dots = {"marker": "."} if points < MIN_POINTS else {}
        lower.set(xlabel="epoch", ylabel="relative difference")
        equal = _equality(a, b)
        _note(lower, equal)
        if _line(
            lower, epochs, loggable(difference), "", color=INK, linewidth=0.8, markersize=3, **dots
        ):
            lower.set_yscale("log")
        else:
            lower.set(yticks=[], xlim=(0, max(len(a), 1)))
        title = (
            f"Loss of {name} by epoch for {actual} and {expected}, and their relative difference"
        )
        return to_svg(
            figure, title, "; ".join(filter(None, (gone.replace("\n", "; "), equal))), key
        )


def divergence(
    curves: Curves,
    envelope: Array,
    trajectory: Mapping[str, Any],
    *,
    actual: str,
    expected: str,
    name: str,
    key: str,
) -> str:
    """SVG of the losses' relative difference |a - b| / |b| inside its envelope, on a log axis.

    `envelope` has shape (epochs,); the shaded region, up to the horizon, is where the engine must
    stay: `limit` envelopes of the verdict `trajectory`. Otherwise as `losses`.
    """
    a, b, horizon = curves.losses_actual, curves.losses_expected, trajectory["horizon_epoch"]
    epochs = np.arange(1.0, len(a) + 1)
    with context(["default", STYLE]):
        figure, (axes,) = new_figure(1)
        allowed = loggable(trajectory["limit"] * envelope)[:horizon]
        difference = loggable(_relative_difference(a, b))
        dots = {"marker": "."} if np.count_nonzero(difference > 0) < MIN_POINTS else {}
        drawn = [
            _line(
                axes,
                epochs,
                loggable(envelope),
                f"envelope of {expected}",
                **EXPECTED_STYLE | {"linewidth": 2.4},
            ),
            _line(
                axes,
                epochs,
                difference,
                actual,
                **ACTUAL_STYLE | {"linewidth": 0.9, "markersize": 3, **dots},
            ),
        ]
        axes.set(xlabel="epoch", ylabel="relative difference in loss")
        said = [_equality(a, b)]
        if any(drawn):
            axes.set_yscale("log")
        if len(allowed):
            axes.fill_between(
                epochs[:horizon],
                allowed,
                axes.get_ylim()[0],
                color=EXPECTED,
                alpha=0.15,
                linewidth=0,
                label=f"allowed: {trajectory['limit']} envelopes",
            )
        if horizon is not None:
            axes.axvline(horizon + 1, color=INK, linewidth=0.8, label="horizon")
            said.append(f"not predictable from epoch {horizon + 1:,}")
        if axes.get_legend_handles_labels()[0]:
            axes.legend()
        _note(axes, "\n".join(filter(None, said)))
        title = f"Loss of {name}: how far {actual} is from {expected}, and how far it may be"
        return to_svg(figure, title, "; ".join(filter(None, said)), key)


class Fit(NamedTuple):
    """A finished training run; `x`, `y` and `prediction` have shape (samples, 1).

    `held_out` is None or x and y of points that were not trained on, and the MSE on these.
    """

    name: str
    x: Array
    y: Array
    prediction: Array
    final_mse: float
    held_out: tuple[Array, Array, float] | None = None


def training_picture(fits: Sequence[Fit]) -> Figure:
    """Training runs side by side: black dots for the data, a red line for the prediction.

    Each title is the run's name and final MSE; where points are held out they are rings, and
    below the name are the MSE on them and the generalisation gap. Where there is no finite
    prediction, words take the line's place. Save it with the figure's `savefig`.
    """
    with context("default"):
        figure = Figure(figsize=(4.8 * len(fits), 4.2), dpi=150, layout="constrained")
        row = figure.subplots(1, len(fits), sharey=True, squeeze=False)[0]
        for axes, run in zip(row, fits, strict=True):
            title = f"{run.name}: final MSE {run.final_mse:.6g}"
            if run.held_out is not None:
                x, y, mse = run.held_out
                rings(axes, x, y)
                title += f"\nheld out {mse:.6g}, gap {mse - run.final_mse:+.4g}"
            dots(axes, run.x, run.y, "black")
            if not _line(axes, run.x, run.prediction, "prediction", color="red", linewidth=2.0):
                axes.text(0.5, 0.5, "no finite prediction", transform=axes.transAxes, ha="center")
            # parse_math: a dollar sign in a title starts no formula.
            axes.set_title(title, parse_math=False)
            axes.set_xlabel("x")
        row[0].set_ylabel("y")
        row[0].legend()
    return figure


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


def _line(axes: Axes, x: Array, y: Array, label: str, **style: Any) -> bool:
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


def _relative_difference(a: Array, b: Array) -> Array:
    with np.errstate(all="ignore"):
        difference: Array = np.abs(a - b) / np.abs(b)
    return difference


def _limit(axes: Axes, curves: Curves) -> None:
    """Show the data, and predictions as far as they are off by no more than the data's range."""
    low, high = curves.y.min(), curves.y.max()
    span = (high - low) or 1.0
    both = np.concatenate([curves.y, curves.prediction_actual, curves.prediction_expected])
    inside = np.clip(both[np.isfinite(both)], low - span, high + span)
    axes.set_ylim(inside.min() - 0.05 * span, inside.max() + 0.05 * span)


def _note(axes: Axes, text: str) -> None:
    axes.set_title(text, loc="left", fontsize=8.5)


def _equality(a: Array, b: Array) -> str:
    """In words, at how many epochs losses are equal numbers; at all, if NaN meets NaN."""
    same = (a == b) & (np.signbit(a) == np.signbit(b))
    if (same | np.isnan(a) & np.isnan(b)).all():
        return f"losses equal in every bit at all {len(a):,} epochs"
    count = np.count_nonzero(same & np.isfinite(a))
    return f"losses equal in every bit at {count:,} of {len(a):,} epochs" if count else ""
