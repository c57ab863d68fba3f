"""Plant every defect of the catalogue in a copy of the tree, and see what finds it.

A run that was stopped goes on where it was. Writes DIR/detection.json and
DIR/detection.png; exit status: 0 if every defect is caught and located, and the tree without one
passes; 1 if not; 2 for bad usage.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from rich.progress import Progress

from parity.cli.command import Output
from parity.documents import to_json
from parity.errors import UsageError
from parity.evidence.detection.catalogue import DEFECTS
from parity.evidence.detection.defect import Defect
from parity.evidence.detection.plot import plot
from parity.evidence.detection.results import detect
from parity.evidence.detection.table import table
from parity.files import output_folder, write_whole


def main(arguments: list[str] | None = None) -> int:
    """Run `python -m parity.evidence.detection`."""
    parser = argparse.ArgumentParser(prog="parity.evidence.detection", description=__doc__)
    parser.add_argument("--only", metavar="NAME,…", help="these defects alone")
    parser.add_argument("--seed", type=int, default=0, help="of the runs with a defect (0)")
    parser.add_argument("--workers", type=int, default=1, help="trials at a time (1)")
    parser.add_argument("--controls", type=int, default=20, help="runs without a defect (20)")
    parser.add_argument("--output", default="out", help="folder (out)")
    options = parser.parse_args(arguments)
    if options.workers < 1 or options.controls < 1 or options.seed < 0:
        parser.error("--workers and --controls must be at least 1, --seed at least 0")
    console = Output()
    try:
        defects = chosen(options.only)
        folder = output_folder(options.output)
        errors = Output(stderr=True)
        with Progress(console=errors, transient=True, disable=not errors.is_terminal) as progress:
            bar = progress.add_task("trials", total=None)
            document = detect(
                defects,
                output_folder(folder / "detection"),
                seed=options.seed,
                controls=options.controls,
                workers=options.workers,
                progress=lambda name, done, trials: progress.update(
                    bar, description=name, completed=done, total=trials
                ),
            )
        write_whole(folder / "detection.json", to_json(document))
        write_whole(folder / "detection.png", plot(document))
    except UsageError as error:
        Output(stderr=True).print(f"detection: {error}", markup=False, soft_wrap=True)
        return 2
    except KeyboardInterrupt:
        Output(stderr=True).print("detection: interrupted; run it again to go on")
        return 130
    console.print(table(document), soft_wrap=True)
    console.print(f"Written: {folder / 'detection.json'} and detection.png", soft_wrap=True)
    return 0 if document["passed"] else 1


def chosen(names: str | None) -> Sequence[Defect]:
    """Return the defects of these names, all without any.

    Raises:
        UsageError: there is none of a name.
    """
    if names is None:
        return DEFECTS
    known = {defect.name: defect for defect in DEFECTS}
    wanted = list(dict.fromkeys(names.split(",")))
    if unknown := [name for name in wanted if name not in known]:
        raise UsageError(
            f"unknown defect {', '.join(map(repr, unknown))}: the known ones are in "
            "parity/evidence/detection/catalogue"
        )
    return [known[name] for name in wanted]


if __name__ == "__main__":
    sys.exit(main())
