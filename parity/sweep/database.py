"""`sweep.sqlite`: every finished result is kept there, whatever happens afterwards."""

import csv
import io
import os
import platform
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple, Self

from filelock import FileLock, Timeout

from minigrad.files import write_whole
from parity.errors import UsageError

SCHEMA = 1

TABLES = """
CREATE TABLE settings (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE results (
    architecture TEXT NOT NULL,
    seed INTEGER NOT NULL,
    engine TEXT NOT NULL,
    dtype TEXT NOT NULL,
    final_mse REAL,
    state TEXT NOT NULL,
    horizon_epoch INTEGER,
    horizon_runs INTEGER NOT NULL,
    final_spread REAL,
    start TEXT NOT NULL,
    time_s REAL NOT NULL,
    host TEXT NOT NULL,
    PRIMARY KEY (architecture, seed, engine, dtype)
) WITHOUT ROWID;
"""

GIVEN = "given "
"""Stands before the digest of a start that the engine did not draw itself."""


class Row(NamedTuple):
    """A row of the table `results`: the result of one seed.

    Attributes:
        architecture, seed, engine, dtype: the key.
        final_mse: the loss after the last update; NULL in the database, NaN here, if it is NaN.
        state: "trained", "dead" or "diverged".
        horizon_epoch: the first epoch that is not predictable, from perturbed runs of this engine;
            None if all are, or if there were no such runs.
        horizon_runs: how many perturbed runs there were, 0 where the horizon was not asked for.
        final_spread: the largest relative deviation of their final MSE from this one; None without.
        start: a digest of the data and of the initial parameters, with `GIVEN` before it if the
            engine did not draw them itself.
        time_s: seconds for this seed, its share of the time of all that were trained together.
        host: the machine that trained it.
    """

    architecture: str
    seed: int
    engine: str
    dtype: str
    final_mse: float
    state: str
    horizon_epoch: int | None
    horizon_runs: int
    final_spread: float | None
    start: str
    time_s: float
    host: str


STATES = ("trained", "dead", "diverged")


def _text(value: object) -> bool:
    return isinstance(value, str)


def _count(value: object) -> bool:
    return isinstance(value, int) and value >= 0


def _time(value: object) -> bool:
    return isinstance(value, float) and value >= 0


_VALID: dict[str, Callable[[Any], bool]] = {
    "seed": _count,
    "final_mse": lambda value: value is None or isinstance(value, float),
    "state": lambda value: value in STATES,
    "horizon_epoch": lambda value: value is None or _count(value),
    "horizon_runs": _count,
    "final_spread": lambda value: value is None or _time(value),
    "time_s": _time,
}
"""What each column may hold, where that is not any text."""

COLUMNS = Row._fields
KEY = COLUMNS[:4]

# A result is written once; one with a horizon replaces the one without.
_ADD = (
    f"INSERT INTO results ({', '.join(COLUMNS)}) VALUES ({', '.join('?' * len(COLUMNS))})"
    f" ON CONFLICT ({', '.join(KEY)}) DO UPDATE"
    f" SET {', '.join(f'{c} = excluded.{c}' for c in COLUMNS if c not in KEY)}"
    " WHERE excluded.horizon_runs > results.horizon_runs"
)


class Database:
    """The file, open for the one sweep that writes to it; a context manager.

    Others can read it meanwhile: SQLite's write-ahead log. A transaction is on the disk when it is
    committed, so `kill -9` and power cuts lose nothing that `add` has returned from.

    Raises:
        UsageError: another sweep uses the folder; the file is none of this kind; it cannot be
            written: no permission, disk full.
    """

    def __init__(self, folder: Path) -> None:
        """Remember the folder; entering opens the file, or makes it."""
        self.path = folder / "sweep.sqlite"
        self._lock = FileLock(folder / "sweep.lock")  # ends with this process, however that ends
        self._owner_path = folder / "sweep.owner"

    def __enter__(self) -> Self:
        try:
            self._lock.acquire(blocking=False)
        except Timeout:
            owner = "another process"
            with suppress(OSError):
                owner = self._owner_path.read_text(encoding="utf-8", errors="replace") or owner
            raise UsageError(
                f"{owner} is sweeping in {self.path.parent}: wait for its end, or choose another "
                "--output"
            ) from None
        try:
            write_whole(self._owner_path, f"process {os.getpid()} on {platform.node()}")
            with self._said():
                # Transactions are begun and ended explicitly.
                self._connection = sqlite3.connect(self.path, isolation_level=None)
                self._prepare()
        except BaseException:
            self._lock.release()
            raise
        return self

    def __exit__(self, *raised: object) -> None:
        self._connection.close()
        self._lock.release()

    def settle(self, settings: Mapping[str, str]) -> None:
        """Keep the settings; those kept before must be the same.

        Raises:
            UsageError: they are not; names each difference.
        """
        with self._transaction():
            kept = dict(self._connection.execute("SELECT name, value FROM settings"))
            changed = [
                f"{name} {kept[name]} there and {value} now"
                for name, value in settings.items()
                if kept.get(name, value) != value
            ]
            if changed:
                raise UsageError(
                    f"{self.path} is a sweep with other settings: {'; '.join(changed)}. Choose "
                    "another --output, or remove the file to start anew"
                )
            self._connection.executemany(
                "INSERT OR IGNORE INTO settings VALUES (?, ?)", settings.items()
            )

    def add(self, rows: Sequence[Row]) -> None:
        """Keep results, all or none; those that are there already stay as they are."""
        with self._transaction():
            self._connection.executemany(_ADD, rows)

    def rows(self, architecture: str, engine: str, dtype: str) -> dict[int, Row]:
        """Return what has been kept of a network, by seed in ascending order."""
        with self._said():
            found = self._connection.execute(
                f"SELECT {', '.join(COLUMNS)} FROM results"
                " WHERE architecture = ? AND engine = ? AND dtype = ? ORDER BY seed",
                (architecture, engine, dtype),
            )
            return {row.seed: row for row in map(self._row, found)}

    def _row(self, values: Sequence[Any]) -> Row:
        """Return a row of the file, to which SQLite lets anyone write anything."""
        row = Row(*values)
        for name, value in row._asdict().items():
            if not _VALID.get(name, _text)(value):
                raise UsageError(
                    f"{self.path}: the row of {row.architecture!r}, seed {row.seed!r}, engine "
                    f"{row.engine!r} has {name} = {str(value)[:40]!r}, which no sweep writes: "
                    "remove the file to start anew, or choose another --output"
                )
        return row if row.final_mse is not None else row._replace(final_mse=float("nan"))

    def _prepare(self) -> None:
        (version,) = self._connection.execute("PRAGMA user_version").fetchone()
        tables = self._connection.execute("SELECT name FROM sqlite_master").fetchall()
        if version != SCHEMA and (version or tables):
            raise UsageError(
                f"{self.path} is a database of something else, or of another version of parity: "
                "choose another --output, or move the file away"
            )
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = FULL")
        if not version:
            with self._transaction():
                for statement in filter(str.strip, TABLES.split(";")):
                    self._connection.execute(statement)
                self._connection.execute(f"PRAGMA user_version = {SCHEMA}")

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._said():
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._connection.execute("COMMIT")
            finally:
                if (
                    self._connection.in_transaction
                ):  # failed, and SQLite has not undone it by itself
                    self._connection.execute("ROLLBACK")

    @contextmanager
    def _said(self) -> Iterator[None]:
        """Name the file in errors of SQLite, which are those of disks and permissions."""
        try:
            yield
        except sqlite3.Error as error:
            raise UsageError(
                f"cannot use {self.path}: {error}. What was finished before is kept there: put "
                "right what is wrong and start the sweep again to go on, or choose another --output"
            ) from error


def to_csv(rows: Iterable[Row]) -> str:
    """Return results as CSV with a heading, numbers in full precision, None as nothing."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(rows)
    return text.getvalue()
