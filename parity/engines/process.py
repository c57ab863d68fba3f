"""An object in a process of its own, and calls to it.

A call names a method of the object's class, or any other function that takes the object first:
`process.call(Trainer.draw, task)`. So a type checker knows what it takes and what it returns.

Engines of two libraries never share a process: the thread pools of their BLAS libraries would
fight, and the number of threads is read from the environment once, when a library is loaded. An
engine and its reproducible twin, which are of one library, do: the library is loaded once.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import suppress
from copy import copy
from types import MappingProxyType
from typing import Any, Concatenate, Generic, ParamSpec, Self, TypeVar, cast

from parity.engines.child import Child
from parity.engines.pipe import ChildTraceback, EngineProcessError, Request, together

__all__ = [
    "ChildTraceback",
    "EngineProcess",
    "EngineProcessError",
    "LocalObject",
    "of_each",
    "together",
]

P = ParamSpec("P")
R = TypeVar("R")
S = TypeVar("S")
T = TypeVar("T", covariant=True)

THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
)
"""The environment variables that set the sizes of the thread pools an engine may bring along."""

KEPT = {
    "MALLOC_MMAP_THRESHOLD_": str(1 << 30),
    "MALLOC_TRIM_THRESHOLD_": str(1 << 30),
    "MALLOC_TOP_PAD_": str(1 << 26),
}
"""Environment variables with which the GNU C library keeps freed memory.

A budget is many arrays of a few megabytes. To get them from the system each time took half of the
time of a budget, and less in other processes.
"""


class EngineProcess(Generic[T]):
    """One object that lives in a child process; a context manager.

    `factory` makes the object, in the child: a class, a function of a module or a
    `functools.partial` of either (it is pickled). `threads` limits the thread pools of every
    library the child loads, `None` leaves them alone. Functions (by their names), arguments and
    results are pickled. `name` is what error messages call the process. `variables` are set in its
    environment. A call that gives no sign of life for `timeout_s` seconds ends the process; None is
    for ever. A sign is an item of a stream, or what `serve.alive` sends.

    The child ignores SIGINT, so that Ctrl-C is for the parent to handle, and ends with its parent,
    however that one ends. As with every spawned process, it imports the parent's main module anew.
    """

    def __init__(
        self,
        factory: Callable[[], T],
        threads: int | None = None,
        name: str = "engine",
        variables: Mapping[str, str] = MappingProxyType({}),
        timeout_s: float | None = None,
    ) -> None:
        """Prepare the process; entering the context starts it. Raises ValueError for no threads."""
        if threads is not None and threads < 1:
            raise ValueError(f"{name} cannot run on {threads} threads: give at least 1")
        self.name = name
        # A factory pickled here and unpickled in `serve` reports a failure like any other call.
        self._factory = pickle.dumps(factory)
        limits = {} if threads is None else dict.fromkeys(THREAD_VARIABLES, str(threads))
        self._child: Child | _Here = Child(
            self._factory, threads, name, {**limits, **variables}, timeout_s
        )

    def beside(self, factory: Callable[[], S], name: str) -> EngineProcess[S]:
        """Return another object in the same process, made when it is first called.

        Only one of them can be busy at a time. Closing one closes the process.
        """
        other = cast(EngineProcess[S], copy(self))
        other.name, other._factory = name, pickle.dumps(factory)
        return other

    def __enter__(self) -> Self:
        self._child.start()
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()

    def call(
        self, function: Callable[Concatenate[T, P], R], /, *args: P.args, **kwargs: P.kwargs
    ) -> R:
        """Return `function(object, *args, **kwargs)`.

        An exception in the child is raised here, with a `ChildTraceback` as its cause: with its
        own type if it is one of Python's or of parity's, else as an `EngineProcessError`. So are
        SystemExit and KeyboardInterrupt, and the child's death and silence.
        """
        return self.ask(function, *args, **kwargs)()

    def ask(
        self, function: Callable[Concatenate[T, P], R], /, *args: P.args, **kwargs: P.kwargs
    ) -> Callable[[], R]:
        """Begin a call, which goes on in the child; return what waits for its result.

        What is returned raises as `call` does.
        """
        self._child.send(self.name, self._factory, Request(function, args, kwargs))
        return lambda: cast(R, self._child.receive()[1])

    def stream(
        self,
        function: Callable[Concatenate[T, P], Generator[S, None, R]],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> Generator[S, None, R]:
        """Start a function that is a generator; return an iterator over what it yields.

        The child begins at once and does not wait for the reader. What the generator returns is the
        value of `yield from`. Exceptions are as for `call`. No other call is possible until the
        iterator is exhausted; one that is given up leaves a process that can only be closed.
        """
        request = Request(function, args, kwargs, streamed=True)
        self._child.send(self.name, self._factory, request)
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
                if self._child.dead:
                    raise

    def revive(self) -> None:
        """Make ready for another call: settle, and start anew if the process died by itself."""
        with suppress(EngineProcessError):
            self.settle()
        self._child.revive()

    def close(self) -> None:
        """End the process, by force if it does not go by itself. Does nothing the second time."""
        self._child.close()

    def kill(self) -> None:
        """End the process at once; whoever waits for an answer, in any thread, is told."""
        self._child.kill()


def of_each(
    processes: Iterable[EngineProcess[T]],
    function: Callable[Concatenate[T, P], R],
    /,
    *args: P.args,
    **kwargs: P.kwargs,
) -> list[R]:
    """Call a function of the object in each of several processes, which work at the same time.

    Returns what it returned in each; raises as `call` does, what the first that failed raised.
    """
    answers = [process.ask(function, *args, **kwargs) for process in processes]
    return [answer() for answer in answers]


class _Here:
    """An object in this process, in the place of a `Child`."""

    busy: str | None = None
    dead = False

    def __init__(self, value: object) -> None:
        self._value = value

    def send(self, name: str, factory: bytes, request: Request) -> None:
        """Make the call at once."""
        args, kwargs = pickle.loads(pickle.dumps((request.args, request.kwargs)))
        self._result = request.function(self._value, *args, **kwargs)
        self._streamed = request.streamed

    def receive(self) -> tuple[str, Any]:
        """Return the next ("yield" or "return", value)."""
        try:
            return ("yield", next(self._result)) if self._streamed else ("return", self._result)
        except StopIteration as stop:
            return "return", stop.value

    def start(self) -> None:
        """Do nothing, and so do the others: there is no process."""

    kill = close = revive = start


class LocalObject(EngineProcess[T]):
    """An object in this process, called as if it were in another.

    It stands for an `EngineProcess` where a process would cost more time than it saves. Arguments
    are copied as they would be on the way to another process; `ask` waits for the call to end.
    """

    def __init__(self, value: T, name: str = "engine") -> None:
        self.name, self._factory = name, b""
        self._child = _Here(value)
