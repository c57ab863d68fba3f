"""Measure how often the budget would fail correct engines, and which defects it catches.

minigrad and torch take the same step from the same parameters, over many kinds of networks and
data. A run that was stopped goes on where it was.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from parity.documents import to_json
from parity.environment import environment, usable_cores
from parity.errors import UsageError
from parity.evidence.calibration.cases import DATA, DTYPES
from parity.evidence.calibration.jobs import planned, prepare, work
from parity.evidence.calibration.plot import plot
from parity.evidence.calibration.rows import Rows, settings
from parity.evidence.calibration.summary import detection, summary
from parity.files import output_folder, write_whole

CASES = 500 * len(DATA) * len(DTYPES)
SEEDS = 50


def main(arguments: list[str] | None = None) -> int:
    """Run `python -m parity.evidence.calibration`.

    Returns 0, 1 if a correct engine would have been failed, 2 for bad usage.
    """
    parser = argparse.ArgumentParser(prog="parity.evidence.calibration", description=__doc__)
    parser.add_argument("--cases", type=int, default=CASES, help=f"comparisons ({CASES:,})")
    parser.add_argument("--seeds", type=int, default=SEEDS, help=f"seeds for detection ({SEEDS})")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="torch's (cpu)")
    parser.add_argument("--workers", type=int, default=usable_cores(), help="processes (cores)")
    parser.add_argument("--output", type=Path, default=Path("out"), help="folder (out)")
    options = parser.parse_args(arguments)
    if options.cases < 1 or options.seeds < 0 or options.workers < 1:
        parser.error("--cases and --workers must be at least 1, --seeds at least 0")
    try:
        folder = output_folder(options.output)
        prepare()
        rows = Rows(folder / "calibration.rows.json", settings(options.device))
        jobs = planned(options.cases, options.seeds, options.device)
        work(rows, jobs, options.workers)
        document = {
            "environment": environment(),
            "device": options.device,
            "seeds": {
                "cases": [0, options.cases - 1],
                "detection": [0, options.seeds - 1] if options.seeds else [],
            },
            **summary([rows[key] for key in jobs if key.startswith("case")]),
            "detection": detection([rows[key] for key in jobs if key.startswith("detect")]),
        }
        write_whole(folder / "calibration.json", to_json(document))
        write_whole(folder / "calibration.png", plot(document))
    except UsageError as error:
        print(f"parity.evidence.calibration: {error}", file=sys.stderr)
        return 2
    print(f"{document['comparisons']:,} comparisons, false alarms: {document['false_alarms']}")
    return int(any(document["false_alarms"].values()))


if __name__ == "__main__":
    sys.exit(main())
