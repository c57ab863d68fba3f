"""Put a run of `parity bench` into README: `python -m parity.bench.publish DIR`.

It copies the document and the picture to where README finds them, and writes the table of speeds
between the two markers. `make bench` ends with it.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

from parity.bench.baseline import read
from parity.bench.table import markdown
from parity.files import write_whole

ROOT = Path(__file__).parents[2]
RESULT = ROOT / "parity" / "results" / "bench.json"
PICTURE = ROOT / ".readme" / "bench.png"
BEGIN, END = "<!-- speed: written by make bench -->\n", "<!-- end of speed -->\n"


def table(readme: str) -> str:
    """Return what stands between the markers; raise ValueError if they are not there once."""
    found = re.findall(f"{re.escape(BEGIN)}(.*?){re.escape(END)}", readme, re.DOTALL)
    if len(found) != 1:
        raise ValueError(
            f"README.md has the markers of the speed table {len(found)} times, not once"
        )
    return str(found[0])


def publish(folder: Path) -> None:
    """Copy what `parity bench` wrote to `folder` into the repository."""
    document = read(folder / "bench.json")
    readme = ROOT / "README.md"
    text = readme.read_text(encoding="utf-8")
    old = BEGIN + table(text) + END
    write_whole(RESULT, json.dumps(document, indent=1, ensure_ascii=False) + "\n")
    write_whole(PICTURE, (folder / "bench.png").read_bytes())
    write_whole(readme, text.replace(old, f"{BEGIN}\n{markdown(document)}\n{END}"))


if __name__ == "__main__":
    publish(Path(sys.argv[1]))
