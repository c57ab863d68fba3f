"""`report.html`: one page that needs nothing but itself."""

from collections.abc import Callable, Mapping
from importlib import resources
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from parity.environment import blas_warning
from parity.report import plots, wording
from parity.report.model import Curves, Report


def to_html(report: Report) -> str:
    """The page as text: results, and for each network its figures, verdicts and states.

    It loads nothing, neither fonts nor scripts, so it can be mailed, archived and opened anywhere.
    The same report gives the same text.
    """
    document = report.document
    environment = document["environment"]
    template = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    ).from_string(_resource("report.html"))
    sides = {
        side: environment[side]
        for side in ("actual", "expected")
        if environment.get(side) is not None
    }
    return template.render(
        document=document,
        settings=document["settings"],
        networks=[_network(report, index) for index in range(len(document["architectures"]))],
        failures=wording.failures(document),
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
        "figures": []
        if curves is None
        else [
            ("Fit", Markup(plots.fit(curves, **names, key=f"fit-{index + 1}"))),
            ("Loss", Markup(plots.losses(curves, **names, key=f"losses-{index + 1}"))),
            *_divergence(architecture, curves, names, f"divergence-{index + 1}"),
        ],
    }


def _divergence(
    architecture: Mapping[str, Any], curves: Curves, names: dict[str, str], key: str
) -> list[tuple[str, Markup]]:
    """The figure of the trajectory verdict, if that was reached."""
    if curves.envelope is None or architecture["trajectory"] is None:
        return []
    figure = plots.divergence(curves, curves.envelope, architecture["trajectory"], **names, key=key)
    return [("Divergence", Markup(figure))]


def _environment_rows(sides: dict[str, dict[str, Any]]) -> list[tuple[str, list[str]]]:
    """Label and one text a side, for everything that an environment tells."""
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


def _resource(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")
