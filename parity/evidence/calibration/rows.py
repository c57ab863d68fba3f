"""What a calibration has measured so far: a file that appears whole, and resumes."""

from __future__ import annotations

import hashlib
import json
import time
from pathlib import Path
from typing import Any

from parity.environment import environment
from parity.errors import UsageError
from parity.files import write_whole

SAVE_EVERY_S = 20.0

CODE = ("minigrad", "torch_impl", "parity/checks", "parity/evidence/calibration")
"""What the measurements depend on: rows of one file are all of the same code."""

MEASURING = (
    "parity/evidence/calibration/cases.py",
    "parity/evidence/calibration/measure.py",
    "parity/evidence/calibration/planted.py",
    "parity/evidence/calibration/practices.py",
)
"""Of this folder only these: the others say what was measured."""


def settings(device: str) -> dict[str, Any]:
    """Return what the measurements of a file have in common."""
    return {
        "code": _digest(),
        "device": device,
        "versions": environment()["versions"],
    }


def _digest() -> str:
    """Return a digest of the source code that is run."""
    found = hashlib.sha256()
    root = Path(__file__).parents[3]
    for package in CODE:
        for file in sorted((root / package).rglob("*.py")):
            place = file.relative_to(root).as_posix()
            if file.parent.name != "calibration" or place in MEASURING:
                found.update(f"{place}\n".encode() + file.read_bytes())
    return found.hexdigest()


class Rows:
    """Measurements by key, kept in a file as they come.

    Raises:
        UsageError: the file is there, and is none of ours or one of other settings.
    """

    def __init__(self, path: Path, settings: dict[str, Any]) -> None:
        self._path, self._settings = path, settings
        self._saved_s = time.monotonic()
        self._rows: dict[str, dict[str, Any]] = {}
        if not path.exists():
            return
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            theirs, self._rows = dict(content["settings"]), dict(content["rows"])
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise UsageError(
                f"{path} holds no measurements of a calibration ({error!r}): remove it, or choose "
                "another --output"
            ) from error
        for name, value in settings.items():
            if theirs.get(name) != value:
                raise UsageError(
                    f"{path} was measured with {name} {theirs.get(name)}, and now it is {value}: "
                    "remove the file to start anew, or choose another --output"
                )

    def __contains__(self, key: str) -> bool:
        return key in self._rows

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, key: str) -> dict[str, Any]:
        return self._rows[key]

    def add(self, key: str, row: dict[str, Any]) -> None:
        """Keep a measurement; the file is written now and then."""
        self._rows[key] = row
        if time.monotonic() - self._saved_s > SAVE_EVERY_S:
            self.save()

    def save(self) -> None:
        """Write the file."""
        # allow_nan: a difference may be infinite, and this file is read by us alone.
        write_whole(self._path, json.dumps({"settings": self._settings, "rows": self._rows}))
        self._saved_s = time.monotonic()
