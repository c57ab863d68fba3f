"""`python -m parity.evidence.proof`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from minigrad.architectures import ARCHITECTURES
from parity.cli.command import Output
from parity.cli.options import tasks
from parity.engines.process import EngineProcessError
from parity.environment import usable_cores
from parity.errors import UsageError
from parity.evidence import proof as package
from parity.evidence.proof.record import Proof, planned, totals
from parity.evidence.proof.runs import ENGINES, prove
from parity.evidence.proof.table import endings, table
from parity.files import output_folder

RESULT = Path(__file__).parents[1] / "results" / "proof.json"
FULL, QUICK = 12, 50


def main(arguments: list[str] | None = None) -> int:
    """Run `python -m parity.evidence.proof`.

    Returns 0 if every run passed, 1 if one did not, 2 for bad usage, 130 if interrupted.
    """
    parser = argparse.ArgumentParser(prog="parity.evidence.proof", description=package.__doc__)
    parser.add_argument("--full", type=int, default=FULL, help=f"seeds of full runs ({FULL})")
    parser.add_argument("--quick", type=int, default=QUICK, help=f"seeds of quick runs ({QUICK})")
    parser.add_argument("--device", default="cpu", help="of torch (cpu)")
    parser.add_argument("--workers", type=int, default=usable_cores(), help="runs at once (cores)")
    parser.add_argument(
        "--output", type=Path, default=RESULT, help="the file (parity/evidence/results/…)"
    )
    parser.add_argument(
        "--failures", type=Path, default=Path("out/proof"), help="reports that fail (out/proof)"
    )
    parser.add_argument("architectures", nargs="*", help="names or layer sizes (the three)")
    options = parser.parse_args(arguments)
    if min(options.full, options.quick) < 0 or options.workers < 1:
        parser.error("--workers must be at least 1, --full and --quick at least 0")
    jobs = planned(options.full, options.quick)
    console = Output()
    try:
        tasks(options.architectures, "0", "float32", options.device)
        output_folder(options.output.parent)
        settings = {
            "full": options.full,
            "quick": options.quick,
            "architectures": options.architectures or list(ARCHITECTURES),
            "engines": list(ENGINES),
            "device": options.device,
        }
        proof = Proof(options.output, settings, jobs)
        prove(
            proof,
            jobs,
            options.architectures,
            options.workers,
            options.failures,
            device=options.device,
        )
    except KeyboardInterrupt:
        print("parity.evidence.proof: interrupted; start it again to go on", file=sys.stderr)
        return 130
    except (UsageError, EngineProcessError) as error:
        print(f"parity.evidence.proof: {error}", file=sys.stderr)
        return 2
    console.print(table(proof.runs))
    for line in endings(proof.runs):
        console.print(line, soft_wrap=True)
    found = totals(proof.runs, len(jobs))
    for name in found["failed"]:
        console.print(f"FAILED: {name}; its report is in {options.failures}", soft_wrap=True)
    return 0 if found["passed"] else 1


if __name__ == "__main__":
    sys.exit(main())
