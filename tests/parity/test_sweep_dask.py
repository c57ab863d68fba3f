"""A sweep on a real Dask cluster: a scheduler and two workers, processes of their own."""

import contextlib
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from parity.errors import UsageError
from parity.sweep import executors
from tests.parity.commands import ROOT, children, group_ends, parity, wait_until
from tests.parity.sweeping import begun, command, results

pytest.importorskip("distributed", reason="Dask is not installed")

SMALL = ("1-16-16-1", "--seeds", "0:40", "--horizons", "4", "--epochs", "200")

Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start a program of Dask's; killed at the end, with all it has started."""
    with contextlib.ExitStack() as stack:

        def begin(program: str, *arguments: str) -> subprocess.Popen[str]:
            log = stack.enter_context((tmp_path / f"{program}.log").open("a"))
            process = subprocess.Popen(
                [sys.executable, "-m", f"distributed.cli.dask_{program}", *arguments],
                stdout=log,
                stderr=log,
                text=True,
                start_new_session=True,
                cwd=ROOT,
            )
            stack.callback(end, process)
            return process

        yield begin


def end(process: subprocess.Popen[str]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def listening(process: subprocess.Popen[str], log: Path) -> str:
    """Return the address that a scheduler says it is at."""
    wait_until(lambda: "Scheduler at" in log.read_text(), process)
    found = re.search(r"Scheduler at:\s+(tcp://\S+)", log.read_text())
    assert found is not None
    return found[1]


@pytest.mark.dear
@pytest.mark.skipif(sys.platform != "linux", reason="finds children by /proc")
def test_a_worker_that_is_killed_costs_nothing(tmp_path: Path, start: Start) -> None:
    """Its jobs go to the other one; results are written once, and are those of this machine."""
    undisturbed, folder = tmp_path / "undisturbed", tmp_path / "cluster"
    assert parity(*command(undisturbed, *SMALL)).returncode == 0
    quiet = ["--no-dashboard", "--host", "127.0.0.1"]
    scheduler = start("scheduler", *quiet, "--port", "0")
    address = listening(scheduler, tmp_path / "scheduler.log")
    log = tmp_path / "worker.log"
    work = [address, "--no-dashboard", "--nthreads", "1", "--local-directory", str(tmp_path)]
    start("worker", *work)  # with a nanny, as they are by default
    victim = start("worker", *work, "--no-nanny")
    wait_until(lambda: log.read_text().count("Registered to") == 2, victim)
    process = begun(folder, *SMALL, "--scheduler", address)
    wait_until(lambda: children(victim.pid), process)
    victim.kill()  # at work; its own processes end with it
    victim.wait()
    assert group_ends(victim.pid)
    _, complaint = process.communicate(timeout=300)
    assert process.returncode == 0, complaint
    assert complaint == ""
    assert results(folder) == results(undisturbed)


def test_no_scheduler_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(executors, "CONNECT_S", 0.2)
    for address in ("localhost", "tcp://127.0.0.1", "tcp://127.0.0.1:99999"):
        with pytest.raises(UsageError, match="give one as tcp://HOST:PORT"):
            executors.require_address(address)
    result = parity(*command(tmp_path, "1-4-1", "--scheduler", "tcp://127.0.0.1:9"))
    assert (result.returncode, result.stdout) == (2, "")
    assert "there is no Dask scheduler at tcp://127.0.0.1:9 (" in result.stderr
    assert result.stderr.count("\n") == 1
