"""Commands of parity, in this process or in one of their own, and what they leave behind."""

import contextlib
import io
import json
import os
import pty
import re
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

import jsonschema
import pytest

from parity.__main__ import main
from parity.documents import schema
from parity.evidence.__main__ import main as evidence_main
from parity.report import artist
from tests.parity.here import Here
from tests.zygote import ROOT as ROOT
from tests.zygote import Begun


class Finished(NamedTuple):
    """How a command ended; as a `subprocess.CompletedProcess`."""

    returncode: int
    stdout: str
    stderr: str

    @property
    def complaint(self) -> str:
        """What it wrote to standard error, but for how long each network took."""
        return re.sub(r"^.*: done in .*\n", "", self.stderr, flags=re.MULTILINE)


def parity(*arguments: object) -> Finished:
    """Run a command in this process, which saves the time to start another.

    The page of `run` has no figures, which take half of its time: test_report.py draws them.
    """
    out, err = io.StringIO(), io.StringIO()
    with (
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        patch.object(artist, "EngineProcess", Here),
        patch.object(artist.Artist, "draw", lambda *_: []),
        pytest.raises(SystemExit) as ended,
    ):
        main(list(map(str, arguments)))
    assert isinstance(ended.value.code, int)
    return Finished(ended.value.code, out.getvalue(), err.getvalue())


def evidence(*arguments: str) -> int:
    """Run `python -m parity.evidence` in this process; return its exit status."""
    with pytest.raises(SystemExit) as ended:
        evidence_main(arguments)
    assert isinstance(ended.value.code, int)
    return ended.value.code


def report(folder: Path) -> Any:
    """The content of a folder's report.json, which is valid."""
    document = json.loads((folder / "report.json").read_text())
    jsonschema.validate(document, schema("report"))
    return document


def words(text: str) -> str:
    """The text on one line, wherever it was broken."""
    return " ".join(text.split())


def begun(*arguments: object, **options: Any) -> Begun:
    """Start a command of parity in a session of its own."""
    return Begun(["parity", *arguments], **options)


def finished(*arguments: object, **options: Any) -> Finished:
    """Run a command of parity in a process of its own."""
    process = begun(*arguments, **options)
    out, err = process.communicate(timeout=500)
    return Finished(process.wait(), out, err)


def in_terminal(*arguments: object, width: int) -> tuple[Finished, str]:
    """Run a command with a terminal for its standard error; return what that shows, too."""
    parent, child = pty.openpty()
    environment = {**os.environ, "COLUMNS": str(width), "TERM": "xterm"}
    process = begun(*arguments, streams={"stderr": child}, env=environment)
    os.close(child)
    seen = b""
    with contextlib.suppress(OSError):  # raised where the other end of the terminal is closed
        while part := os.read(parent, 65536):
            seen += part
    out, _ = process.communicate(timeout=60)
    os.close(parent)
    return Finished(process.wait(), out, ""), seen.decode(errors="replace")


def wait_until(true: Callable[[], Any], process: Begun | subprocess.Popen[str]) -> None:
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
