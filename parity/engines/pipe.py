"""Both ends of the pipe between this process and one that it started, and what streams through.

`Child` is the end of the process that asks; `serve` is the whole life of the process that answers.
A request is a function and its arguments, pickled: the child calls it with its object in front.
"""

import functools
import os
import pickle
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from multiprocessing import get_context, parent_process, resource_tracker
from multiprocessing.connection import Connection
from typing import Any, NamedTuple, TypeVar

T = TypeVar("T")
R = TypeVar("R")

PATIENCE_S = 2.0
"""How long to wait for a process to end by itself, then for it to obey SIGTERM, in seconds."""

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


# ---- the parent's end ---------------------------------------------------------------------------


class Request(NamedTuple):
    """What the child is asked to call, its object in front; a generator is to be `streamed`."""

    function: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    streamed: bool = False


class Child:
    """A process and the pipe to it, for one call at a time."""

    def __init__(
        self, factory: bytes, threads: int | None, name: str, variables: dict[str, str]
    ) -> None:
        self._name = name
        self._variables = variables
        self.busy: str | None = None  # the call whose reply has not been read to its end
        spawn = get_context("spawn")
        self._connection, self._remote = spawn.Pipe()
        self._process = spawn.Process(
            target=serve, args=(self._remote, factory, threads), name=name, daemon=True
        )

    def start(self) -> None:
        """Start the process, which inherits the variables and ignores SIGINT from birth."""
        # Started here, before SIGINT is blocked: it would unblock the signal when it starts.
        resource_tracker.ensure_running()
        with _starting, _sigint_blocked(), _environment(self._variables):
            self._process.start()
        self._remote.close()

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
        """End the process at once."""
        if self._process.pid is not None:
            self._process.kill()

    def close(self) -> None:
        """End the process, by force if it does not go by itself."""
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


# ---- the child's end ----------------------------------------------------------------------------


def serve(connection: Connection, first: bytes, threads: int | None) -> None:
    """Make the first object and answer calls until the pipe is closed: the child's whole life."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # for processes that the engine starts, too
    threading.Thread(target=_end_with_parent, daemon=True).start()
    made = functools.cache(functools.partial(_make, threads))  # an object for each factory
    made(first)
    try:
        while True:
            factory, request = pickle.loads(connection.recv_bytes())
            engine, failure = made(factory)
            connection.send_bytes(failure or _answer(engine, request, connection))
    except (EOFError, OSError):
        pass  # the parent has closed the pipe, or is gone


def _make(threads: int | None, factory: bytes) -> tuple[object, bytes | None]:
    """Return what the factory makes, or the message that carries its failure."""
    try:
        engine = pickle.loads(factory)()
        torch: Any = sys.modules.get("torch")
        if torch is not None and threads is not None:
            torch.set_num_threads(threads)
    except BaseException as error:
        return None, _failure(error)
    return engine, None


def _answer(engine: object, pickled: bytes, connection: Connection) -> bytes:
    """Do what the request asks for, sending items as they come; return the last message."""
    try:
        request = pickle.loads(pickled)
        result = request.function(engine, *request.args, **request.kwargs)
        if request.streamed:
            (result,) = together(
                [result], lambda _, item: connection.send_bytes(pickle.dumps(("yield", item)))
            )
        return pickle.dumps(("return", result))
    except Exception as error:
        return _failure(error)


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
