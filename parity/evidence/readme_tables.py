"""Tables of what was measured, written into a README between two markers."""

import json
import re
from pathlib import Path

from minigrad.files import write_whole
from parity.bench.ratios import read
from parity.bench.table import markdown
from parity.errors import UsageError
from parity.source_digest import ROOT

RESULTS = ROOT / "parity" / "evidence" / "results"
"""Where results are checked in."""

PAGES = {
    "run": ROOT / "README.md",
    "bench": ROOT / "parity" / "README.md",
    "bench-losses": ROOT / "parity" / "README.md",
    "peers": ROOT / "parity" / "README.md",
}
"""The page that has each table."""

PICTURE = ROOT / ".readme" / "bench.png"
FIGURES = ROOT / ".readme" / "figures.png"


def in_checkout(path: Path) -> Path:
    """Return a path; raise `UsageError` if it is one of the repository, and that is not here."""
    if path.is_relative_to(ROOT) and not (ROOT / "pyproject.toml").exists():
        raise UsageError(
            f"{path} is only in a checkout of the repository: start this there, or name a file"
        )
    return path


def markers(name: str) -> tuple[str, str]:
    """Return the lines before and after the part of this name."""
    target = {"run": "figures"}.get(name, name.partition("-")[0])
    return f"<!-- {name}: written by make {target} -->\n", f"<!-- end of {name} -->\n"


def part(readme: str, name: str) -> str:
    """Return what stands between the markers; raise ValueError if they are not there once."""
    begin, end = map(re.escape, markers(name))
    found = re.findall(f"{begin}\n(.*?)\n{end}", readme, re.DOTALL)
    if len(found) != 1:
        raise ValueError(f"the markers of {name!r} are there {len(found)} times, not once")
    return str(found[0])


def replaced(readme: str, name: str, text: str) -> str:
    """Return the text with another part between the markers; raises as `part` does."""
    begin, end = markers(name)
    return readme.replace(f"{begin}\n{part(readme, name)}\n{end}", f"{begin}\n{text}\n{end}")


def publish(folder: Path) -> None:
    """Put what `parity bench` wrote to a folder into the repository, and its table into README.

    The document is copied, and the picture if there is one. A run with `--read-losses` has a place
    of its own.

    Raises:
        UsageError: there is no such document, or none with a picture for README, or the machine
            was busy.
    """
    document = read(folder / "bench.json")
    if document.get("loaded"):
        raise UsageError(f"{folder}: other programs kept the machine busy: time the engines again")
    name = "bench-losses" if document.get("read_losses") else "bench"
    if name == "bench" and "scaling" not in document:
        raise UsageError(f"{folder} has no picture for README: run `parity bench` with --scaling")
    text = replaced(in_checkout(PAGES[name]).read_text(encoding="utf-8"), name, markdown(document))
    write_whole(RESULTS / f"{name}.json", json.dumps(document, indent=1, ensure_ascii=False) + "\n")
    if name == "bench":
        write_whole(PICTURE, (folder / "bench.png").read_bytes())
    write_whole(PAGES[name], text)
