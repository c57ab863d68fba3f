"""The result of a proof as a table for the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.table import Table

from parity.evidence.proof.runs import job_of

HEADINGS = {
    "gradients": "worst_budget_used",
    "steps": "worst_budget_used",
    "trajectory": "worst_envelope_used",
    "bitwise": None,
    "final_mse": None,
}
"""The verdicts that are shown, each with the field that says how close it was."""


def table(runs: Sequence[Mapping[str, Any]]) -> Table:
    """Return a row for each kind of run: how many, how many passed, and each verdict's worst."""
    found = Table(box=None, pad_edge=False, collapse_padding=True)
    names = (name.replace("final_mse", "final MSE") for name in HEADINGS)
    for heading in ("", "passed", *names, "probes", "min"):
        found.add_column(heading, justify="right" if heading else "left", no_wrap=True)
    for quick, dtype in dict.fromkeys(job_of(run)[:2] for run in runs):
        some = [run for run in runs if job_of(run)[:2] == (quick, dtype)]
        entries = [entry for run in some for entry in run["architectures"]]
        found.add_row(
            f"{'quick' if quick else 'full'} {dtype}",
            f"{sum(run['passed'] for run in some)} of {len(some)}",
            *(_cell([e[name] for e in entries], field) for name, field in HEADINGS.items()),
            _cell([run["probes"] for run in some], "worst_budget_used"),
            f"{sum(run['time_s'] for run in some) / 60:.0f}",
        )
    return found


def _cell(verdicts: Sequence[Mapping[str, Any] | None], field: str | None) -> str:
    """Return how many failed or, if none, the worst; or how many passed."""
    judged = [verdict for verdict in verdicts if verdict and verdict["passed"] is not None]
    failed = sum(not verdict["passed"] for verdict in judged)
    if failed:
        return f"{failed} FAILED"
    if field is None or not judged:
        return f"{len(judged)} of {len(verdicts)}"
    return f"{max(verdict[field] for verdict in judged):.2f}"


def endings(runs: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return a line for each kind of run and network that died or diverged: at which seeds."""
    seeds: dict[tuple[str, str], list[str]] = {}
    for run in runs:
        job = job_of(run)
        for entry in run["architectures"]:
            states = entry["state"]["actual"], entry["state"]["expected"]
            if states == ("trained", "trained"):
                continue
            state = str(states[0]) if states[0] == states[1] else " / ".join(map(str, states))
            kind = f"{'quick' if job.quick else 'full'} {job.dtype} {entry['name']}"
            seeds.setdefault((kind, state), []).append(str(job.seed))
    return [
        f"{kind}: {len(found)} {state}, seed{'s' * (len(found) > 1)} {', '.join(found)}"
        for (kind, state), found in seeds.items()
    ]
