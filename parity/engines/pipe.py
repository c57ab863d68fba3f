"""What both ends of the pipe between this process and one that it started have in common.

`Child` is the end of the process that asks; `serve` is the whole life of the process that answers.
A request is a function and its arguments, pickled: the child calls it with its object in front.
"""

import re
from collections.abc import Callable, Generator, Sequence
from typing import Any, NamedTuple, TypeVar

T = TypeVar("T")
R = TypeVar("R")


JUDGE = "judge"
"""The name of processes that hold no engine."""

RAISED = "raised "
"""How what a process did begins if it raised an exception."""


class Request(NamedTuple):
    """What the child is asked to call, its object in front; a generator is to be `streamed`."""

    function: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    streamed: bool = False


class EngineProcessError(RuntimeError):
    """An engine's process died, is silent, cannot be used, or raised what has no type here."""


class ChildTraceback(Exception):
    """What happened in the child, as the cause of the exception that is raised here.

    Attributes:
        process: the name of what was called.
        method: what was called of it.
        trace: the traceback as text, empty if the process left none.
        did: what it did, such as "raised KeyError: 'x'", for a sentence that begins with its name.
    """

    def __init__(self, process: str, method: str, trace: str, did: str) -> None:
        super().__init__(process, method, trace, did)
        self.process, self.method, self.trace, self.did = process, method, trace, did

    def __str__(self) -> str:
        return f"\n{self.trace}"

    def said(self) -> str:
        """Return a sentence: which engine did what, and where."""
        return ", ".join(filter(None, (f"{self.process} {self.did}", self.place())))

    def place(self) -> str:
        """Return the last function and line that the traceback names, or nothing."""
        found = re.findall(r'File "(.+)", line (\d+), in (.+)', self.trace)
        return "in {2}, {0}:{1}".format(*found[-1]) if found else ""


def engines_failure(error: BaseException) -> ChildTraceback | None:
    """Return what an engine's process did if that is why there is this exception, else None."""
    cause = error.__cause__
    return cause if isinstance(cause, ChildTraceback) and cause.process != JUDGE else None


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
