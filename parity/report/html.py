"""`report.html`: one page that loads nothing else."""

from collections.abc import Callable, Iterator, Mapping
from importlib import resources
from typing import Any, NamedTuple

from jinja2 import Environment, StrictUndefined, Template
from markupsafe import Markup

from parity.environment import blas_warning
from parity.report import failures as failed
from parity.report import plots, wording
from parity.report.drawing import BOX, HIGH, drawing, marks, nodes
from parity.report.model import Curves, Report


class Shown(NamedTuple):
    """A figure on the page; a tall one stands beside two others."""

    caption: str
    svg: Markup
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
        networks=[_network(report, index) for index in range(len(document["architectures"]))],
        failed=failed,
        failures=failed.failures(document),
        probes=document.get("probes"),
        remarks=wording.remarks(document),
        blas_warnings=list(dict.fromkeys(filter(None, map(blas_warning, sides.values())))),
        environment_rows=_environment_rows(sides),
        sides=sides,
        wording=wording,
        style=Markup(_resource("report.css")),
    )


def _network(report: Report, index: int) -> dict[str, Any]:
    settings = report.document["settings"]
    architecture = report.document["architectures"][index]
    curves = report.curves.get(architecture["name"])
    names = {
        "actual": settings["engine"],
        "expected": settings["against"],
        "name": architecture["name"],
    }
    return {
        "architecture": architecture,
        "id": f"network-{index + 1}",
        "lines": wording.lines(architecture, settings),
        "curves": curves is not None,
        "figures": [
            *([] if curves is None else _curves(curves, names, index + 1)),
            *_step(architecture, settings, index + 1),
            *([] if curves is None else _divergence(architecture, curves, names, index + 1)),
            *_budgets(architecture, index + 1),
        ],
    }


def _curves(curves: Curves, names: dict[str, str], number: int) -> Iterator[Shown]:
    """Yield the figures of what the engines did."""
    yield Shown("Fit", Markup(plots.fit(curves, **names, key=f"fit-{number}")))
    yield Shown("Loss", Markup(plots.losses(curves, **names, key=f"losses-{number}")))


def _step(
    architecture: Mapping[str, Any], settings: Mapping[str, Any], number: int
) -> Iterator[Shown]:
    """Yield the drawing of a training step, with the first nodes at which the engines differ."""
    if len(nodes(architecture["sizes"], 1)) > MOST_NODES:
        return
    figure = _template("drawing.html").render(
        drawing=drawing(architecture, settings.get("samples", 100)),
        size=(BOX, HIGH),
        name=architecture["name"],
        key=f"step-{number}",
    )
    caption = "One training step"
    if marks(architecture):
        caption += ", ✗ first apart"
    yield Shown(caption, Markup(figure), tall=True)


def _divergence(
    architecture: Mapping[str, Any], curves: Curves, names: dict[str, str], number: int
) -> Iterator[Shown]:
    """Yield the figure of the trajectory verdict, if that was reached."""
    trajectory = architecture["trajectory"]
    if curves.envelope is None or trajectory is None:
        return
    key = f"divergence-{number}"
    figure = plots.divergence(curves, curves.envelope, trajectory, **names, key=key)
    yield Shown("Divergence", Markup(figure))


def _budgets(architecture: Mapping[str, Any], number: int) -> Iterator[Shown]:
    """Yield the figure of the gradients verdict, if that was reached."""
    gradients = architecture["gradients"]
    if gradients is None or not gradients.get("per_parameter"):
        return
    figure = plots.budgets(gradients, name=architecture["name"], key=f"budgets-{number}")
    yield Shown("Budget used by each gradient", Markup(figure))


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
