"""Which of the results that are checked in are of the code as it is, and which of an older one."""

import json
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from parity.result_sources import RESULTS, SOURCES, code


class Status(NamedTuple):
    """What is known of a result.

    Attributes:
        name: of its file in `RESULTS`, without ".json".
        current: whether the sources that decide it are as they were.
        is_of: in words.
        origin: the version that it says, and the day on which it was checked in; each if known.
        command: measures it again.
    """

    name: str
    current: bool
    is_of: str
    origin: str
    command: str

    def __str__(self) -> str:
        again = "" if self.current else self.command
        return f"{self.name:15} {self.is_of:22} {self.origin:18} {again}".rstrip()


def statuses(folder: Path = RESULTS) -> Iterator[Status]:
    """Yield the status of every result; of one that is not there, too.

    Raises:
        ValueError: a file is no JSON.
    """
    days = _days(folder)
    for name, sources in SOURCES.items():
        path = folder / f"{name}.json"
        if not path.exists():
            yield Status(name, False, "missing", "", sources.command)
            continue
        document = json.loads(path.read_text(encoding="utf-8"))
        current = document.get("code") == code(name)
        older = "older code" if "code" in document else "older code (no digest)"
        origin = filter(None, (_version(document), days.get(path.name)))
        is_of = "this code" if current else older
        yield Status(name, current, is_of, ", ".join(origin), sources.command)


def _version(document: Mapping[str, Any]) -> str | None:
    """Return minigrad's version that a document says, wherever it does."""
    for place in (document, document.get("environment", {})):
        for within in (place, place.get("actual", {})):
            with suppress(KeyError, TypeError):
                return f"{within['versions']['minigrad-parity']}"
    return None


def _days(folder: Path) -> dict[str, str]:
    """Return the days of the last commits of a folder's files, by name; none without git."""
    log = ["git", "log", "--format=day %cs", "--name-only", "--", "."]
    try:
        ended = subprocess.run(log, cwd=folder, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return {}
    found: dict[str, str] = {}
    day = ""
    for line in filter(None, ended.stdout.splitlines()):
        if line.startswith("day "):
            day = line.removeprefix("day ")
        else:
            found.setdefault(line.rpartition("/")[2], day)
    return found
