"""The times of `parity bench` as a table, for the terminal and for README."""

from collections.abc import Iterator, Mapping
from typing import Any

from rich import box
from rich.table import Table

from parity import tables
from parity.bench.ratios import ratios_to
from parity.engines.registry import ENGINES
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
        f"\\[95 % confidence interval]{_of_one_seed(document)}",
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


def _of_one_seed(document: Mapping[str, Any]) -> str:
    """Return which engines train many seeds at once, to end a caption."""
    engines = dict.fromkeys(result["engine"] for result in document["results"])
    many = ", ".join(filter(many_seeds, engines))
    return f"; {many}: a step of one seed of many" if many else ""


PRODUCTS = ("forward", "inputs", "weights")
STEPS = {"numpy": "minigrad", "torch": "torch"}
"""The engine whose step a library's products are a share of."""


def product_rows(document: Mapping[str, Any]) -> Iterator[tuple[str, list[str]]]:
    """Yield each network's name with a row for each library: its matrix products alone, in µs.

    They are those of the layers' outputs, of the gradients of inputs and of weights, and all of
    them, also as a share of the step of an engine that uses the library. None is given of a machine
    that others kept busy, nor where that engine was not timed.
    """
    steps = {
        (result["architecture"], result["engine"]): result["median_s"]
        for result in document["results"]
        if not document.get("loaded")
    }
    for entry in document.get("products", ()):
        network, library = entry["architecture"], entry["library"]
        times = [entry.get(kind, {}).get("median_s", 0.0) for kind in PRODUCTS]
        step = steps.get((network, STEPS[library]))
        share = f"{sum(times) / step:.0%}".replace("%", " %") if step else "–"
        figures = (_three_digits(1e6 * time) for time in (*times, sum(times)))
        yield network, [f"{library}, {entry['blas']}", *figures, share]


def products_table(document: Mapping[str, Any]) -> Trimmed:
    """Return `product_rows` as a table for the terminal."""
    table = Table(
        title="Matrix products of a step alone, µs",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        caption="of outputs, of gradients of inputs and of weights, and all of them; share of a "
        "step of minigrad, and of torch",
    )
    table.add_column("library", overflow="fold")
    for name in (*PRODUCTS, "all", "share"):
        table.add_column(name, justify="right", no_wrap=True)
    previous = None
    for network, (library, *figures) in product_rows(document):
        if network != previous:
            table.add_section()
            table.add_row(f"[bold]{network}[/]")
        previous = network
        table.add_row(f"  {library}", *figures)
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


def markdown(*documents: Mapping[str, Any]) -> str:
    """Return a table in Markdown of `bench.json` documents: a row an engine, a column a network.

    A cell gives the time of a step, and how many times as fast as the reference that is. Further
    documents, of other numbers of threads, have columns of their own. A second table has the matrix
    products of the first document, if they were timed.
    """
    columns: dict[str, dict[str, str]] = {}
    for document in documents:
        found = ratios_to(document, reference(document))
        for result in document["results"]:
            network, engine = result["architecture"], result["engine"]
            ratio = found.get((network, engine))
            beside = f" ({ratio['median']:.2f})" if ratio else ""
            title = network
            if document is not documents[0]:
                title += f", {result['threads']} threads"
            cells = columns.setdefault(title, {})
            cells[engine] = f"{_three_digits(1e6 * result['median_s'])} µs{beside}"
    rows = [
        [f"`{engine}`{', a seed' if many_seeds(engine) else ''}"]
        + [cells.get(engine, "–") for cells in columns.values()]
        for engine in dict.fromkeys(engine for cells in columns.values() for engine in cells)
    ]
    table = tables.markdown(["engine", *columns], rows, numbers=True)
    if not documents[0].get("products"):
        return table
    heading = ["network", "library", *PRODUCTS, "all", "share"]
    rows = [[network, *row] for network, row in product_rows(documents[0])]
    return (
        f"{table}\nThe matrix products of a step alone, in µs: of the layers' outputs, and of the "
        "gradients of\ntheir inputs and weights. The share is that of a step of minigrad, and of "
        f"torch.\n\n{tables.markdown(heading, rows, numbers=True)}"
    )


def many_seeds(engine: str) -> bool:
    """Return whether an engine trains many seeds at once, so that its time is that of one."""
    return engine in ENGINES and ENGINES[engine].many_seeds
