"""`python -m parity.evidence NAME`: measure how far the judge can be trusted."""

import functools
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

from minigrad import shell
from parity.extras import needed_by

with needed_by("python -m parity.evidence"):
    from typer import Argument, Option

    from minigrad.architectures import ARCHITECTURES, DEFAULT_SEED
    from minigrad.files import write_whole
    from parity.cli.command import Output, command
    from parity.cli.options import Training, tasks
    from parity.cli.program import Command, program
    from parity.documents import to_json
    from parity.engines.registry import factory
    from parity.environment import environment
    from parity.evidence.readme_tables import (
        FIGURES,
        PAGES,
        in_checkout,
        publish,
        replaced,
    )
    from parity.files import output_folder
    from parity.progress import Progress
    from parity.result_sources import RESULTS, code
    from parity.system import usable_cores

# What is loaded within functions brings torch or matplotlib with it.

CORES = usable_cores()
KEPT = "start it again to go on"

Folder = Annotated[Path, Option(help="The folder to write files to.")]
File = Annotated[
    Path,
    Option(help="The file to keep results in.", show_default="one in parity/evidence/results"),
]


def calibration(
    cases: Annotated[int, Option(help="Comparisons.")] = 10_000,
    free: Annotated[int, Option(help="Cases from which engines train freely.")] = 450,
    seeds: Annotated[int, Option(help="Seeds for detection.")] = 50,
    device: Annotated[Literal["cpu", "cuda"], Option(help="The device of torch.")] = "cpu",
    workers: Annotated[int, Option(help="Processes.")] = CORES,
    output: Folder = Path("out"),
) -> int:
    """Measure how often the budget would fail correct engines, and which defects it catches.

    minigrad and torch take the same step from the same parameters, over many kinds of networks and
    data; from some of them minigrad trains on, freely. Exit status: 1 if a correct engine would
    have been failed.
    """
    from parity.evidence.calibration import runs
    from parity.evidence.calibration.free import summary as free_summary
    from parity.evidence.rendered import calibration_picture

    folder = output_folder(output)
    runs.prepare()
    found = runs.measurements(folder / "calibration.rows.json", device)
    jobs = runs.planned(cases, free, seeds, device)
    with Progress() as bars:
        runs.work(found, jobs, workers, functools.partial(bars.show, "calibration", "cases"))
    compared, trained, planted = (
        [found[key]["found"] for key in jobs if key.startswith(kind)]
        for kind in ("case", "free", "detect")
    )
    document = {
        "code": found.document()["code"],
        "environment": environment(),
        "device": device,
        "seeds": {"cases": [0, cases - 1], "detection": [0, seeds - 1] if seeds else []},
        **runs.summary(compared),
        "free_steps": free_summary(trained),
        "detection": runs.detection(planted),
    }
    write_whole(folder / "calibration.json", to_json(document))
    write_whole(folder / "calibration.png", calibration_picture(document))
    print(f"{document['comparisons']:,} comparisons, false alarms: {document['false_alarms']}")
    own = document["free_steps"]
    print(f"{own['comparisons']:,} steps of own runs, false alarms: {own['false_alarms']}")
    return int(any(document["false_alarms"].values()) or own["false_alarms"] > 0)


def detection(
    only: Annotated[str | None, Option(metavar="NAME,…", help="These defects alone.")] = None,
    seed: Annotated[int, Option(help="Seed of the runs with a defect.")] = 0,
    workers: Annotated[int, Option(help="Trials at a time.")] = CORES,
    controls: Annotated[int, Option(help="Runs without a defect.")] = 40,
    output: Folder = Path("out"),
) -> int:
    """Plant every defect of the catalogue in a copy of the tree, and see what finds it.

    Exit status: 0 if each defect is caught and located and the tree without one passes, or 1.
    """
    from parity.evidence.detection.defect import chosen
    from parity.evidence.detection.runs import detect
    from parity.evidence.rendered import detection_picture, detection_table

    defects = chosen(only)
    folder = output_folder(output)
    with Progress() as bars:
        document = detect(
            defects,
            folder / "detection.rows.json",
            seed=seed,
            controls=controls,
            workers=workers,
            progress=functools.partial(bars.show, "detection", "trials"),
        )
    write_whole(folder / "detection.json", to_json(document))
    write_whole(folder / "detection.png", detection_picture(document))
    console = Output()
    console.print(detection_table(document), soft_wrap=True)
    console.print(f"Written: {folder / 'detection.json'} and detection.png", soft_wrap=True)
    return 0 if document["passed"] else 1


def proof(
    architectures: Annotated[
        list[str] | None, Argument(help="Names or layer sizes. Default: the three.")
    ] = None,
    full: Annotated[int, Option(help="Seeds of full runs.")] = 12,
    quick: Annotated[int, Option(help="Seeds of quick runs.")] = 50,
    device: Annotated[str, Option(help="The device of torch.")] = "cpu",
    workers: Annotated[int, Option(help="Runs at the same time.")] = CORES,
    output: File = RESULTS / "proof.json",
    failures: Annotated[Path, Option(help="The folder of reports that fail.")] = Path("out/proof"),
) -> int:
    """Judge minigrad against torch at many seeds, in full and quickly.

    Exit status: 0 if every run passed, or 1.
    """
    from parity.evidence import proof as proofs
    from parity.evidence.rendered import endings, proof_table

    tasks(architectures, "0", Training(device=device))
    output_folder(in_checkout(output).parent)
    settings = {
        "full": full,
        "quick": quick,
        "architectures": architectures or list(ARCHITECTURES),
        "engines": list(proofs.ENGINES),
        "device": device,
    }
    jobs = proofs.planned(full, quick)
    found = proofs.kept(output, settings, jobs)
    with Progress() as bars:
        progress = functools.partial(bars.show, "proof", "runs")
        proofs.prove(found, jobs, architectures, workers, failures, progress, device)
    console = Output()
    console.print(proof_table(found.rows()))
    for line in endings(found.rows()):
        console.print(line, soft_wrap=True)
    document = found.document()
    for name in document["failed"]:
        console.print(f"FAILED: {name}; its report is in {failures}", soft_wrap=True)
    return 0 if document["passed"] else 1


def peers(
    engines: Annotated[list[str] | None, Argument(help="Of the peers. Default: all.")] = None,
    seed: Annotated[str, Option(help="Seed of every run.")] = str(DEFAULT_SEED),
    output: File = RESULTS / "peers.json",
    readme: Annotated[
        Path, Option(help="The page that gets the table.", show_default="parity/README.md")
    ] = PAGES["peers"],
) -> int:
    """Judge the other engines against torch, and put the result into parity/README.md.

    Exit status: 0 when all are judged, whatever is found.
    """
    from parity.evidence.peers import PEERS, judge_peer, kept, markdown

    in_checkout(readme)
    todo = tasks(None, seed)
    names = engines or PEERS
    for name in names:
        factory(name)  # is it there?
    cases = output_folder(in_checkout(output).with_suffix(""))
    found = kept(output, todo[0][1].seed)
    with Progress() as bars:
        for done, name in enumerate(names, 1):
            peer = judge_peer(name, todo, cases)
            found.add(peer)
            bars.show("peers", "engines", done, len(names))
            print(f"{name}: {len(peer['networks'])} networks judged", flush=True)
    write_whole(readme, replaced(readme.read_text("utf-8"), "peers", markdown(found.document())))
    return 0


def bench(
    folders: Annotated[list[Path], Argument(help="The folders that `parity bench` wrote to.")],
) -> int:
    """Put runs of `parity bench` into parity/README.md."""
    for folder in folders:
        publish(folder)
    return 0


def sample(folder: Annotated[Path, Argument(help="The folder that `parity run` wrote to.")]) -> int:
    """Put a run of the three networks into README."""
    in_checkout(PAGES["run"])
    from parity.evidence.figures import sample

    report = json.loads((folder / "report.json").read_text("utf-8"))
    write_whole(RESULTS / "run.json", to_json(report))
    page = PAGES["run"]
    write_whole(page, replaced(page.read_text("utf-8"), "run", sample(report)))
    return 0


def figures(
    folder: Annotated[Path, Argument(help="The folder that `parity sweep` wrote to.")],
) -> int:
    """Draw README's picture of a sweep of many seeds."""
    in_checkout(FIGURES)
    from parity.evidence.figures import outcomes, picture
    from parity.processes import Side
    from parity.training import train

    found = {"code": code("figures"), "environment": environment(), **outcomes(folder)}
    with Progress() as bars:
        todo = tasks(None)
        runs = train(todo, Side("minigrad", factory("minigrad")), bars.show)
    fits = {named.name: run for (named, _), run in zip(todo, runs, strict=True)}
    write_whole(RESULTS / "figures.json", json.dumps(found) + "\n")
    write_whole(FIGURES, picture(found, fits))
    return 0


def status() -> int:
    """Say for each result that is checked in whether it is of the code as it is.

    Exit status: 0 if all are, or 1.
    """
    from parity.evidence.status import statuses

    found = [*statuses()]
    for each in found:
        print(each)
    current = all(each.current for each in found)
    if not current:
        print("If a command refuses to go on with a file of older code, remove that file.")
    return int(not current)


app = program(
    "parity.evidence",
    help="Measure how far the judge can be trusted. What was stopped goes on where it was. Exit "
    "status: 0 the judge did what it should, 1 it did not, 2 bad usage, 130 Ctrl-C.",
    add_completion=False,
)
for function, interrupted in (
    (calibration, KEPT),
    (detection, KEPT),
    (proof, KEPT),
    (peers, "name the engines that are missing"),
    (bench, KEPT),
    (sample, KEPT),
    (figures, KEPT),
    (status, "nothing was changed"),
):
    name = function.__name__
    app.command(name, cls=Command)(command(function, f"parity.evidence {name}", interrupted))


def main(arguments: Sequence[str] | None = None) -> None:
    """Run `python -m parity.evidence NAME`, and exit with its status."""
    prog_name = "python -m parity.evidence"
    sys.exit(shell.finish("parity.evidence", lambda: app(arguments, prog_name=prog_name)))


if __name__ == "__main__":
    main()
