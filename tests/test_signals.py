"""SIGINT, SIGTERM and SIGHUP at any moment of any command: one line, the documented status, every
file whole, and no process left.
"""

import contextlib
import json
import os
import random
import shlex
import signal
import sqlite3
import subprocess
import sys
import sysconfig
import time
from dataclasses import replace
from pathlib import Path

import pytest

from minigrad.shell import ENDINGS
from parity.cases.file import save
from parity.engines.protocol import Task
from tests.minigrad.operations import FUZZ
from tests.parity.commands import group_ends
from tests.parity.samples import case_of
from tests.zygote import ENDING, ROOT, Begun

MOMENTS = 200 if FUZZ else 6
WHILE_LOADING = 20 if FUZZ else 1

PAIR = "--engine minigrad --against numpy-floor"
COMMANDS = (
    "minigrad explain rightfit",
    "minigrad explain rightfit --html page.html",
    "minigrad explain tanh.py --html page.html --epoch 20",
    "parity engines",
    f"parity run 1-4-1 --epochs 20 {PAIR}",
    "parity train 1-4-1 --epochs 2000 --animate fit.gif",
    "parity train tanh.py --epochs 100",
    "parity bench 1-4-1 --engines minigrad,numpy-floor --rounds 6",
    f"parity sweep 1-4-1 --seeds 0:12 --epochs 100 --horizons 2 --csv {PAIR}",
    "parity replay a.case",
)

BESIDE = {f"sweep.{end}" for end in ("lock", "owner", "sqlite-wal", "sqlite-shm")}
"""What may lie beside the database of a sweep that was stopped."""


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What commands read."""
    case = case_of("steps", Task((1, 30, 1), 200, 0.01, 100, 9, "float32", "cpu"))
    path = tmp_path_factory.mktemp("case") / "a.case"
    save(replace(case, engines=("minigrad", "numpy-floor")), path)
    return {
        "a.case": path.read_bytes(),
        "tanh.py": b"def model(torch):\n"
        b"    nn = torch.nn\n"
        b"    return nn.Sequential(nn.Linear(1, 8), nn.Tanh(), nn.Linear(8, 1))\n",
    }


def placed(inputs: dict[str, bytes], folder: Path) -> Path:
    folder.mkdir()
    for name, content in inputs.items():
        (folder / name).write_bytes(content)
    return folder


def is_whole(path: Path) -> bool:
    """Whether a file is what it says, from its beginning to its end."""
    content = path.read_bytes()
    if path.suffix == ".json":
        return bool(json.loads(content))
    if path.suffix == ".sqlite":
        with contextlib.closing(sqlite3.connect(path)) as database:
            return bool(database.execute("PRAGMA integrity_check").fetchone() == ("ok",))
    ends = {".html": b"</html>", ".png": b"\x82", ".gif": b";", ".csv": b"\n"}
    if path.suffix in ends:
        return (content.rstrip(b"\n") if path.suffix == ".html" else content).endswith(
            ends[path.suffix]
        )
    return path.name in BESIDE or path.suffix in (".case", ".py")  # these were there before


def check(status: int, number: int, out: str, err: str, folder: Path) -> None:
    word = ENDINGS[signal.Signals(number).name]
    assert status in (0, 128 + number), err  # it may have ended before
    assert "Traceback" not in out + err
    if status == 128 + number:
        (said,) = [line for line in err.splitlines() if "done in" not in line]
        assert f": {word}" in said
    for path in [*folder.rglob("*")]:
        assert path.is_dir() or is_whole(path), path


@pytest.mark.skipif(sys.platform != "linux", reason="forks with what it has loaded")
def test_a_signal_at_any_moment(inputs: dict[str, bytes], tmp_path: Path) -> None:
    chance = random.Random(20)
    time_s: dict[str, float] = {}
    stopped = 0
    for moment in range(MOMENTS):
        line = COMMANDS[moment % len(COMMANDS)] if FUZZ else chance.choice(COMMANDS)
        number = chance.choice(sorted(ENDING))
        folder = placed(inputs, tmp_path / str(moment))
        began_s = time.monotonic()
        began = Begun(shlex.split(line), folder)
        if line in time_s or not FUZZ:
            time.sleep(chance.uniform(0, time_s.get(line, 1.0)))
            with contextlib.suppress(ProcessLookupError):  # it has ended
                # Ctrl-C goes to all processes of a terminal, the others to the one that is named.
                (os.killpg if number == signal.SIGINT else os.kill)(began.pid, number)
        out, err = began.communicate(timeout=300)
        time_s.setdefault(line, time.monotonic() - began_s)
        said = f"{line}, {signal.Signals(number).name}: {began.returncode}, {err}"
        assert group_ends(began.pid), said
        try:
            check(began.wait(), number, out, err, folder)
        except BaseException as error:
            error.add_note(said)
            raise
        stopped += began.returncode == 128 + number
    assert stopped > MOMENTS // 4 or not FUZZ


def test_what_is_not_whole_is_seen(tmp_path: Path) -> None:
    for name in ("a.json", "a.html", "a.png", "a.gif", "a.csv", "a.sqlite", "a.tmp", "a"):
        (tmp_path / name).write_bytes(b'{"a"')
        with contextlib.suppress(ValueError, sqlite3.DatabaseError):
            assert not is_whole(tmp_path / name), name


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize("line", ["minigrad explain rightfit", "parity engines"])
def test_a_signal_while_it_loads(line: str, tmp_path: Path) -> None:
    """As soon as Python itself has begun, and the package's first line has been run."""
    chance = random.Random(21)
    for _ in range(WHILE_LOADING):
        number = chance.choice(sorted(ENDING))
        began = subprocess.Popen(
            [sys.executable, "-m", *line.split()],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        while "numpy" not in Path(f"/proc/{began.pid}/maps").read_text():
            assert began.poll() is None
        time.sleep(chance.uniform(0, 0.3))
        began.send_signal(number)
        out, err = began.communicate(timeout=60)
        check(began.returncode, number, out, err, tmp_path)


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_the_command_that_pip_installs_ends_in_one_line_with_its_engines(tmp_path: Path) -> None:
    script = Path(sysconfig.get_path("scripts")) / "parity"
    (tmp_path / "parity").symlink_to(script)
    began = subprocess.Popen(
        [tmp_path / "parity", *f"run 1-4-1 --epochs 100000 {PAIR}".split()],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    children = Path(f"/proc/{began.pid}/task/{began.pid}/children")
    while len(children.read_text().split()) < 4:
        assert began.poll() is None
        time.sleep(0.05)
    time.sleep(0.5)
    os.killpg(began.pid, signal.SIGTERM)
    _, err = began.communicate(timeout=60)
    assert (began.returncode, err) == (143, "parity: terminated: no file is half written\n")
    assert group_ends(began.pid)
