"""`parity bench`."""

from pathlib import Path
from typing import Annotated

import typer

from minigrad.files import write_whole
from parity.bench import ratios as older
from parity.bench.document import bench
from parity.bench.products import products
from parity.bench.rounds import ROUND_S, SETTLE_S, TIMING, WARM_UP
from parity.bench.scaling import points, scaling
from parity.bench.table import bench_table, products_table
from parity.cli import options
from parity.cli.command import Output, command, complain
from parity.documents import to_json
from parity.engines.registry import ENGINES, factory
from parity.errors import UsageError
from parity.files import output_folder
from parity.processes import TIMEOUT_S
from parity.progress import Progress
from parity.system import not_measured, usable_cores

EVERY = "all"

WARM_S, ENGINE_S, POINT_S = 2.0, ROUND_S + SETTLE_S, 2.0
"""How long an engine takes to warm up, in a round and for a network of the scaling, as expected."""


def _completed(incomplete: str) -> list[str]:
    """Return the lists that begin so, each with one more engine."""
    before, comma, _ = incomplete.rpartition(",")
    return [f"{before}{comma}{name}" for name in (*ENGINES, *([] if comma else [EVERY]))]


@command
def bench_command(
    architectures: options.Names = None,
    engines: Annotated[
        str,
        typer.Option(
            metavar="NAME,...",
            help=f"Names with commas between, or {EVERY}: every one that is ready.",
            autocompletion=_completed,
        ),
    ] = "minigrad,torch",
    threads: Annotated[
        int | None,
        typer.Option(metavar="N", help="Threads of every engine. Default: one a core."),
    ] = None,
    rounds: Annotated[int, typer.Option(metavar="N", help="How many interleaved rounds.")] = 30,
    processes: Annotated[
        int,
        typer.Option(
            metavar="N",
            help="Processes of each engine, one after the other; they share the rounds.",
        ),
    ] = 3,
    read_losses: Annotated[
        bool,
        typer.Option("--read-losses", help="Read every step's loss before the next step begins."),
    ] = False,
    with_scaling: Annotated[
        bool,
        typer.Option(
            "--scaling", help="Also time several widths, batches and depths; takes minutes more."
        ),
    ] = False,
    with_products: Annotated[
        bool,
        typer.Option(
            "--products", help="Also time the matrix products alone, in NumPy's BLAS and torch's."
        ),
    ] = False,
    baseline: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="An older bench.json: list what has become slower since."
        ),
    ] = None,
    seed: options.Seed = None,
    output: options.Folder = "out",
    training: options.Training = options.Training(),  # noqa: B008, it is frozen
    timeout: options.Timeout = TIMEOUT_S,
) -> int:
    """Time training steps of several engines side by side.

    Writes DIR/bench.json, and with --scaling DIR/bench.png. Exit status: 1 if the engines do not
    compute the same or none could be timed, 2 bad usage.
    """
    names = _names(engines)
    factories = {name: factory(name) for name in names}
    tasks = options.tasks(architectures, seed, training, timeout=timeout)
    against = "torch" if "torch" in names else names[0]
    before = None
    if baseline is not None:
        before = older.read(baseline)
        known = [named.name for named, _ in tasks]
        older.require_comparable(before, known, names, against, read_losses)
    chosen = {named.name: task for named, task in tasks}
    folder = output_folder(output)
    threads = threads or usable_cores()
    if processes > rounds:
        raise UsageError(f"--processes {processes} cannot share --rounds {rounds}: give fewer")
    for lack in not_measured():
        complain(f"note: {lack}", 0)
    expected_s = {
        named.name: {
            WARM_UP: processes * len(names) * WARM_S,
            TIMING: rounds * len(names) * ENGINE_S,
        }
        for named, _ in tasks
    }
    with Progress() as progress:
        if with_scaling:
            expected_s["scaling"] = {"networks": len(list(points())) * len(names) * POINT_S}
        if with_products:
            expected_s["products"] = {"networks": 6 * len(tasks) * (WARM_S + rounds * ENGINE_S)}
        progress.plan(expected_s)
        document = bench(
            chosen,
            factories,
            threads,
            rounds,
            progress.show,
            processes,
            read_losses,
            timeout,
        )
        write_whole(folder / "bench.json", to_json(document))  # what follows may fail
        if with_scaling:
            document["scaling"] = scaling(
                tasks[0][1], factories, threads, progress.show, read_losses, timeout
            )
            write_whole(folder / "bench.json", to_json(document))
        if with_products:
            document["products"], left_out = products(
                chosen, threads, rounds, progress.show, timeout
            )
            document["left_out"] += left_out
            write_whole(folder / "bench.json", to_json(document))
    console = Output()
    console.print(bench_table(document))
    if with_products:
        console.print(products_table(document))
    for each in document["left_out"]:
        console.say("{architecture}: {engine} was left out: {reason}".format(**each))
    for warning in document["warnings"]:
        console.say(f"! {warning}", "bold")
    if before is not None and not document["loaded"]:
        for change in older.changes(before, document, against):
            style = "bold red" if change.verdict == "slower" else None
            console.say(str(change), style)
    if with_scaling:
        from parity.bench.plots import scaling_picture  # matplotlib takes long to load
        from parity.report.figure import to_png

        write_whole(folder / "bench.png", to_png(scaling_picture(document["scaling"])))
        console.print(f"Picture: {folder / 'bench.png'}", soft_wrap=True)
    console.print(f"Written: {folder / 'bench.json'}", soft_wrap=True)
    return 0 if document["agreed"] and document["results"] else 1


def _names(engines: str) -> list[str]:
    """Return the names of the engines to time."""
    if engines == EVERY:
        return [name for name, known in ENGINES.items() if not known.missing()]
    names = list(dict.fromkeys(filter(None, engines.split(","))))
    if not names:
        raise UsageError("--engines names no engine: give at least one, such as minigrad,torch")
    return names
