"""`python -m parity.evidence.peers`."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from parity.cli.command import Output
from parity.cli.options import tasks
from parity.documents import to_json
from parity.engines.process import EngineProcessError
from parity.engines.registry import factory
from parity.errors import UsageError
from parity.evidence import peers as package
from parity.evidence.figures import replaced
from parity.evidence.peers.record import PEERS, RESULT, ROOT, document, judge_peer, markdown
from parity.files import output_folder, write_whole


def main(arguments: list[str] | None = None) -> int:
    """Judge the peers; write the document and, between its markers, README's table.

    Returns 0 when all are judged, whatever is found; 2 if one is not installed.
    """
    parser = argparse.ArgumentParser(prog="parity.evidence.peers", description=package.__doc__)
    parser.add_argument("--seed", default="0", help="of every run (0)")
    parser.add_argument(
        "--output", type=Path, default=RESULT, help="the file (parity/evidence/results/…)"
    )
    parser.add_argument("--readme", type=Path, default=ROOT / "README.md", help="gets the table")
    parser.add_argument("engines", nargs="*", default=list(PEERS), help="of the peers (all)")
    options = parser.parse_args(arguments)
    console = Output()
    try:
        todo = tasks(None, options.seed, "float32")
        for name in options.engines:
            factory(name)  # is it there?
        cases = output_folder(options.output.with_suffix(""))
        result = document([], _earlier(options.output))
        for name in options.engines:
            found = judge_peer(name, todo, cases)
            result = document([found], result["peers"])
            write_whole(options.output, to_json(result))
            console.print(f"{name}: {len(found['networks'])} networks judged", soft_wrap=True)
    except KeyboardInterrupt:
        print("peers: interrupted; name the engines that are missing", file=sys.stderr)
        return 130
    except (UsageError, EngineProcessError) as error:
        print(f"peers: {error}", file=sys.stderr)
        return 2
    readme = options.readme.read_text(encoding="utf-8")
    write_whole(options.readme, replaced(readme, "peers", markdown(result)))
    return 0


def _earlier(file: Path) -> list[Any]:
    """Return what a file holds of an earlier run, nothing if there is none."""
    peers: list[Any] = (
        json.loads(file.read_text(encoding="utf-8"))["peers"] if file.exists() else []
    )
    return peers


if __name__ == "__main__":
    sys.exit(main())
