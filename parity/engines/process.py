"""An object in a process of its own, and calls to it.

Two engines never share a process: the thread pools of their BLAS libraries would fight, and the
number of threads is read from the environment once, when a library is loaded.
"""

import os
import pickle
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from multiprocessing import get_context, parent_process, resource_tracker
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any, Self

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
    """The traceback of an exception in the child, as the cause of the same exception here."""

    def __str__(self) -> str:
        return f"\n{self.args[0]}"


class EngineProcess:
    """One object that lives in a child process; a context manager.

    `factory` makes the object, in the child: a class, a function of a module or a
    `functools.partial` of either (it is pickled). `threads` limits the thread pools of every
    library the child loads, `None` leaves them alone. Arguments and results are pickled. `name` is
    what error messages call the process.

    The child ignores SIGINT, so that Ctrl-C is for the parent to handle, and ends with its parent,
    however that one ends. As with every spawned process, it imports the parent's main module anew.
    """

    def __init__(
        self, factory: Callable[[], object], threads: int | None = None, name: str = "engine"
    ) -> None:
        """Prepare the process; entering the context starts it. Raises ValueError for no threads."""
        if threads is not None and threads < 1:
            raise ValueError(f"{name} cannot run on {threads} threads: give at least 1")
        self.name = name
        self._threads = threads
        self._busy: str | None = None  # the method whose reply has not been read to its end
        spawn = get_context("spawn")
        self._connection, self._remote = spawn.Pipe()
        # A factory pickled here and unpickled in `_serve` reports a failure like any other call.
        self._process = spawn.Process(
            target=_serve,
            args=(self._remote, pickle.dumps(factory), threads),
            name=name,
            daemon=True,
        )

    def __enter__(self) -> Self:
        # Started here, before SIGINT is blocked: it would unblock the signal when it starts.
        resource_tracker.ensure_running()
        with _starting, _sigint_blocked(), _thread_variables(self._threads):
            self._process.start()
        self._remote.close()
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
        self._send(method, args, streamed=False)
        _, value = self._receive()
        return value

    def stream(self, method: str, /, *args: Any) -> Generator[Any, None, Any]:
        """Start `method(*args)`, a generator, and return an iterator over what it yields.

        The child begins at once and does not wait for the reader. What the generator returns is the
        value of `yield from`. Exceptions are as for `call`. No other call is possible until the
        iterator is exhausted; one that is given up leaves a process that can only be closed.
        """
        self._send(method, args, streamed=True)
        return self._items()

    def _items(self) -> Generator[Any, None, Any]:
        while True:
            kind, value = self._receive()
            if kind == "return":
                return value
            yield value

    def _send(self, method: str, args: tuple[Any, ...], *, streamed: bool) -> None:
        if self._process.pid is None or self._connection.closed:
            state = "closed" if self._connection.closed else "not started, which `with` does"
            raise EngineProcessError(f"cannot call {method!r}: the {self.name} process is {state}")
        if self._busy is not None:
            raise EngineProcessError(
                f"cannot call {method!r}: {self._busy!r} of the {self.name} process was not read "
                "to its end; read it, or close the process and start another"
            )
        message = pickle.dumps((method, args, streamed))
        self._busy = method
        try:
            self._connection.send_bytes(message)
        except OSError as error:
            raise self._death() from error

    def _receive(self) -> tuple[str, Any]:
        """Return the next ("yield" or "return", value); raise what the child raised."""
        try:
            kind, value = pickle.loads(self._connection.recv_bytes())
        except (EOFError, OSError) as error:
            raise self._death() from error
        if kind == "yield":
            return kind, value
        method, self._busy = self._busy, None
        if kind == "return":
            return kind, value
        pickled, summary, trace = value
        try:
            raised = pickle.loads(pickled)
        except Exception:
            raised = EngineProcessError(f"{method!r} of the {self.name} process raised {summary}")
        raise raised from ChildTraceback(trace)

    def _death(self) -> EngineProcessError:
        """Close, and return the error that says how the child ended."""
        during = f" during {self._busy!r}"
        self._process.join(PATIENCE_S)
        code = self._process.exitcode
        self.close()
        if code is None:
            return EngineProcessError(f"the {self.name} process fell silent{during}: start another")
        if code >= 0:
            advice = "what it wrote to the terminal above may say why"
        elif -code == signal.SIGKILL:
            advice = "the system may be out of memory: try a smaller network or fewer samples"
        else:
            advice = "a compiled library may be broken: run with PYTHONFAULTHANDLER=1 to see where"
        if code < 0:
            during += f" (killed by {signal.Signals(-code).name})"
        return EngineProcessError(
            f"the {self.name} process ended with exit code {code}{during}; {advice}"
        )

    def close(self) -> None:
        """End the process, by force if it does not go by itself. Does nothing the second time."""
        self._remote.close()
        self._connection.close()
        if self._process.pid is None:
            return
        if self._busy is None:  # waiting for a call, it sees the pipe close
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
def _thread_variables(threads: int | None) -> Iterator[None]:
    """Set the variables that a process started within inherits; restore them afterwards."""
    before = {name: os.environ.get(name) for name in THREAD_VARIABLES}
    if threads is not None:
        os.environ.update(dict.fromkeys(THREAD_VARIABLES, str(threads)))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _serve(connection: Connection, factory: bytes, threads: int | None) -> None:
    """Make the object and answer calls to it until the pipe is closed: the child's whole life."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # for processes that the engine starts, too
    threading.Thread(target=_end_with_parent, daemon=True).start()
    engine: object = None
    failure: bytes | None = None
    try:
        engine = pickle.loads(factory)()
        torch: Any = sys.modules.get("torch")
        if torch is not None and threads is not None:
            torch.set_num_threads(threads)
    except BaseException as error:
        failure = _failure(error)
    try:
        while True:
            request = connection.recv_bytes()
            if failure is not None:
                connection.send_bytes(failure)
                continue
            for message in _answer(engine, request):
                connection.send_bytes(message)
    except (EOFError, OSError):
        pass  # the parent has closed the pipe, or is gone


def _answer(engine: object, request: bytes) -> Iterator[bytes]:
    """Do what the request asks for; yield the messages to send back."""
    try:
        method, args, streamed = pickle.loads(request)
        result = getattr(engine, method)(*args)
        if streamed:
            result = yield from _yielded(result)
        yield pickle.dumps(("return", result))
    except Exception as error:
        yield _failure(error)


def _yielded(generator: Generator[Any, None, Any]) -> Generator[bytes, None, Any]:
    """Turn a generator's items into messages, and return what it returns."""
    while True:
        try:
            item = next(generator)
        except StopIteration as stop:
            return stop.value
        yield pickle.dumps(("yield", item))


def _failure(error: BaseException) -> bytes:
    """Return the message that carries `error`; what cannot be pickled is left out of it."""
    try:
        pickled = pickle.dumps(error)
    except Exception:
        pickled = b""
    summary = "".join(traceback.format_exception_only(error)).strip()
    return pickle.dumps(("raise", (pickled, summary, "".join(traceback.format_exception(error)))))


def _end_with_parent() -> None:
    parent = parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)  # at once, in the middle of whatever is being computed
