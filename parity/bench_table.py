"""The times of `parity bench` as a table for the terminal."""

from collections.abc import Mapping
from typing import Any

from rich.table import Table


def bench_table(document: Mapping[str, Any]) -> Table:
    """Return a table of a `bench.json` document: microseconds per training step, and ratios.

    The engines are compared with torch if it was timed, else with the first. A ratio says how many
    times as fast as that one an engine is.
    """
    timed = list(dict.fromkeys(result["engine"] for result in document["results"]))
    against = "torch" if "torch" in timed else timed[0]
    found = {
        (ratio["architecture"], ratio["engine"]): ratio
        for ratio in document["ratios"]
        if ratio["against"] == against
    }
    agrees = {entry["architecture"]: entry["agrees"] for entry in document.get("agreement", ())}
    threads = sorted({result["threads"] for result in document["results"]})
    table = Table(
        title=f"Time per training step, {', '.join(map(str, threads))} "
        f"{'thread' if threads == [1] else 'threads'}",
        caption="medians; \\[quartiles] of the time, \\[95 % confidence interval] of the ratio",
    )
    table.add_column("network")
    table.add_column("engine")
    table.add_column("µs / step", justify="right")
    table.add_column(f"times as fast as {against}", justify="right")
    previous = None
    for result in document["results"]:
        architecture, engine = result["architecture"], result["engine"]
        if architecture != previous and previous is not None:
            table.add_section()
        label = "" if architecture == previous else architecture
        if label and not agrees.get(architecture, True):
            label += " [bold red](losses differ)[/]"
        previous = architecture
        ratio = found.get((architecture, engine))
        table.add_row(
            label,
            engine,
            "{:,.1f} [dim]\\[{:,.1f} – {:,.1f}][/]".format(
                *(1e6 * result[key] for key in ("median_s", "q1_s", "q3_s"))
            ),
            "{median:.2f} [dim]\\[{low:.2f} – {high:.2f}][/]".format(**ratio) if ratio else "1",
        )
    return table
