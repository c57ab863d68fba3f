"""Tables of what was measured, written into a README between two markers."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from minigrad.files import write_whole
from parity.bench.ratios import read
from parity.bench.table import markdown
from parity.errors import UsageError
from parity.result_sources import RESULTS
from parity.source_digest import ROOT

PAGES = {
    "run": ROOT / "README.md",
    "bench": ROOT / "parity" / "README.md",
    "bench-losses": ROOT / "parity" / "README.md",
    "peers": ROOT / "parity" / "README.md",
}
"""The page that has each table."""

TABLES = {"bench": ("bench", "bench-all-cores"), "bench-losses": ("bench-losses",)}
"""The results that each table of speeds is of."""

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
    target = {"run": "sample"}.get(name, name.partition("-")[0])
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


def bench_part(name: str, *fresh: Mapping[str, Any]) -> str:
    """Return a table of speeds for README: of what is checked in, or of fresh documents in place.

    Args:
        name: "bench" or "bench-losses".
        fresh: documents of `parity bench`.
    """
    found: dict[str, Mapping[str, Any]] = {_name(document): document for document in fresh}
    for each in TABLES[name]:
        if each not in found and _result(each).exists():
            found[each] = read(_result(each))
    return markdown(*(found[each] for each in TABLES[name] if each in found))


def publish(folder: Path) -> None:
    """Put what `parity bench` wrote to a folder into the repository, and its table into README.

    The document is copied, and the picture if there is one. A run with `--read-losses` has a place
    of its own, and one of several threads has columns beside one of a single thread.

    Raises:
        UsageError: there is no such document, or none with a picture for README, or the machine
            was busy.
    """
    document = read(folder / "bench.json")
    if document.get("loaded"):
        raise UsageError(f"{folder}: other programs kept the machine busy: time the engines again")
    name = _name(document)
    if name == "bench" and "scaling" not in document:
        raise UsageError(f"{folder} has no picture for README: run `parity bench` with --scaling")
    (place,) = (place for place, names in TABLES.items() if name in names)
    page = in_checkout(PAGES[place])
    text = replaced(page.read_text(encoding="utf-8"), place, bench_part(place, document))
    write_whole(_result(name), json.dumps(document, indent=1, ensure_ascii=False) + "\n")
    if name == "bench":
        write_whole(PICTURE, (folder / "bench.png").read_bytes())
    write_whole(page, text)


def _name(document: Mapping[str, Any]) -> str:
    """Return the name by which a document of `parity bench` is kept."""
    if document.get("read_losses"):
        return "bench-losses"
    several = any(result["threads"] > 1 for result in document["results"])
    return "bench-all-cores" if several else "bench"


def _result(name: str) -> Path:
    return RESULTS / f"{name}.json"
