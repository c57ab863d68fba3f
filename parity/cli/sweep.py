"""`parity sweep`."""

from typing import Annotated, Any

import typer

from minigrad.files import write_whole
from parity.checks.trajectory import RUNS
from parity.cli import options
from parity.cli.command import Output, command, complain
from parity.engines.registry import ENGINES, factory
from parity.errors import EngineFailedError, UsageError
from parity.files import output_folder
from parity.processes import TIMEOUT_S, Processes, Side, trainer
from parity.progress import Progress, step_s
from parity.sweep import plan as plans
from parity.sweep.compare import compare
from parity.sweep.database import Database, to_csv
from parity.sweep.executors import DaskWorkers, LocalWorkers, require_address
from parity.sweep.settings import settings
from parity.sweep.table import passed, summary
from parity.sweep.work import trained_by
from parity.system import usable_cores

HORIZONS = 20


@command
def sweep_command(
    architectures: options.Names = None,
    seeds: Annotated[
        str, typer.Option(metavar="A:B", help="The first seed, and the one after the last.")
    ] = "0:100",
    engine: options.Engine = "minigrad",
    against: options.Against = "torch",
    horizons: Annotated[
        int,
        typer.Option(
            metavar="N",
            help="Find the horizons of the first N seeds, with 8 more runs each.",
        ),
    ] = HORIZONS,
    workers: Annotated[
        int | None,
        typer.Option(metavar="N", help="Worker processes. Default: one a core."),
    ] = None,
    scheduler: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="A Dask cluster that trains, tcp://HOST:PORT."),
    ] = None,
    csv: Annotated[bool, typer.Option("--csv", help="Also write DIR/sweep.csv.")] = False,
    output: options.Folder = "out",
    training: options.Training = options.Training(),  # noqa: B008, it is frozen
    timeout: options.Timeout = TIMEOUT_S,
) -> int:
    """Compare the results of two engines over many seeds.

    Trains every seed on both, and judges whether the final MSE are of one distribution. Keeps
    every result in DIR/sweep.sqlite and goes on where it was stopped; draws DIR/sweep.png. Exit
    status: 0 every verdict that was reached passed, 1 one failed or an engine did, 2 bad usage, a
    seed that could not be trained, or a network without a verdict.
    """
    options.require_two(engine, against, trained_by)
    if scheduler is not None and workers is not None:
        raise UsageError("--workers is for this machine: a Dask cluster has its own, leave it out")
    if scheduler is not None:
        require_address(scheduler)
    sides = [Side(name, factory(name), timeout) for name in (engine, against)]
    if not {engine, against} <= ENGINES.keys():
        with Processes(trainer(sides[0]), trainer(sides[1])) as processes:
            processes.require_two()
    networks = {
        named.name: (named, task)
        for named, task in options.tasks(architectures, training=training, timeout=timeout)
    }
    plan = plans.Plan(networks, plans.seeds(seeds), engine, against, horizons, timeout)
    with Database(output_folder(output)) as database:
        tasks = {name: task for name, (_, task) in networks.items()}
        database.settle(settings(tasks, (engine, against)))
        try:
            streams = _train(plan, database, workers, scheduler)
            compared = _compared(plan, database, csv)
        except KeyboardInterrupt:
            kept = sum(
                len(rows) for sides in plans.results(plan, database).values() for rows in sides
            )
            count = f"{kept:,} of {2 * len(networks) * len(plan.seeds):,} results"
            said = f"{count} are in {database.path}; start it again to go on"
            raise KeyboardInterrupt(said) from None
    lost = [line for stream in streams for line in stream.losses()]
    for line in lost:
        complain(line, 2)
    empty = [name for name, found in compared.items() if found["passed"] is None]
    if empty and not lost:
        complain(f"no verdict was reached on {', '.join(empty)}: give more --seeds", 2)
    errors = [error for stream in streams for error in stream.lost.values()]
    if passed(compared) is False or any(isinstance(each, EngineFailedError) for each in errors):
        return 1
    return 2 if lost or empty else 0


def _train(
    plan: plans.Plan, database: Database, count: int | None, scheduler: str | None
) -> list[plans.Stream]:
    """Train everything that is missing; return what was to be trained."""
    streams = plans.streams(plan, database)
    if not any(stream.seeds for stream in streams):
        return streams
    workers = LocalWorkers(count or usable_cores()) if scheduler is None else DaskWorkers(scheduler)
    done: dict[str, dict[int, int]] = {name: {} for name in plan.networks}
    total = dict.fromkeys(plan.networks, 0)
    for stream in streams:
        total[stream.common.architecture] += stream.total * _runs(stream)

    def seen(stream: plans.Stream, seeds: int) -> None:
        name = stream.common.architecture
        done[name][id(stream)] = seeds * _runs(stream)
        progress.show(name, "runs", sum(done[name].values()), total[name])

    with Progress() as progress, workers:
        progress.plan(
            {
                name: {"runs": total[name] * task.steps * step_s(task.sizes, task.samples)}
                for name, (_, task) in plan.networks.items()
            }
        )
        plans.schedule(streams, workers, database.add, seen, lambda lack: complain(lack, 2))
    return streams


def _runs(stream: plans.Stream) -> int:
    """Return how many runs a seed of a stream takes."""
    return 1 + RUNS * stream.common.horizon


def _compared(plan: plans.Plan, database: Database, csv: bool) -> dict[str, dict[str, Any]]:
    """Compare the results by network, print and draw them."""
    results = plans.results(plan, database)
    compared = {name: compare(*sides, len(results)) for name, sides in results.items()}
    console = Output()
    console.print(summary(plan, compared))
    from parity.report.figure import to_png  # matplotlib takes long to load
    from parity.sweep.plots import picture

    write_whole(database.path.with_suffix(".png"), to_png(picture(plan, results)))
    written = "sweep.png"
    if csv:
        every = [row for sides in results.values() for rows in sides for row in rows.values()]
        write_whole(database.path.with_suffix(".csv"), to_csv(sorted(every)))
        written += ", sweep.csv"
    console.print(f"Written: {database.path}, {written}", soft_wrap=True)
    return compared
