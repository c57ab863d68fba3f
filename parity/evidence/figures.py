"""What README shows of the three networks: a run's output, their fits, and many seeds."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.style import context
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from minigrad.architectures import ARCHITECTURES, DEFAULT_SEED
from parity.cli.command import Output
from parity.cli.run import said
from parity.errors import UsageError
from parity.report.figure import ACTUAL, EXPECTED, to_png
from parity.report.fits import draw_fit
from parity.sweep.compare import final_mse
from parity.sweep.database import STATES, Database, Row
from parity.training import Finished

ENGINES = ("minigrad", "torch")
ARTICLE = {"rightfit": 2.5, "overfit": 4.8}
"""The final MSEs of the tutorial that these networks come from, of one run each."""

SEEDS = {"underfit": 1000, "rightfit": 1000, "overfit": 250}
"""How many of each network are shown, from 0 on."""

WIDTH = 80
"""Columns of the output that README shows: those of a pipe."""

BINS = np.geomspace(0.7, 150, 55).tolist()
"""Edges of the histograms of final MSE. A dead network ends at the variance of the data, 56."""


def sample(report: dict[str, Any]) -> str:
    """Return what `make parity` prints of a report, as a block of a README."""
    found = io.StringIO()
    said(report, Path("out"), Output(file=found, width=WIDTH))
    return f"```text\n{found.getvalue()}```\n"


def outcomes(folder: Path) -> dict[str, Any]:
    """Return what a sweep found: by network and engine, the final MSE of each seed, and shares.

    `final_mse` has the seeds' in their order, None where it is not finite, and `shares` how often
    each state occurs. `worse` is the share of the runs of `overfit` that end worse than `rightfit`
    of the same seed and engine.

    Raises:
        UsageError: the folder has no such sweep, or it is not finished.
    """
    if not (folder / "sweep.sqlite").exists():
        raise UsageError(f"{folder} has no sweep.sqlite: `make figures` trains what it needs")
    with Database(folder) as database:
        networks = {
            name: {engine: [*database.rows(name, engine, "float32").values()] for engine in ENGINES}
            for name in ARCHITECTURES
        }
    for name, engines in networks.items():
        if any([row.seed for row in rows] != [*range(SEEDS[name])] for rows in engines.values()):
            raise UsageError(f"{folder} is not swept to its end: `make figures` goes on with it")
    worse = [
        over > right
        for engine in ENGINES
        for over, right in zip(
            final_mse(networks["overfit"][engine]),
            final_mse(networks["rightfit"][engine]),
            strict=False,  # overfit has fewer seeds
        )
    ]
    return {
        "worse": float(np.mean(worse)),
        "networks": {
            name: {engine: _ends(rows) for engine, rows in engines.items()}
            for name, engines in networks.items()
        },
    }


def _ends(rows: Sequence[Row]) -> dict[str, Any]:
    """Return how the runs of an engine ended."""
    states = [row.state for row in rows]
    return {
        "final_mse": [float(f"{e:.5g}") if np.isfinite(e) else None for e in final_mse(rows)],
        "shares": {state: states.count(state) / len(states) for state in STATES},
    }


@context("default")
def picture(document: Mapping[str, Any], runs: Mapping[str, Finished]) -> bytes:
    """Return README's picture as PNG: above the fits of one run, below the outcomes of all seeds.

    Args:
        document: as `outcomes` returns it.
        runs: of one engine, by the networks' names.
    """
    figure = Figure(figsize=(13, 7), dpi=110, layout="constrained")
    fits, seeds = figure.subplots(2, len(runs), height_ratios=(5, 4), sharey="row")
    for axes, (name, run) in zip(fits, runs.items(), strict=True):
        draw_fit(axes, name, run)
    for axes, name in zip(seeds, runs, strict=True):
        _histogram(axes, document["networks"][name], ARTICLE.get(name))
    fits[0].set_ylabel(f"y (minigrad, seed {DEFAULT_SEED})")
    fits[0].legend(loc="upper center")
    seeds[0].set_ylabel("share of the seeds that end there")
    seeds[0].legend(loc="upper left")
    return to_png(figure)


def _histogram(axes: Axes, engines: Mapping[str, Any], article: float | None) -> None:
    """Draw how often each final MSE occurs, and say how many runs die or diverge."""
    styles: dict[str, dict[str, Any]] = {
        "torch": {"histtype": "stepfilled", "color": EXPECTED, "alpha": 0.5},
        "minigrad": {"histtype": "step", "color": ACTUAL, "linewidth": 1.3},
    }
    for engine, style in styles.items():
        ends = [value for value in engines[engine]["final_mse"] if value is not None]
        share = np.full(len(ends), 1 / len(engines[engine]["final_mse"]))
        axes.hist(np.clip(ends, BINS[0], BINS[-1]), BINS, weights=share, label=engine, **style)
    if article is not None:
        axes.axvline(article, color="black", linestyle=":", linewidth=1.4)
        axes.text(
            article * 1.08, 0.97, f"the tutorial: {article}", va="top",
            transform=axes.get_xaxis_transform(),
        )  # fmt: skip
    lost = "\n".join(
        f"{engine}: {shares['dead']:.1%} dead, {shares['diverged']:.1%} diverged"
        for engine in ENGINES
        for shares in (engines[engine]["shares"],)
    )
    count = len(engines["torch"]["final_mse"])
    axes.set_title(lost, fontsize="small")
    axes.set(xscale="log", xlabel=f"final MSE (log axis), {count:,} seeds")
    axes.xaxis.set_major_locator(FixedLocator([1, 2, 5, 10, 20, 50, 100]))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
