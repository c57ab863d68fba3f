"""Commands in processes of their own, without the second that each takes to load what it needs.

One process has loaded all of that, and forks for each command. The fork is the leader of a session
of its own, gets the streams, the folder and the environment that it is given, and then is what
`python -m parity ...` or `python -m minigrad ...` would be, to its end and exit status.
"""

import atexit
import contextlib
import functools
import gc
import importlib
import io
import json
import os
import resource
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from parity.cli import app

ROOT = Path(__file__).parents[1]
LOADED = ("minigrad.__main__", "parity.__main__")
ENDING = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}
"""Signals that end a command; one that comes before it has begun waits."""
WIDTH = 12
"""Of the numbers that the forking process answers with."""
Stream = IO[Any] | int | None
"""What a command gets as a stream: an open file, or None for a closed one."""


class Begun:
    """A command that was begun, with the interface of `subprocess.Popen[str]`.

    Args:
        arguments: the program, `minigrad` or `parity`, and its arguments.
        cwd: the folder that it runs in.
        env: its environment.
        streams: for those of its standard streams that are not to be read: what is there.
        memory: the most bytes of addresses that it may have beyond those it begins with; Linux.
    """

    def __init__(
        self,
        arguments: Sequence[object],
        cwd: Path = ROOT,
        env: Mapping[str, str] | None = None,
        streams: Mapping[str, Stream] | None = None,
        memory: int | None = None,
    ) -> None:
        with contextlib.ExitStack() as stack:
            null = stack.enter_context(Path(os.devnull).open("rb"))
            self._read = [tempfile.TemporaryFile() for _ in range(2)]  # noqa: SIM115
            given: dict[str, Stream] = {"stdin": null, "stdout": self._read[0]}
            given |= {"stderr": self._read[1], **(streams or {})}
            self._answers, answer = os.pipe()
            row = {
                "arguments": [*map(str, arguments)],
                "cwd": str(cwd),
                "env": dict(os.environ if env is None else env),
                "open": [stream is not None for stream in given.values()],
                "memory": memory,
            }
            opened = [stream for stream in given.values() if stream is not None]
            files = [each if isinstance(each, int) else each.fileno() for each in opened]
            socket.send_fds(_zygote(), [json.dumps(row).encode()], [answer, *files])
            os.close(answer)
        self.pid = self._number()
        self.returncode: int | None = None

    def _number(self) -> int:
        found = os.read(self._answers, WIDTH)
        assert found, "the process that forks has died"
        return int(found)

    def kill(self) -> None:
        """End it at once."""
        os.kill(self.pid, signal.SIGKILL)

    def __del__(self) -> None:
        for file in self._read:
            file.close()

    def poll(self) -> int | None:
        """Return the exit status, minus a signal's number; None while it runs."""
        if self.returncode is None and select.select([self._answers], [], [], 0)[0]:
            self.wait()
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Return the exit status, minus a signal's number."""
        if self.returncode is None:
            if not select.select([self._answers], [], [], timeout)[0]:
                os.killpg(self.pid, signal.SIGKILL)
                raise subprocess.TimeoutExpired("a command", timeout or 0)
            self.returncode = self._number()
            os.close(self._answers)
        return self.returncode

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """Return what it wrote to standard output and error, after its end."""
        self.wait(timeout)
        found = []
        for file in self._read:
            file.seek(0)
            found.append(file.read().decode(errors="replace"))
            file.close()
        out, err = found
        return out, err


@functools.cache
def _zygote() -> socket.socket:
    """Start the process that forks; it ends with this one."""
    ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    begun = subprocess.Popen(
        [sys.executable, "-m", "tests.zygote", str(its.fileno())],
        cwd=ROOT,
        pass_fds=[its.fileno()],
        start_new_session=True,
    )
    its.close()
    begun.returncode = 0  # it is not waited for: it ends with this process
    return ours


def _serve(requests: socket.socket) -> Callable[[], Any]:
    """Fork for each request, tell the process's number and in the end its exit status.

    Returns in the fork, with what it is to do.
    """
    running: dict[int, int] = {}
    while True:
        if select.select([requests], [], [], 0.005 if running else None)[0]:
            message, files, *_ = socket.recv_fds(requests, 1 << 18, 4)
            if not message:
                os._exit(0)
            signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
            pid = os.fork()
            if pid == 0:
                for number in (requests.detach(), files[0], *running.values()):
                    os.close(number)
                return _become(json.loads(message), files[1:])
            signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING)
            running[pid] = files[0]
            os.write(files[0], f"{pid:{WIDTH}}".encode())
            for file in files[1:]:
                os.close(file)
        pid, status = os.waitpid(-1, os.WNOHANG) if running else (0, 0)
        if pid:
            os.write(running[pid], f"{os.waitstatus_to_exitcode(status):{WIDTH}}".encode())
            os.close(running.pop(pid))


def _become(row: dict[str, Any], files: Sequence[int]) -> Callable[[], Any]:
    """Be the command that is asked for; return its main function."""
    os.setsid()
    os.chdir(row["cwd"])
    os.environ.clear()
    os.environ.update(row["env"])
    program, *arguments = row["arguments"]
    path = str(ROOT / program / "__main__.py")
    sys.argv = [path, *arguments]
    sys.orig_argv = [sys.executable, "-m", program, *arguments]
    sys.path[0] = row["cwd"]
    if row["memory"] is not None:
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        most = pages * resource.getpagesize() + row["memory"]
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
    left = iter(files)
    for number, (name, is_open) in enumerate(
        zip(("stdin", "stdout", "stderr"), row["open"], strict=True)
    ):
        encoding, _, errors = os.environ.get("PYTHONIOENCODING", "utf-8").partition(":")
        if is_open:
            file = next(left)
            os.dup2(file, number)
            os.close(file)
            mode, kind = ("r", "strict") if name == "stdin" else ("w", errors or "strict")
            kind = "backslashreplace" if name == "stderr" else kind
            lines = 1 if name == "stderr" else -1  # whose lines are written at once
            stream = open(number, mode, lines, encoding, kind, closefd=False)  # noqa: SIM115
            setattr(sys, name, stream)
            setattr(sys, f"__{name}__", stream)
        else:
            os.close(number)
            setattr(sys, name, None)
            setattr(sys, f"__{name}__", None)
    module = sys.modules["__main__"] = importlib.import_module(f"{program}.__main__")
    importlib.import_module("minigrad.shell").begin()
    signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING)
    main: Callable[[], Any] = module.main
    return main


def _end(main: Callable[[], Any]) -> None:
    """Run a command, and do what Python does at its end but for what takes long: take all apart."""
    status = 0
    try:
        try:
            sys.exit(main())
        except SystemExit as ended:
            status = int(ended.code or 0)
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
    except BaseException as error:
        status = 1
        sys.excepthook(type(error), error, error.__traceback__)
    try:
        sys.stdout.flush()
    except Exception as error:
        status = 120
        traceback.print_exception(error)
    os._exit(status)


if __name__ == "__main__":
    for _name in LOADED:
        importlib.import_module(_name)
    with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):
        app(["engines"])  # which loads the rest
    gc.collect()
    gc.freeze()  # or each fork would copy all objects as it looks for garbage
    _end(_serve(socket.socket(fileno=int(sys.argv[1]))))
