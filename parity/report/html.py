"""`report.html`: one page that loads nothing else."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from parity.checks.gradients import Z
from parity.checks.trajectory import RUNS, ULPS
from parity.checks.words import exactly
from parity.report import Report, wording
from parity.report.artist import Artist, Captioned
from parity.report.findings import findings
from parity.report.templates import resource, template


def to_html(report: Report, figures: Sequence[list[Captioned]] | None = None) -> str:
    """The page as text: results, and for each network its figures, verdicts and states.

    It loads nothing, neither fonts nor scripts, so it can be mailed, archived and opened anywhere.
    The same report gives the same text. `figures` are those of each network, by an `Artist`; they
    are drawn here if they are not given.
    """
    document = report.document
    networks = document["architectures"]
    if figures is None:
        settings = document["settings"]
        artist = Artist({"actual": settings["engine"], "expected": settings["against"]})
        figures = [
            artist.draw(number, each, report.curves.get(each["name"]))
            for number, each in enumerate(networks, 1)
        ]
    environment = document["environment"]
    sides = {
        side: environment[side]
        for side in ("actual", "expected")
        if environment.get(side) is not None
    }
    return template("report.html").render(
        document=document,
        settings=document["settings"],
        networks=[
            _network(report, number, *network)
            for number, network in enumerate(zip(networks, figures, strict=True), 1)
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
        style=resource("report.css"),
    )


def _network(
    report: Report, number: int, architecture: dict[str, Any], figures: list[Captioned]
) -> dict[str, Any]:
    return {
        "architecture": architecture,
        "id": f"network-{number}",
        "lines": wording.lines(architecture, report.document["settings"]),
        "curves": architecture["name"] in report.curves,
        "figures": figures,
    }


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
