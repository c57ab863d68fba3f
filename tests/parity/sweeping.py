"""Small sweeps, as processes of their own, what they leave, and engines to sweep with."""

import os
import sqlite3
from pathlib import Path
from typing import Any

from parity.engines.peers.numpy_floor import NumpyFloorEngine
from parity.engines.protocol import Array, Start, Task
from parity.errors import UsageError
from parity.sweep.database import COLUMNS
from tests.parity import commands
from tests.zygote import Begun

# Neither of these loads torch, which would take most of the time of these tests.
ENGINES = ("--engine", "minigrad", "--against", "numpy-floor")
RESULT = [column for column in COLUMNS if column not in ("time_s", "host")]


class DyingEngine(NumpyFloorEngine):
    """Takes its process with it at seed 3."""

    def build(self, task: Task, start: Start) -> None:
        if task.seed == 3:
            os._exit(1)
        super().build(task, start)


class RefusingEngine(NumpyFloorEngine):
    """Cannot do what it is asked."""

    def build(self, task: Task, start: Start) -> None:
        raise UsageError("no device 'abacus' here")


class FasterEngine(NumpyFloorEngine):
    """Has a learning rate a thousandth too large."""

    def build(self, task: Task, start: Start) -> None:
        faster = Task(**{**vars(task), "learning_rate": 1.001 * task.learning_rate})
        super().build(faster, start)


class MovedEngine(NumpyFloorEngine):
    """Ends a hundred-thousandth off."""

    def loss_and_gradients(self) -> tuple[float, dict[str, Array]]:
        loss, gradients = super().loss_and_gradients()
        return loss * (1 + 1e-5), gradients


def command(folder: Path, *arguments: str) -> list[str]:
    given = [*([] if "--engine" in arguments else ENGINES), *arguments]
    return ["sweep", *given, "--output", str(folder)]


def sweep(folder: Path, *arguments: str) -> commands.Finished:
    return commands.finished(*command(folder, *arguments))


def begun(folder: Path, *arguments: str) -> Begun:
    """Start a sweep in a process group of its own."""
    return commands.begun(*command(folder, *arguments))


def results(folder: Path) -> list[tuple[Any, ...]]:
    """Return what is kept, as far as it depends on neither time nor place."""
    if not (folder / "sweep.sqlite").exists():
        return []
    connection = sqlite3.connect(f"file:{folder / 'sweep.sqlite'}?mode=ro", uri=True, timeout=10)
    try:
        found = connection.execute(f"SELECT {', '.join(RESULT)} FROM results ORDER BY 1, 2, 3, 4")
        return found.fetchall()
    except sqlite3.OperationalError as error:
        if "no such table" in str(error):
            return []
        raise
    finally:
        connection.close()
