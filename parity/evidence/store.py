"""The results of a long piece of work: one file, from which a run that was stopped goes on."""

import json
import time
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from pathlib import Path
from threading import RLock
from typing import Any

from minigrad.files import write_whole
from parity.errors import UsageError

Row = dict[str, Any]


class Store:
    """Rows in a JSON file that appears whole; threads may add to it.

    The file is one document: what all rows have in common, totals, and the rows, one a line. A file
    of other settings or of another code is refused.

    Args:
        path: of the file.
        common: what all rows have in common, such as settings and a digest of the code; the file's
            must be the same.
        name: what the document calls the rows.
        key: returns what tells a row from the others; a new row replaces one of the same key.
        order: the keys in their order in the file; rows of other keys come after these.
        totals: returns what the document says of all rows together.
        every_s: how often the file is written; after each row by default.

    Raises:
        UsageError: the file is there, and is none of these, or has something else in common.
    """

    def __init__(
        self,
        path: Path,
        common: Mapping[str, Any],
        *,
        name: str = "rows",
        key: Callable[[Row], Hashable] = lambda row: row["key"],
        order: Iterable[Hashable] = (),
        totals: Callable[[Sequence[Row]], Mapping[str, Any]] = lambda rows: {},
        every_s: float = 0.0,
    ) -> None:
        self.path = path
        self._common, self._name, self._key, self._totals = dict(common), name, key, totals
        self._places = {key: place for place, key in enumerate(order)}
        self._every_s, self._saved_s = every_s, time.monotonic()
        self._extra: dict[str, Any] = {}
        self._lock = RLock()
        self._rows: dict[Hashable, Row] = self._read() if path.exists() else {}

    def _read(self) -> dict[Hashable, Row]:
        try:
            content = json.loads(self.path.read_text(encoding="utf-8"))
            for name, value in self._common.items():
                if content[name] != value:
                    raise UsageError(
                        f"{self.path} was made with {name} {content[name]}, but now it is {value}: "
                        "remove the file to start anew, or choose another --output"
                    )
            return {self._key(row): row for row in content[self._name]}
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise UsageError(
                f"{self.path} holds no results to go on from ({error!r}): remove it, or choose "
                "another --output"
            ) from error

    def __contains__(self, key: Hashable) -> bool:
        return key in self._rows

    def __getitem__(self, key: Hashable) -> Row:
        return self._rows[key]

    def rows(self) -> list[Row]:
        """Return the rows in order."""
        last = len(self._places)
        keys = sorted(self._rows, key=lambda key: self._places.get(key, last))
        return [self._rows[key] for key in keys]

    def document(self) -> dict[str, Any]:
        """Return the content of the file."""
        rows = self.rows()
        return {**self._common, **self._totals(rows), **self._extra, self._name: rows}

    def add(self, row: Row, **extra: Any) -> int:
        """Keep a row and further fields of the document; return how many rows there are."""
        with self._lock:
            self._rows[self._key(row)] = row
            self._extra |= extra
            if time.monotonic() - self._saved_s >= self._every_s:
                self.save()
            return len(self._rows)

    def save(self) -> None:
        """Write the file; numbers that are not finite as NaN and Infinity, which `json` reads."""
        with self._lock:
            document = self.document()
            lines = ",\n    ".join(map(json.dumps, document[self._name]))
            head = json.dumps({**document, self._name: []}, indent=2)
            rows = f'"{self._name}": [\n    {lines}\n  ]'
            write_whole(self.path, head.replace(f'"{self._name}": []', rows) + "\n")
            self._saved_s = time.monotonic()
