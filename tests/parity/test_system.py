"""Systems that lack what Linux has: their calls are taken away here."""

import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from parity import system
from parity.system import cpu_name
from tests.parity.bare_system import CALLS

ROOT = Path(__file__).parents[2]


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    for module, name in CALLS:
        monkeypatch.delattr(module, name, raising=False)
    monkeypatch.setattr(system, "PROC", Path("/nowhere"))
    monkeypatch.setattr(system, "ANSWERS", False)


@pytest.mark.usefixtures("bare")
def test_what_is_not_there_is_done_without() -> None:
    with system.sigint_blocked():
        pass
    system.confine(1)
    system.forget_peak_memory()
    assert system.usable_cores() == os.cpu_count()
    assert system.load_average() == 0.0
    assert system.memory("VmHWM") is None
    assert cpu_name() == (platform.processor() or platform.machine())
    assert system.signal_name(-15) == "SIGTERM"
    assert system.signal_name(3221225477) is None
    nobody: Any = object()
    system.answer(nobody)
    system.ask(os.getpid())
    assert system.answered(nobody, 100) == ""


def test_timings_tell_what_they_lack(monkeypatch: pytest.MonkeyPatch) -> None:
    assert system.not_measured() == [] or sys.platform != "linux"
    monkeypatch.delattr(os, "getloadavg", raising=False)
    monkeypatch.delattr(os, "sched_setaffinity", raising=False)
    monkeypatch.setattr(system, "PROC", Path("/nowhere"))
    said = system.not_measured()
    for line, words in zip(said, ("how busy", "--threads cores", "memory"), strict=True):
        assert words in line


def test_commands_work_without_these_calls(tmp_path: Path) -> None:
    """Processes, timings and the lock of a sweep."""
    bench = f"bench underfit --engines numpy-floor --rounds 6 --processes 1 --output {tmp_path}"
    sweep = (
        "sweep 1-1-1 --engine minigrad --against numpy-floor --seeds 0:6 --epochs 2 --horizons 0 "
        f"--workers 1 --output {tmp_path}"
    )
    command = [sys.executable, "-m", "tests.parity.bare_system", bench, sweep]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    notes = [line for line in ended.stderr.splitlines() if line.startswith("parity: note: ")]
    assert len(notes) == 3, ended.stderr
    assert ended.stdout.splitlines()[-1] == "[0, 2]", ended.stderr


def test_cpu_name_asks_lscpu_where_cpuinfo_has_numbers_only(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    (tmp_path / "cpuinfo").write_text("processor\t: 0\nCPU part\t: 0xd0c\n")
    monkeypatch.setattr(system, "PROC", tmp_path)
    monkeypatch.setattr(system, "_output", lambda *_: "CPU(s): 4\nModel name:   Neoverse-N1\n")
    assert cpu_name() == "Neoverse-N1"
