"""Small sweeps, as processes of their own, and what they leave."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from parity.engines.peers.numpy_floor import NumpyFloorEngine
from parity.engines.protocol import Array, Start, Task
from parity.errors import UsageError
from parity.sweep.database import COLUMNS

ROOT = Path(__file__).parents[2]
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
    return [sys.executable, "-m", "parity", "sweep", *given, "--output", str(folder)]


def sweep(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(folder, *arguments), capture_output=True, text=True, timeout=500, cwd=ROOT
    )


def begun(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    """Start a sweep in a process group of its own."""
    return subprocess.Popen(
        command(folder, *arguments),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        cwd=ROOT,
    )


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


def wait_until(true: Callable[[], Any], process: subprocess.Popen[str]) -> None:
    """Wait for something that a process does."""
    while not true():
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)


def group_ends(group: int) -> bool:
    """Return whether every process of the group ends within some seconds."""
    for _ in range(1000):
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.02)
    return False


def children(process: int) -> list[int]:
    """Return the processes of engines that a process has started; Linux knows."""
    listed = (Path("/proc") / str(process) / "task").glob("*/children")
    found = [int(child) for file in listed for child in file.read_text().split()]
    return [
        child for child in found if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes()
    ]
