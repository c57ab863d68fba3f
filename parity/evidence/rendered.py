"""What the evidence comes to, for a reader: tables for the terminal, and pictures."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure
from matplotlib.style import context
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from parity.checks.verdicts import VERDICTS
from parity.evidence.proof import job_of
from parity.report.figure import to_png
from parity.tables import Trimmed

# ---- calibration --------------------------------------------------------------------------------

SCALED = "× (1 + "
"""How the names of the defects begin that scale a gradient; the factor follows."""


@context("default")
def calibration_picture(document: Mapping[str, Any]) -> bytes:
    """Return the picture as PNG; `document` is the content of `calibration.json`."""
    figure = Figure(figsize=(14, 4.2), dpi=120, layout="constrained")
    parts = (_false_alarms, _caught, _free_steps)
    for draw, axes in zip(parts, figure.subplots(1, 3), strict=True):
        draw(axes, document)
    return to_png(figure)


def _false_alarms(axes: Any, document: Mapping[str, Any]) -> None:
    total, curve = document["comparisons"], document["curve"]
    for kind, label, style in (
        ("gradients", "a gradient, an element", "-"),
        ("parameters", "a new parameter, an element", "--"),
        ("loss", "the loss", ":"),
        ("aggregate", "a gradient, as a whole", "-."),
    ):
        points = [(point["z"], point[kind] / total) for point in curve if point[kind]]
        if points:
            axes.plot(*zip(*points, strict=True), style, label=label, marker=".", markersize=4)
    axes.axvline(document["z"], color="black", linewidth=1)
    axes.text(document["z"] + 0.1, 0.5, f"z = {document['z']:g}, used", va="center")
    axes.set(
        xlabel="z, in standard deviations of a difference",
        ylabel="share of comparisons beyond z",
        title=f"Correct engines: {total:,} steps",
        yscale="log",
        xlim=(0, 8),
        ylim=(0.5 / total, 1.5),
    )
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small", loc="upper right", bbox_to_anchor=(1, 0.87))


def _caught(axes: Any, document: Mapping[str, Any]) -> None:
    for architecture, color in (("rightfit", "tab:blue"), ("overfit", "tab:red")):
        rows = {
            row["defect"]: row["caught"]
            for row in document["detection"]
            if (row["architecture"], row["dtype"]) == (architecture, "float32")
        }
        points = [
            (float(name.removeprefix(SCALED).rstrip(")")), caught["either"])
            for name, caught in rows.items()
            if name.startswith(SCALED)
        ]
        if points:
            axes.plot(*zip(*points, strict=True), color=color, marker=".", label=architecture)
    axes.set(
        xscale="log",
        xlabel="ε: one gradient is multiplied by 1 + ε",
        ylabel="share caught",
        ylim=(-0.03, 1.05),
        title="Planted defects, float32",
    )
    axes.grid(alpha=0.3)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(fontsize="small", loc="center right")


def _free_steps(axes: Any, document: Mapping[str, Any]) -> None:
    found = document["free_steps"]
    worst: dict[str, float] = {}
    for row in found["families"]:
        worst[row["family"]] = max(worst.get(row["family"], 0.0), row["worst_budget_used"])
    axes.barh(list(worst), list(worst.values()), color="tab:green")
    axes.axvline(1, color="black", linewidth=1)
    axes.text(
        0.99,
        0.5,
        "fails from here on",
        rotation=90,
        ha="right",
        va="center",
        transform=axes.get_xaxis_transform(),
    )
    axes.set(
        xlabel="worst share of its budget",
        title=f"Correct engines: {found['comparisons']:,} free steps",
        xlim=(0, 1.05),
    )
    axes.invert_yaxis()
    axes.grid(axis="x", alpha=0.3)


# ---- detection ----------------------------------------------------------------------------------

LABELS = {
    "parity": "parity run --quick",
    "assert_close": "assert_close on the networks' gradients",
    "probes": "assert_close on all values of the probes",
    "final_mse": "final MSE within a relative 1e-3",
    "finite_differences": "finite differences of the small networks",
}


def detection_table(document: dict[str, Any]) -> RenderableType:
    """Return what caught each defect and where, what the usual practice catches, and the counts."""
    found = Table("defect", "caught by", "located at", "usual practice", box=None, pad_edge=False)
    for column in found.columns:
        column.overflow = "fold"
    for entry in document["trials"]:
        named = next(filter(None, map(_place, entry["located"])), "nowhere")
        wanted = "" if entry["right"] else f", not {' or '.join(entry['node'])}"
        practices = (name for name, objection in entry["practices"].items() if objection)
        found.add_row(
            entry["name"],
            _text(_listed(entry["caught_by"]) or "missed", entry["caught"]),
            _text(named + wanted, entry["right"]),
            _listed(practices) or "-",
        )
    return Trimmed(Group(found, Text(), _counts(document)))


def _counts(document: dict[str, Any]) -> Table:
    """Return how many defects each judge catches, and how many correct runs it fails."""
    found = Table(
        "judge", "defects caught", "located", "correct runs failed", box=None, pad_edge=False
    )
    for name, counts in document["judges"].items():
        located = f"{document['located']} of {document['defects']}" if name == "parity" else "-"
        found.add_row(
            {"parity": "parity run --quick"}.get(name, name.replace("_", " ")),
            f"{counts['caught']} of {document['defects']}",
            located,
            f"{counts['false_alarms']} of {document['correct_runs']}",
        )
    return found


def _place(place: dict[str, Any]) -> str | None:
    """Return where a verdict located a failure; of a draw, the tensor."""
    found: str | None = place.get("rule", place.get("parameter"))
    if found is None and place["verdict"] == "probes":
        return f"probe {place['where']}"
    return found


def _listed(names: Iterable[str]) -> str:
    return ", ".join(name.replace("_", " ") for name in names)


def _text(words: str, good: bool) -> Text:
    return Text(words, "" if good else "bold red")


@context("default")
def detection_picture(document: Mapping[str, Any]) -> bytes:
    """Return the picture as PNG; `document` is the content of `detection.json`."""
    total, runs = document["defects"], document["correct_runs"]
    judges = document["judges"].items()
    caught = [(LABELS[name], counts["caught"], total) for name, counts in judges]
    alarms = [(LABELS[name], counts["false_alarms"], runs) for name, counts in judges]
    figure = Figure(figsize=(10, 2.6), dpi=150, layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True, width_ratios=(2, 1))
    _bars(left, caught, "tab:blue")
    _bars(right, alarms, "tab:red")
    left.set(title=f"Caught of {total} planted defects", xlabel="share")
    right.set(title=f"Failed of {runs} correct runs", xlabel="share")
    left.invert_yaxis()
    return to_png(figure)


def _bars(axes: Any, rows: list[tuple[str, int, int]], color: str) -> None:
    """Draw a share of a total for each row, with both numbers beside it."""
    shares = [count / total if total else 0.0 for _, count, total in rows]
    axes.barh([label for label, _, _ in rows], shares, color=color, height=0.6)
    for place, (share, (_, count, total)) in enumerate(zip(shares, rows, strict=True)):
        inside = share > 0.5
        axes.text(
            share + (-0.01 if inside else 0.01),
            place,
            f"{count} of {total}",
            va="center",
            ha="right" if inside else "left",
            color="white" if inside else "black",
        )
    axes.set(xlim=(0, 1))


# ---- proof --------------------------------------------------------------------------------------

HEADINGS = {
    "gradients": "worst_budget_used",
    "steps": "worst_budget_used",
    "free_steps": "worst_budget_used",
    "accuracy": "worst_ratio",
    "trajectory": "worst_envelope_used",
    "bitwise": None,
    "final_mse": None,
}
"""The verdicts that are shown, each with the field that says how close it was."""


def proof_table(runs: Sequence[Mapping[str, Any]]) -> Table:
    """Return a column for each kind of run: how many passed, and the worst of each verdict."""
    found = Table(box=None, pad_edge=False)
    found.add_column("", no_wrap=True)
    columns = []
    for quick, dtype in dict.fromkeys(job_of(run)[:2] for run in runs):
        found.add_column(f"{'quick' if quick else 'full'} {dtype}", justify="right", no_wrap=True)
        some = [run for run in runs if job_of(run)[:2] == (quick, dtype)]
        entries = [entry for run in some for entry in run["architectures"]]
        columns.append([
            f"{sum(run['passed'] for run in some)} of {len(some)}",
            *(_worst([e.get(name) for e in entries], field) for name, field in HEADINGS.items()),
            _worst([run["probes"] for run in some], "worst_budget_used"),
            f"{sum(run['time_s'] for run in some) / 60:.0f}",
        ])  # fmt: skip
    labels = (VERDICTS[name].label for name in HEADINGS)
    for row in zip(("passed", *labels, "probes", "minutes"), *columns, strict=True):
        found.add_row(*row)
    return found


def _worst(verdicts: Sequence[Mapping[str, Any] | None], field: str | None) -> str:
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
