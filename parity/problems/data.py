"""`Data`: numbers from a CSV file, to be trained on in place of the noisy parabola."""

import csv
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from parity.errors import UsageError, harmless

MOST_BYTES = 100_000_000
MOST_NUMBERS = 1_000_000
"""More are not sent to the engines' processes."""

NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")


@dataclass(frozen=True)
class Data:
    """The numbers of a file, each row a sample; compared and hashed by their bits.

    Attributes:
        path: of the file.
        columns: the names of the inputs, then that of the target.
        standardized: whether each column was brought to mean 0 and standard deviation 1.
        content: float64, row after row.
    """

    path: str
    columns: tuple[str, ...]
    standardized: bool
    content: bytes = field(repr=False)

    @property
    def values(self) -> NDArray[np.float64]:
        """The numbers, (samples, columns) float64, the target last."""
        return np.frombuffer(self.content).reshape(-1, len(self.columns))

    def arrays(self, dtype: str) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return x, (samples, inputs), and y, (samples, 1), rounded to a dtype.

        Raises:
            UsageError: a number is too large for the dtype.
        """
        with np.errstate(over="ignore"):
            found = self.values.astype(dtype)
        if not np.isfinite(found).all():
            row, column = np.argwhere(~np.isfinite(found))[0]
            raise UsageError(
                f"{self.path}: sample {row + 1} has {self.values[row, column]:g} as "
                f"{self.columns[column]}, which is too large for {dtype}: give --dtype float64, "
                "or --standardize"
            )
        return found[:, :-1], found[:, -1:]

    @property
    def described(self) -> dict[str, Any]:
        """What a report says of it."""
        *inputs, target = self.columns
        return {
            "file": self.path,
            "inputs": inputs,
            "target": target,
            "standardized": self.standardized,
        }


def read_data(path: str, target: str, *, standardize: bool = False) -> Data:
    """Read a CSV file: the first line names the columns, every other one is a sample.

    Args:
        path: of the file, UTF-8, with commas.
        target: the name of the column that is predicted; all others are inputs, in their order.
        standardize: bring each column, the target too, to mean 0 and standard deviation 1.

    Raises:
        UsageError: the file cannot be read or used as it is; it says at which line and column.
    """
    try:
        if not Path(path).is_file():
            raise UsageError(f"--data {path}: there is no such file")
        if Path(path).stat().st_size > MOST_BYTES:
            raise UsageError(f"{path} has more than {MOST_BYTES:,} bytes: give fewer samples")
        with Path(path).open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            try:
                names = _names(path, reader, target)
                rows = list(_rows(path, reader, names))
            except csv.Error as error:
                raise UsageError(f"{path}:{reader.line_num}: {error}") from error
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is no text in UTF-8: {error.reason}") from error
    if not rows:
        raise UsageError(f"{path} has no samples: each line after the first must be one")
    last = names.index(target)
    order = [*(i for i in range(len(names)) if i != last), last]
    values = np.array(rows)[:, order]
    if standardize:
        values = _standardized(path, values, [names[i] for i in order])
    return Data(path, tuple(names[i] for i in order), standardize, values.tobytes())


def _standardized(path: str, values: NDArray[np.float64], names: list[str]) -> NDArray[np.float64]:
    with np.errstate(all="ignore"):
        mean, spread = values.mean(axis=0), values.std(axis=0)
    constant = np.all(values == values[0], axis=0)
    wrong = constant | ~np.isfinite(spread)
    if wrong.any():
        column = int(np.argmax(wrong))
        why = "every sample has the same" if constant[column] else "numbers are too large in"
        raise UsageError(
            f"{path}: {why} {names[column]}, so it cannot be standardised: leave that column, or "
            "--standardize, out"
        )
    found: NDArray[np.float64] = (values - mean) / spread
    return found


def _names(path: str, reader: Any, target: str) -> list[str]:
    """Return the names of the columns, checked, from the first line."""
    names = [name.strip() for name in next(reader, [])]
    said = harmless(", ".join(names), 300)
    if not any(names):
        raise UsageError(f"{path} is empty: its first line must name the columns")
    if any(NUMBER.fullmatch(name) for name in names):
        raise UsageError(f"{path}:1: {said}: the first line must name the columns")
    if not all(names) or len(set(names)) < len(names):
        raise UsageError(f"{path}:1: each column needs a name of its own, and they are {said}")
    if target not in names:
        comma = ": commas must lie between them" if len(names) == 1 else ""
        raise UsageError(f"{path} has no column {target!r}, --target; there are {said}{comma}")
    if len(names) == 1:
        raise UsageError(f"{path} has the target {target} alone: it needs a column of inputs, too")
    return names


def _rows(path: str, reader: Any, names: list[str]) -> Iterator[list[float]]:
    """Yield the numbers of each line that is not blank."""
    count = 0
    for row in reader:
        if not any(cell.strip() for cell in row) and len(row) <= 1:
            continue
        if len(row) != len(names):
            raise UsageError(
                f"{path}:{reader.line_num}: {len(row)} values, and the first line names "
                f"{len(names)} columns"
            )
        count += len(row)
        if count > MOST_NUMBERS:
            raise UsageError(f"{path} has more than {MOST_NUMBERS:,} numbers: give fewer samples")
        yield [
            _number(f"{path}:{reader.line_num}, column {name}", cell.strip())
            for name, cell in zip(names, row, strict=True)
        ]


def _number(place: str, text: str) -> float:
    shown = harmless(repr(text), 60)
    if not text:
        raise UsageError(f"{place}: there is no number: fill it in, or leave the line out")
    if NUMBER.fullmatch(text):
        value = float(text)
        if math.isfinite(value):
            return value
        raise UsageError(f"{place}: {shown} is too large for float64")
    if text.lower().lstrip("+-") in ("nan", "inf", "infinity"):
        raise UsageError(f"{place}: {shown} is not finite: leave the line out")
    raise UsageError(f"{place}: {shown} is not a number")
