"""The times of `parity bench` as a table, for the terminal and for README."""

from collections.abc import Mapping
from typing import Any

from rich import box
from rich.table import Table

from parity import tables
from parity.bench.ratios import ratios_to
from parity.tables import Trimmed


def bench_table(document: Mapping[str, Any]) -> Trimmed:
    """Return a table of a `bench.json` document: microseconds per training step, and ratios.

    The engines are compared with torch if it was timed, else with the first. A ratio says how many
    times as fast as that one an engine is; of a machine that others kept busy none is given.
    """
    against = reference(document)
    found, none = ratios_to(document, against), "1"
    if document.get("loaded"):
        found, none = {}, "machine busy"
    agrees = {entry["architecture"]: entry["agrees"] for entry in document.get("agreement", ())}
    threads = sorted({result["threads"] for result in document["results"]})
    table = Table(
        title=f"Time per training step, {', '.join(map(str, threads))} "
        f"{'thread' if threads == [1] else 'threads'}"
        f"{', every loss read' if document.get('read_losses') else ''}",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        caption=f"medians \\[quartiles]; × {against}: how many times as fast as {against}, "
        "\\[95 % confidence interval]",
    )
    table.add_column("engine", overflow="fold")
    table.add_column("µs a step", justify="right", no_wrap=True)
    table.add_column(f"× {against}", justify="right", no_wrap=True)
    previous = None
    for result in document["results"]:
        architecture, engine = result["architecture"], result["engine"]
        if architecture != previous:
            table.add_section()
            differ = "" if agrees.get(architecture, True) else " [bold red](losses differ)[/]"
            table.add_row(f"[bold]{architecture}[/]{differ}")
        previous = architecture
        ratio = found.get((architecture, engine))
        table.add_row(
            f"  {engine}",
            "{} [dim]\\[{}–{}][/]".format(
                *(_three_digits(1e6 * result[key]) for key in ("median_s", "q1_s", "q3_s"))
            ),
            "{} [dim]\\[{}–{}][/]".format(
                *(_two_places(ratio[key]) for key in ("median", "low", "high"))
            )
            if ratio
            else none,
        )
    return Trimmed(table)


def reference(document: Mapping[str, Any]) -> str:
    """Return the engine that the others are held against: torch if it was timed, else the first."""
    timed = [result["engine"] for result in document["results"]]
    return "torch" if "torch" in timed or not timed else timed[0]


def _three_digits(number: float) -> str:
    """Return a number with three digits, or all before the point."""
    return f"{number:,.0f}" if number >= 100 else f"{number:.3g}"


def _two_places(ratio: float) -> str:
    """Return a ratio to two places, or a large one to three digits."""
    return f"{ratio:.2f}" if ratio < 10 else _three_digits(ratio)


def markdown(document: Mapping[str, Any]) -> str:
    """Return a table of a `bench.json` document in Markdown: a row an engine, a column a network.

    A cell gives the time of a step, and how many times as fast as the reference that is.
    """
    found = ratios_to(document, reference(document))
    networks = list(dict.fromkeys(result["architecture"] for result in document["results"]))
    engines = list(dict.fromkeys(result["engine"] for result in document["results"]))
    times = {
        (result["architecture"], result["engine"]): result["median_s"]
        for result in document["results"]
    }
    rows = []
    for engine in engines:
        row = [f"`{engine}`"]
        for network in networks:
            key = network, engine
            ratio = f" ({found[key]['median']:.2f})" if key in found else ""
            row.append(f"{_three_digits(1e6 * times[key])} µs{ratio}" if key in times else "–")
        rows.append(row)
    return tables.markdown(["engine", *networks], rows, numbers=True)
