"""The result of a sweep as tables for the terminal."""

import math
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from parity.checks.trajectory import RUNS
from parity.sweep.compare import QUANTILES
from parity.sweep.plan import Plan
from parity.sweep.work import trained_by
from parity.tables import STYLES, Trimmed, grid

WORDS = {True: "pass", False: "FAIL", None: "–"}
SHOWN = 5
"""The most seeds that are named; the database has all."""


def summary(plan: Plan, compared: Mapping[str, Mapping[str, Any]]) -> RenderableType:
    """Return for each network the distributions of final MSE, the verdicts, and the result.

    Args:
        plan: what was swept.
        compared: what `compare` found, by network.
    """
    parts: list[RenderableType] = []
    for name, found in compared.items():
        named, task = plan.networks[name]
        sizes = task.problem.path if task.problem else "-".join(map(str, named.sizes))
        title = f"{f'  {sizes}' * (sizes != name)}, {named.epochs:,} epochs at "
        title += f"{named.learning_rate:g}, {plan.dtype}, {found['seeds']:,} seeds"
        indented = (0, 0, 0, 2)
        parts += [
            Text.assemble((name, "bold"), title),
            Padding(_distributions(plan, found), indented),
            Text(),
            Padding(_verdicts(plan, name, found), indented),
            Text(),
        ]
    parts.append(_result(plan, compared))
    return Trimmed(Group(*parts))


def _distributions(plan: Plan, found: Mapping[str, Any]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("final MSE", overflow="fold")
    for share in QUANTILES:
        heading = "median" if share == 0.5 else f"{100 * share:g} %"
        table.add_column(heading, justify="right", no_wrap=True)
    for heading in ("dead", "diverged"):
        table.add_column(heading, justify="right", no_wrap=True)
    for engine, side in zip((plan.engine, plan.against), found["sides"].values(), strict=True):
        shares = (_share(side["states"][state], found["seeds"]) for state in ("dead", "diverged"))
        table.add_row(engine, *map(_number, side["quantiles"].values()), *shares)
    return table


def _verdicts(plan: Plan, name: str, found: Mapping[str, Any]) -> Table:
    table = grid(3)
    for verdict, say in (("start", _start), ("distribution", _distribution), ("pairs", _pairs)):
        passed = found[verdict]["passed"]
        word = Text(WORDS[passed], style=STYLES[passed])
        table.add_row(verdict, word, Text(say(plan, name, found[verdict])))
    table.add_row("horizon", "", Text(_horizon(plan, found["horizon"])))
    return table


def _start(plan: Plan, name: str, start: Mapping[str, Any]) -> str:
    if start["passed"] is None:
        return "no seed was drawn by both engines"
    if start["passed"]:
        return "data and parameters equal in every bit at every seed"
    differ = start["differ"]
    return f"differ at {_seeds(differ)}, {len(differ):,} in all: {_command(plan, name, differ[0])}"


def _distribution(plan: Plan, name: str, found: Mapping[str, Any]) -> str:
    if found["p_value"] is None:
        return "there are no results to compare"
    said = f"Kolmogorov-Smirnov D {found['statistic']:.3g}"
    if found["fails_from"] is None:
        return f"{said}; too few seeds to tell any two engines apart"
    said += f", fails from {found['fails_from']:.3g}; p {found['p_value']:.2g} by exchange within "
    return f"{said}pairs ({found['independent_p_value']:.2g} if seeds were not paired)"


def _pairs(plan: Plan, name: str, found: Mapping[str, Any]) -> str:
    said = []
    if found["quantiles"]:
        apart = found["quantiles"]
        said.append(
            f"{apart[0.5]:.2g} apart at the median, {apart[0.95]:.2g} at 95 %, most at seed "
            f"{found['most_apart']}"
        )
    if found["predictable"]:
        said.append(
            f"{found['predictable']:,} predictable to their ends, worst {found['worst_used']:.2g} "
            "times what is allowed"
        )
    if found["fails_from"] is not None:
        said.append(
            f"further from {plan.against} than all its moved runs at {found['furthest']:,} of "
            f"{found['seeds']:,}, fails from {found['fails_from']:,}"
        )
    apart = [*found["outliers"], *found["suspects"]]
    said += [
        f"seed {pair['seed']}: {plan.engine} {pair['actual']:.9g}, {plan.against} "
        f"{pair['expected']:.9g}, apart by {pair['relative_difference']:.2g} and not "
        f"{pair['allowed']:.2g}: {_command(plan, name, pair['seed'])}"
        for pair in apart[:SHOWN]
    ]
    if len(apart) > SHOWN:
        said.append(f"and {len(apart) - SHOWN:,} more")
    return "; ".join(said) or "there are no results to compare"


def _horizon(plan: Plan, found: Mapping[str, Any]) -> str:
    if not found["seeds"]:
        return f"not sought: --horizons N does, by {RUNS} more runs of {plan.against} a seed"
    ends = found["seeds"] - found["none"]
    said = f"{ends:,} of {found['seeds']:,} seeds have one"
    if not ends:
        return said
    epochs = (f"{_epoch(found['quantiles'][q])} at {100 * q:g} %" for q in (0.05, 0.25, 0.5, 0.75))
    return f"{said}; epoch {', '.join(epochs)} of the seeds"


def _epoch(value: float) -> str:
    return f"{value:,.0f}" if math.isfinite(value) else "none"


def _result(plan: Plan, compared: Mapping[str, Mapping[str, Any]]) -> Text:
    verdict = passed(compared)
    engines = f"{plan.engine} and {plan.against}"
    failed = [name for name, found in compared.items() if found["passed"] is False]
    said = {
        True: f"{engines} agree on {', '.join(compared)}",
        False: f"{engines} disagree on {', '.join(failed)}",
        None: f"no verdict failed, but there are too few seeds to tell {engines} apart",
    }[verdict]
    return Text.assemble((WORDS[verdict].upper(), STYLES[verdict]), "  ", (said, "bold"))


def passed(compared: Mapping[str, Mapping[str, Any]]) -> bool | None:
    """Return whether everything judged passed, None if some network could not be judged."""
    verdicts = [found["distribution"]["passed"] for found in compared.values()]
    if any(found["passed"] is False for found in compared.values()):
        return False
    return None if None in verdicts else True


def _command(plan: Plan, name: str, seed: int) -> str:
    engines = f"--engine {trained_by(plan.engine)} --against {trained_by(plan.against)}"
    _, task = plan.networks[name]
    name = shlex.quote(task.problem.path) if task.problem else name
    return f"parity run {name} --seed {seed} --dtype {plan.dtype} {engines}"


def _seeds(seeds: Sequence[int]) -> str:
    named = ", ".join(map(str, seeds[:SHOWN]))
    return f"seed{'s' * (len(seeds) > 1)} {named}{', …' * (len(seeds) > SHOWN)}"


def _number(value: float) -> str:
    return f"{value:.3g}" if math.isfinite(value) else "∞"


def _share(count: int, total: int) -> str:
    return f"{100 * count / total:.1f} %" if total else "–"
