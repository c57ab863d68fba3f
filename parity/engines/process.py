"""An object in a process of its own, and calls to it.

Engines of two libraries never share a process: the thread pools of their BLAS libraries would
fight, and the number of threads is read from the environment once, when a library is loaded. An
engine and its reproducible twin, which are of one library, do: the library is loaded once.
"""

from __future__ import annotations

import os
import pickle
import signal
import threading
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import copy
from multiprocessing import get_context, resource_tracker
from types import MappingProxyType, TracebackType
from typing import Any, Self, TypeVar

from parity.engines.serve import serve

T = TypeVar("T")
R = TypeVar("R")

# Whatever sets the size of a thread pool that an engine may bring along.
THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
)
PATIENCE_S = 2.0  # for a process to end by itself, then for it to obey SIGTERM

_starting = threading.Lock()


class EngineProcessError(RuntimeError):
    """An engine's process died, cannot be used, or failed in a way that has no exception here."""


class ChildTraceback(Exception):
    """The traceback of an exception in the child, as the cause of the same exception here.

    Attributes:
        process: the name of what was called.
        method: what was called of it.
        trace: the traceback as text.
    """

    def __init__(self, process: str, method: str, trace: str) -> None:
        super().__init__(process, method, trace)
        self.process, self.method, self.trace = process, method, trace

    def __str__(self) -> str:
        return f"\n{self.trace}"


class EngineProcess:
    """One object that lives in a child process; a context manager.

    `factory` makes the object, in the child: a class, a function of a module or a
    `functools.partial` of either (it is pickled). `threads` limits the thread pools of every
    library the child loads, `None` leaves them alone. Arguments and results are pickled. `name` is
    what error messages call the process. `variables` are set in its environment.

    The child ignores SIGINT, so that Ctrl-C is for the parent to handle, and ends with its parent,
    however that one ends. As with every spawned process, it imports the parent's main module anew.
    """

    def __init__(
        self,
        factory: Callable[[], object],
        threads: int | None = None,
        name: str = "engine",
        variables: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        """Prepare the process; entering the context starts it. Raises ValueError for no threads."""
        if threads is not None and threads < 1:
            raise ValueError(f"{name} cannot run on {threads} threads: give at least 1")
        self.name = name
        # A factory pickled here and unpickled in `serve` reports a failure like any other call.
        self._factory = pickle.dumps(factory)
        limits = {} if threads is None else dict.fromkeys(THREAD_VARIABLES, str(threads))
        self._child = _Child(self._factory, threads, name, {**limits, **variables})

    def beside(self, factory: Callable[[], object], name: str) -> EngineProcess:
        """Return another object in the same process, made when it is first called.

        Only one of them can be busy at a time. Closing one closes the process.
        """
        other = copy(self)
        other.name, other._factory = name, pickle.dumps(factory)
        return other

    def __enter__(self) -> Self:
        self._child.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def call(self, method: str, /, *args: Any) -> Any:
        """Return `method(*args)` of the object.

        An exception in the child is raised here, with the child's traceback as its cause, or as
        an `EngineProcessError` if it cannot be pickled. So is the death of the child.
        """
        self.ask(method, *args)
        return self.answer()

    def ask(self, method: str, /, *args: Any) -> None:
        """Begin a call, which goes on in the child; `answer` waits for it."""
        self._child.send(self.name, self._factory, method, args, streamed=False)

    def answer(self) -> Any:
        """Return the result of the call that `ask` began. Raises as `call` does."""
        _, value = self._child.receive()
        return value

    def stream(self, method: str, /, *args: Any) -> Generator[Any, None, Any]:
        """Start `method(*args)`, a generator, and return an iterator over what it yields.

        The child begins at once and does not wait for the reader. What the generator returns is the
        value of `yield from`. Exceptions are as for `call`. No other call is possible until the
        iterator is exhausted; one that is given up leaves a process that can only be closed.
        """
        self._child.send(self.name, self._factory, method, args, streamed=True)
        return self._items()

    def _items(self) -> Generator[Any, None, Any]:
        while True:
            kind, value = self._child.receive()
            if kind == "return":
                return value
            yield value

    def settle(self) -> None:
        """Wait for the end of a call that nobody waits for any more, and drop what comes of it.

        Raises `EngineProcessError` if the process died.
        """
        while self._child.busy:
            try:
                self._child.receive()
            except Exception:  # the call's own is dropped, like a result
                if self._child.busy:
                    raise

    def close(self) -> None:
        """End the process, by force if it does not go by itself. Does nothing the second time."""
        self._child.close()

    def kill(self) -> None:
        """End the process at once; whoever waits for an answer, in any thread, is told."""
        self._child.kill()


def together(streams: Sequence[Generator[T, None, R]], seen: Callable[[int, T], object]) -> list[R]:
    """Read several streams to their ends, an item of each in turn; return what they return.

    Args:
        streams: of different processes, which work at the same time.
        seen: called with each item and the number of its stream.
    """
    results: dict[int, R] = {}
    while len(results) < len(streams):
        for number, stream in enumerate(streams):
            if number in results:
                continue
            try:
                seen(number, next(stream))
            except StopIteration as stop:
                results[number] = stop.value
    return [results[number] for number in range(len(streams))]


# ---- the parent's end of the pipe ---------------------------------------------------------------


class _Child:
    """A process and the pipe to it, for one call at a time."""

    def __init__(
        self, factory: bytes, threads: int | None, name: str, variables: dict[str, str]
    ) -> None:
        self._name = name
        self._variables = variables
        self.busy: str | None = None  # the method whose reply has not been read to its end
        spawn = get_context("spawn")
        self._connection, self._remote = spawn.Pipe()
        self._process = spawn.Process(
            target=serve, args=(self._remote, factory, threads), name=name, daemon=True
        )

    def start(self) -> None:
        # Started here, before SIGINT is blocked: it would unblock the signal when it starts.
        resource_tracker.ensure_running()
        with _starting, _sigint_blocked(), _environment(self._variables):
            self._process.start()
        self._remote.close()

    def send(
        self, name: str, factory: bytes, method: str, args: tuple[Any, ...], *, streamed: bool
    ) -> None:
        if self._process.pid is None or self._connection.closed:
            state = "closed" if self._connection.closed else "not started, which `with` does"
            raise EngineProcessError(f"cannot call {method!r}: the {name} process is {state}")
        if self.busy is not None:
            raise EngineProcessError(
                f"cannot call {method!r}: {self.busy!r} of the {self._name} process was not read "
                "to its end; read it, or close the process and start another"
            )
        message = pickle.dumps((factory, pickle.dumps((method, args, streamed))))
        self._name, self.busy = name, method
        try:
            self._connection.send_bytes(message)
        except OSError as error:
            raise self._death() from error

    def receive(self) -> tuple[str, Any]:
        """Return the next ("yield" or "return", value); raise what the child raised."""
        try:
            kind, value = pickle.loads(self._connection.recv_bytes())
        except (EOFError, OSError) as error:
            raise self._death() from error
        if kind == "yield":
            return kind, value
        method, self.busy = self.busy, None
        if kind == "return":
            return kind, value
        pickled, summary, trace = value
        try:
            raised = pickle.loads(pickled)
        except Exception:
            raised = EngineProcessError(f"{method!r} of the {self._name} process raised {summary}")
        if isinstance(raised, StopIteration):  # it would end a generator that it passes through
            raised = RuntimeError(summary)
        raise raised from ChildTraceback(self._name, str(method), trace)

    def _death(self) -> EngineProcessError:
        """Close, and return the error that says how the child ended."""
        during = f" during {self.busy!r}"
        self._process.join(PATIENCE_S)
        code = self._process.exitcode
        self.close()
        if code is None:
            return EngineProcessError(
                f"the {self._name} process fell silent{during}: start another"
            )
        if code >= 0:
            advice = "what it wrote to the terminal above may say why"
        elif -code == signal.SIGKILL:
            advice = "the system may be out of memory: try a smaller network or fewer samples"
        else:
            advice = "a compiled library may be broken: run with PYTHONFAULTHANDLER=1 to see where"
        if code < 0:
            during += f" (killed by {signal.Signals(-code).name})"
        return EngineProcessError(
            f"the {self._name} process ended with exit code {code}{during}; {advice}"
        )

    def kill(self) -> None:
        if self._process.pid is not None:
            self._process.kill()

    def close(self) -> None:
        self._remote.close()
        self._connection.close()
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
def _sigint_blocked() -> Iterator[None]:
    """Block SIGINT: a process started within inherits that, and ignores Ctrl-C from birth."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


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
