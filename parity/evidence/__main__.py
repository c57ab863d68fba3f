"""`python -m parity.evidence NAME`: measure how far the judge can be trusted."""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from minigrad.architectures import ARCHITECTURES
from parity.cli.command import Output, ended
from parity.cli.options import tasks
from parity.documents import to_json
from parity.engines import trainer
from parity.engines.registry import factory
from parity.environment import environment, usable_cores
from parity.evidence.figures import PAGES, RESULTS, publish, replaced
from parity.files import output_folder, write_whole
from parity.progress import Progress

# What is loaded within functions brings torch or matplotlib with it.

Options = argparse.Namespace


class Command(NamedTuple):
    """One piece of evidence.

    Attributes:
        does: what it does, in words.
        add_options: adds its options to a parser.
        run: does it; returns the exit status.
        interrupted: what to say after Ctrl-C.
    """

    does: str
    add_options: Callable[[argparse.ArgumentParser], object]
    run: Callable[[Options, trainer.Progress], int]
    interrupted: str = "interrupted; start it again to go on"


def at_least(least: int) -> Callable[[str], int]:
    """Return what reads an option that must be a whole number of at least so many."""

    def number(text: str) -> int:
        value = int(text)
        if value < least:
            raise argparse.ArgumentTypeError(f"{value} is less than {least}")
        return value

    return number


# ---- calibration --------------------------------------------------------------------------------


def calibration_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of `calibration`."""
    add = parser.add_argument
    add("--cases", type=at_least(1), default=10_000, help="comparisons (10,000)")
    add("--seeds", type=at_least(0), default=50, help="seeds for detection (50)")
    add("--device", choices=("cpu", "cuda"), default="cpu", help="torch's (cpu)")
    add("--workers", type=at_least(1), default=usable_cores(), help="processes (cores)")
    add("--output", type=Path, default=Path("out"), help="folder (out)")


def calibration(options: Options, progress: trainer.Progress) -> int:
    """Return 0, or 1 if a correct engine would have been failed."""
    from parity.evidence.calibration.jobs import measurements, planned, prepare, work
    from parity.evidence.calibration.summary import detection, summary
    from parity.evidence.rendered import calibration_picture

    folder = output_folder(options.output)
    prepare()
    found = measurements(folder / "calibration.rows.json", options.device)
    jobs = planned(options.cases, options.seeds, options.device)
    work(found, jobs, options.workers, progress)
    cases, planted = (
        [found[key]["found"] for key in jobs if key.startswith(kind)] for kind in ("case", "detect")
    )
    document = {
        "environment": environment(),
        "device": options.device,
        "seeds": {
            "cases": [0, options.cases - 1],
            "detection": [0, options.seeds - 1] if options.seeds else [],
        },
        **summary(cases),
        "detection": detection(planted),
    }
    write_whole(folder / "calibration.json", to_json(document))
    write_whole(folder / "calibration.png", calibration_picture(document))
    print(f"{document['comparisons']:,} comparisons, false alarms: {document['false_alarms']}")
    return int(any(document["false_alarms"].values()))


# ---- detection ----------------------------------------------------------------------------------


def detection_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of `detection`."""
    add = parser.add_argument
    add("--only", metavar="NAME,…", help="these defects alone")
    add("--seed", type=at_least(0), default=0, help="of the runs with a defect (0)")
    add("--workers", type=at_least(1), default=1, help="trials at a time (1)")
    add("--controls", type=at_least(1), default=20, help="runs without a defect (20)")
    add("--output", default="out", help="folder (out)")


def detection(options: Options, progress: trainer.Progress) -> int:
    """Return 0 if each defect is caught and located and the tree without one passes, or 1."""
    from parity.evidence.detection.catalogue import chosen
    from parity.evidence.detection.results import detect
    from parity.evidence.rendered import detection_picture, detection_table

    defects = chosen(options.only)
    folder = output_folder(options.output)
    document = detect(
        defects,
        folder / "detection.rows.json",
        seed=options.seed,
        controls=options.controls,
        workers=options.workers,
        progress=progress,
    )
    write_whole(folder / "detection.json", to_json(document))
    write_whole(folder / "detection.png", detection_picture(document))
    console = Output()
    console.print(detection_table(document), soft_wrap=True)
    console.print(f"Written: {folder / 'detection.json'} and detection.png", soft_wrap=True)
    return 0 if document["passed"] else 1


# ---- proof --------------------------------------------------------------------------------------


def proof_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of `proof`."""
    add, file = parser.add_argument, RESULTS / "proof.json"
    add("--full", type=at_least(0), default=12, help="seeds of full runs (12)")
    add("--quick", type=at_least(0), default=50, help="seeds of quick runs (50)")
    add("--device", default="cpu", help="of torch (cpu)")
    add("--workers", type=at_least(1), default=usable_cores(), help="runs at once (cores)")
    add("--output", type=Path, default=file, help="the file (parity/evidence/results/…)")
    add("--failures", type=Path, default=Path("out/proof"), help="reports that fail (out/proof)")
    add("architectures", nargs="*", help="names or layer sizes (the three)")


def proof(options: Options, progress: trainer.Progress) -> int:
    """Return 0 if every run passed, or 1."""
    from parity.evidence import proof as proofs
    from parity.evidence.rendered import endings, proof_table

    tasks(options.architectures, "0", "float32", options.device)
    output_folder(options.output.parent)
    settings = {
        "full": options.full,
        "quick": options.quick,
        "architectures": options.architectures or list(ARCHITECTURES),
        "engines": list(proofs.ENGINES),
        "device": options.device,
    }
    jobs = proofs.planned(options.full, options.quick)
    found = proofs.kept(options.output, settings, jobs)
    proofs.prove(
        found,
        jobs,
        options.architectures,
        options.workers,
        options.failures,
        progress,
        options.device,
    )
    console = Output()
    console.print(proof_table(found.rows()))
    for line in endings(found.rows()):
        console.print(line, soft_wrap=True)
    document = found.document()
    for name in document["failed"]:
        console.print(f"FAILED: {name}; its report is in {options.failures}", soft_wrap=True)
    return 0 if document["passed"] else 1


# ---- peers --------------------------------------------------------------------------------------


def peers_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of `peers`."""
    add, file = parser.add_argument, RESULTS / "peers.json"
    add("--seed", default="0", help="of every run (0)")
    add("--output", type=Path, default=file, help="the file (parity/evidence/results/…)")
    add("--readme", type=Path, default=PAGES["peers"], help="gets the table")
    add("engines", nargs="*", help="of the peers (all)")


def peers(options: Options, progress: trainer.Progress) -> int:
    """Return 0 when all are judged, whatever is found."""
    from parity.evidence.peers import PEERS, judge_peer, kept, markdown

    todo = tasks(None, options.seed, "float32")
    engines = options.engines or PEERS
    for name in engines:
        factory(name)  # is it there?
    cases = output_folder(options.output.with_suffix(""))
    found = kept(options.output)
    for done, name in enumerate(engines, 1):
        peer = judge_peer(name, todo, cases)
        found.add(peer)
        progress(done, len(engines))
        print(f"{name}: {len(peer['networks'])} networks judged", flush=True)
    text = replaced(options.readme.read_text("utf-8"), "peers", markdown(found.document()))
    write_whole(options.readme, text)
    return 0


# ---- bench --------------------------------------------------------------------------------------


def bench_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of `bench`."""
    parser.add_argument("folder", type=Path, help="the folder that `parity bench` wrote to")


def bench(options: Options, progress: trainer.Progress) -> int:
    """Return 0."""
    publish(options.folder)
    return 0


COMMANDS = {
    "calibration": Command(
        "Measure how often the budget would fail correct engines, and which defects it catches. "
        "minigrad and torch take the same step from the same parameters, over many kinds of "
        "networks and data.",
        calibration_options,
        calibration,
    ),
    "detection": Command(
        "Plant every defect of the catalogue in a copy of the tree, and see what finds it.",
        detection_options,
        detection,
    ),
    "proof": Command(
        "Judge minigrad against torch at many seeds, in full and quickly.", proof_options, proof
    ),
    "peers": Command(
        "Judge the other engines against torch, and put the result into parity/README.md.",
        peers_options,
        peers,
        "interrupted; name the engines that are missing",
    ),
    "bench": Command("Put a run of `parity bench` into README.", bench_options, bench),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `python -m parity.evidence NAME`; return its exit status.

    That is 0 if the judge did what it should, 1 if it did not, 2 after bad usage, 130 after Ctrl-C.
    """
    parser = argparse.ArgumentParser(
        prog="python -m parity.evidence",
        description="Measure how far the judge can be trusted. What was stopped goes on where it "
        "was. Exit status: 0 the judge did what it should, 1 it did not, 2 bad usage, 130 Ctrl-C.",
    )
    names = parser.add_subparsers(metavar="NAME", dest="name", required=True)
    for name, command in COMMANDS.items():
        command.add_options(names.add_parser(name, help=command.does, description=command.does))
    options = parser.parse_args(arguments)
    command = COMMANDS[options.name]

    def work() -> int:
        with Progress() as bars:
            return command.run(options, lambda *counts: bars.rounds(options.name, *counts))

    return ended(work, f"parity.evidence {options.name}", command.interrupted)


if __name__ == "__main__":
    sys.exit(main())
