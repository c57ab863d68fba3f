"""Put a run of `parity bench` into README: `python -m parity.evidence.publish DIR`.

It copies the document, and the picture if there is one, to where README finds them, and writes the
table of speeds between its markers. A run with `--read-losses` has a place of its own. `make bench`
ends with it.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from parity.bench.baseline import read
from parity.bench.table import markdown
from parity.errors import UsageError
from parity.evidence.figures import replaced
from parity.files import write_whole

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "parity" / "evidence" / "results"
PICTURE = ROOT / ".readme" / "bench.png"


def publish(folder: Path) -> None:
    """Copy what `parity bench` wrote to `folder` into the repository."""
    document = read(folder / "bench.json")
    name = "bench-losses" if document.get("read_losses") else "bench"
    if name == "bench" and "scaling" not in document:
        raise UsageError(f"{folder} has no picture for README: run `parity bench` with --scaling")
    readme = ROOT / "README.md"
    text = replaced(readme.read_text(encoding="utf-8"), name, markdown(document))
    write_whole(RESULTS / f"{name}.json", json.dumps(document, indent=1, ensure_ascii=False) + "\n")
    if name == "bench":
        write_whole(PICTURE, (folder / "bench.png").read_bytes())
    write_whole(readme, text)


if __name__ == "__main__":
    publish(Path(sys.argv[1]))
