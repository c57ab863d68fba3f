"""`report.html`: one page that loads nothing else."""

from collections.abc import Callable, Iterable, Iterator
from importlib import resources
from typing import Any, NamedTuple

from jinja2 import Environment, StrictUndefined, Template

from parity.checks.gradients import Z
from parity.checks.trajectory import RUNS, ULPS
from parity.checks.words import exactly
from parity.report import Curves, Report, plots, wording
from parity.report.drawing import BOX, HIGH, drawing, marks, nodes
from parity.report.findings import findings


class Captioned(NamedTuple):
    """A figure on the page; a tall one stands beside two others."""

    caption: str
    svg: str
    tall: bool = False


MOST_NODES = 100
"""A step of more nodes is not drawn: it would be longer than the rest of the page."""


def to_html(report: Report) -> str:
    """The page as text: results, and for each network its figures, verdicts and states.

    It loads nothing, neither fonts nor scripts, so it can be mailed, archived and opened anywhere.
    The same report gives the same text.
    """
    document = report.document
    environment = document["environment"]
    sides = {
        side: environment[side]
        for side in ("actual", "expected")
        if environment.get(side) is not None
    }
    return _template("report.html").render(
        document=document,
        settings=document["settings"],
        networks=[
            _network(report, number, architecture)
            for number, architecture in enumerate(document["architectures"], 1)
        ],
        findings=findings(document),
        probes=document.get("probes"),
        probe_groups=_probe_groups((document.get("probes") or {}).get("names", [])),
        z=Z,
        runs=RUNS,
        ulps=ULPS,
        remarks=wording.remarks(document),
        environment_rows=_environment_rows(sides),
        sides=sides,
        wording=wording,
        exactly=exactly,
        style=_resource("report.css"),
    )


def _network(report: Report, number: int, architecture: dict[str, Any]) -> dict[str, Any]:
    curves = report.curves.get(architecture["name"])
    settings = report.document["settings"]
    return {
        "architecture": architecture,
        "id": f"network-{number}",
        "lines": wording.lines(architecture, settings),
        "curves": curves is not None,
        "figures": list(_figures(architecture, curves, settings, number)),
    }


def _figures(
    architecture: dict[str, Any], curves: Curves | None, settings: dict[str, Any], number: int
) -> Iterator[Captioned]:
    """Yield what the engines did, the step with the first nodes at which they differ, and how far
    apart they are, as far as it is known.
    """
    name = architecture["name"]
    names = {"actual": settings["engine"], "expected": settings["against"], "name": name}
    if curves is not None:
        yield Captioned("Fit", plots.fit(curves, **names, key=f"fit-{number}"))
        yield Captioned("Loss", plots.losses(curves, **names, key=f"losses-{number}"))
    if 0 < len(nodes(architecture)) <= MOST_NODES:
        step = _template("drawing.html").render(
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


def _probe_groups(names: Iterable[str]) -> dict[str, dict[str, list[str]]]:
    """Return the ways in which each thing is probed, by family; those written by hand are one."""
    found: dict[str, dict[str, list[str]]] = {}
    for name in names:
        family, _, rest = name.partition("-")
        thing, _, way = rest.partition("-")
        things = found.setdefault(family if rest else "written", {})
        things.setdefault(thing or name, []).append(way.replace("-", ", "))
    return found


def _environment_rows(sides: dict[str, dict[str, Any]]) -> list[tuple[str, list[str]]]:
    """Return each row of the environments: its label, and a text for each engine."""
    rows: dict[str, Callable[[dict[str, Any]], str | None]] = {
        "Python": lambda side: side["versions"]["python"],
        "NumPy": lambda side: side["versions"]["numpy"],
        "torch": lambda side: side["versions"]["torch"],
        "minigrad-parity": lambda side: side["versions"]["minigrad-parity"],
        "CPU": lambda side: side["cpu"],
        "cores": lambda side: f"{side['usable_cores']} of {side['logical_cores']}",
        "GPU": lambda side: side["gpu"],
        "BLAS": lambda side: "\n".join(map(_blas, side["blas"])),
        "torch's vector instructions": lambda side: side["torch_instructions"],
        "BLAS variables set": lambda side: "\n".join(
            f"{name}={value}" for name, value in side["variables"].items()
        ),
        "platform": lambda side: side["platform"],
    }
    return [
        (label, [read(side) or "none" for side in sides.values()]) for label, read in rows.items()
    ]


def _blas(library: dict[str, Any]) -> str:
    kernel = f"{library['kernel']} kernel" if library["kernel"] else "kernel not told"
    count = library["threads"]
    threads = f"{count} thread{'s' * (count != 1)}"
    name = f"{library['library']} {library['version'] or ''}".strip()
    return f"{name}, {kernel}, {threads}, from {library['loaded_by'] or 'the system'}"


def _template(name: str) -> Template:
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.from_string(_resource(name))


def _resource(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")
