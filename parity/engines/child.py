"""The end of the pipe where calls are made: a process, and what becomes of it."""

import os
import pickle
import re
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from multiprocessing import get_context
from typing import Any, NoReturn

from parity import system
from parity.engines.pipe import ChildTraceback, EngineProcessError, Request
from parity.engines.serve import MOST_PICKLED, serve
from parity.errors import harmless

PATIENCE_S = 2.0
"""How long to wait for a process to end by itself, then for it to obey SIGTERM, in seconds."""

START_S = 60.0
"""How long a process may take to start and to make its object, at the least."""

_starting = threading.Lock()


class Child:
    """A process and the pipe to it, for one call at a time.

    Args:
        factory: pickled; it makes the object that `factory` of a call names, if it is the same.
        threads: of every thread pool in the process; None for no limit.
        name: for messages.
        variables: of its environment.
        timeout_s: how long it may give no sign of life while it is waited for; None for ever. For
            its start there is a minute or more.
    """

    def __init__(
        self,
        factory: bytes,
        threads: int | None,
        name: str,
        variables: dict[str, str],
        timeout_s: float | None = None,
    ) -> None:
        self._made_of = factory, threads
        self._name = name
        self._variables = variables
        self._timeout_s = timeout_s
        self._killed = False
        self._prepare()

    def _prepare(self) -> None:
        self.busy: str | None = None  # the call whose reply has not been read to its end
        self.dead = False
        self._limit_s = self._timeout_s and max(self._timeout_s, START_S)
        spawn = get_context("spawn")
        self._connection, remote = spawn.Pipe()
        self._last_words, words = spawn.Pipe(duplex=False)
        self._remote = remote, words
        self._process = spawn.Process(
            target=serve, args=(*self._remote, *self._made_of), name=self._name, daemon=True
        )

    def start(self) -> None:
        """Start the process, which inherits the variables and ignores SIGINT from birth."""
        with _starting, system.sigint_blocked(), _environment(self._variables):
            self._process.start()
        for end in self._remote:
            end.close()

    def revive(self) -> None:
        """Start another process in the place of one that died by itself."""
        if self.dead and not self._killed:
            self._prepare()
            self.start()

    def send(self, name: str, factory: bytes, request: Request) -> None:
        """Ask for a call of the object `name`, which `factory` makes when it is first called.

        Raises:
            EngineProcessError: the process is busy, closed, dead or was not started.
        """
        method = str(getattr(request.function, "__name__", request.function))
        if self._process.pid is None or self._connection.closed:
            state = "closed" if self._connection.closed else "not started, which `with` does"
            raise EngineProcessError(f"cannot call {method!r}: the {name} process is {state}")
        if self.busy is not None:
            raise EngineProcessError(
                f"cannot call {method!r}: {self.busy!r} of the {self._name} process was not read "
                "to its end; read it, or close the process and start another"
            )
        message = pickle.dumps((factory, pickle.dumps(request)))
        self._name, self.busy = name, method
        try:
            self._connection.send_bytes(message)
        except OSError:
            self._death()

    def receive(self) -> tuple[str, Any]:
        """Return the next ("yield" or "return", value); raise what the child raised.

        Whatever it raised comes as an `Exception`: one that would end this process, such as
        SystemExit, and one that is not of Python's own as an `EngineProcessError`.
        """
        kind, value = self._next()
        if kind == "yield":
            return kind, value
        method, self.busy = self.busy, None
        if kind == "return":
            return kind, value
        pickled, did, trace = value
        try:
            raised = pickle.loads(pickled)
        except Exception:
            raised = EngineProcessError(f"{method!r} of the {self._name} process {did}")
        if isinstance(raised, StopIteration):  # it would end a generator that it passes through
            raised = RuntimeError(did)
        raise raised from ChildTraceback(self._name, str(method), trace, did)

    def _next(self) -> tuple[str, Any]:
        """Return the next message that is more than a sign of life."""
        kind, value = "alive", None
        while kind == "alive":
            try:
                if not self._connection.poll(self._limit_s):
                    self._silence()
                kind, value = pickle.loads(self._connection.recv_bytes())
            except (EOFError, OSError):
                self._death()
            self._limit_s = self._timeout_s
        return kind, value

    def _silence(self) -> NoReturn:
        """End the process, and say where it was."""
        assert self._process.pid is not None
        system.ask(self._process.pid)
        self._last_words.poll(PATIENCE_S)
        time.sleep(0.1)  # for all of its words to come
        did = f"gave no sign of life for {self._limit_s:g} s"
        self._lost(did, "if it only needs longer, give it a longer --timeout")

    def _death(self) -> NoReturn:
        """Say how the process ended."""
        self._process.join(PATIENCE_S)
        code = self._process.exitcode
        if code is None:
            self._lost("fell silent", "start another")
        did, advice = f"ended with exit code {code}", "what it wrote above may say why"
        if killer := system.signal_name(code):
            did += f" (killed by {killer})"
            advice = "a compiled library may be broken"
        if killer == "SIGKILL":
            advice = "the system may be out of memory: try a smaller network or fewer samples"
        self._lost(did, advice)

    def _lost(self, did: str, advice: str) -> NoReturn:
        """Close, and raise the error, which has no cause if the process was killed from here."""
        trace = _last_traceback(system.answered(self._last_words, MOST_PICKLED))
        did += f" during {self.busy!r}"
        cause = ChildTraceback(self._name, str(self.busy), trace, did)
        self._process.kill()
        self.busy, self.dead = None, True
        self.close()
        where = f", {place}" if (place := cause.place()) else ""
        error = EngineProcessError(f"the {self._name} process {did}{where}; {advice}")
        raise error from None if self._killed else cause

    def kill(self) -> None:
        """End the process at once."""
        self._killed = True
        if self._process.pid is not None:
            self._process.kill()

    def close(self) -> None:
        """End the process, by force if it does not go by itself."""
        for end in (*self._remote, self._connection, self._last_words):
            end.close()
        if self._process.pid is None:
            return
        if self.busy is None:  # waiting for a call, it sees the pipe close
            self._process.join(PATIENCE_S)
        if self._process.exitcode is None:
            self._process.terminate()
            self._process.join(PATIENCE_S)
        if self._process.exitcode is None:
            self._process.kill()
            self._process.join()


@contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Set the variables that a process started within inherits; restore them afterwards."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _last_traceback(words: str) -> str:
    """Return what faulthandler wrote of the thread that answers calls, as a traceback."""
    threads = words.split("(most recent call first):\n")[1:]
    for thread in sorted(threads, key=lambda thread: "in serve\n" not in thread):
        frames = re.findall(r'File "(.+)", line (\d+) in (.+)', thread)
        lines = ['  File "{}", line {}, in {}\n'.format(*frame) for frame in reversed(frames)]
        return harmless("Traceback (most recent call last):\n" + "".join(lines), MOST_PICKLED)
    return ""
