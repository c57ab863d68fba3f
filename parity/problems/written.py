"""`Problem`: a file that somebody wrote, of functions in torch's names.

    def model(torch):
        return torch.nn.Sequential(torch.nn.Linear(1, 32), torch.nn.Tanh(), torch.nn.Linear(32, 1))

All but `model` may be left out. Each is called with an engine's library: torch, minigrad, or any
other that has torch's names.
"""

import dis
import functools
import inspect
import linecache
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from minigrad.limits import beyond
from minigrad.problems import FUNCTIONS, MOST_BYTES
from parity.errors import ProblemError, summary

VALUES: dict[str, type] = {"epochs": int, "batch_size": int, "shuffle": bool, "seed": int}
"""The plain values of a problem."""


@dataclass(frozen=True)
class Problem:
    """A file of functions, not run before one of them is asked for.

    Attributes:
        name: for people: that of the file, or of the module.
        path: of the file.
        source: its text.
    """

    name: str
    path: str
    source: str

    def function(self, name: str) -> Callable[..., Any] | None:
        """Return a function of the problem, which says where it raised what it raises; or None."""
        function = self._module().get(name)
        if function is None:
            return None
        given = ", ".join(FUNCTIONS[name])
        if not callable(function):
            raise ProblemError(
                f"{self.path}: {name} is a {type(function).__name__}; it must be a function "
                f"{name}({given})"
            )

        @functools.wraps(function)
        def asked(*arguments: Any) -> Any:
            try:
                inspect.signature(function).bind(*arguments)
            except TypeError:
                raise ProblemError(
                    f"{self.place(function)}: {name} must be a function {name}({given})"
                ) from None
            with self.running(f"{name}({given})"):
                return function(*arguments)

        return asked

    @contextmanager
    def running(self, what: str) -> Iterator[None]:
        """Keep NumPy's error handling as it is, and tell what the file itself raises.

        What it raises is the problem's, and no engine's. What a library raises is not: torch's
        functions are in C and leave no frame, so that the file's own `raise` is looked for.

        Raises:
            ProblemError: the file raised something, or ended the process.
        """
        with np.errstate():
            try:
                yield
            except Exception as error:
                if _raised_in(self.path, error):
                    raise self._raised(error, what) from error
                raise
            except SystemExit as error:
                raise self._raised(error, what) from error

    def _raised(self, error: BaseException, what: str) -> ProblemError:
        return ProblemError(
            f"{self.place(error)}: {what} raised {summary(error)}\n"
            "a problem must return from each of its functions, at each step"
        )

    def value(self, name: str) -> Any:
        """Return a plain value of the problem, None if it has none."""
        value = self._module().get(name)
        kind = VALUES[name]
        if value is None:
            return None
        wrong = None
        if type(value) is not kind:
            wrong = f"must be {'True or False' if kind is bool else 'a whole number'}"
        elif isinstance(value, int) and kind is int:
            wrong = beyond(name, value)
        if wrong is not None:
            raise ProblemError(f"{self.path}: {name} = {str(value)[:40]!r} {wrong}")
        return value

    def place(self, what: Any) -> str:
        """Return the file and line at which a function begins, or an exception passed the file."""
        if isinstance(what, BaseException):
            frames = traceback.extract_tb(what.__traceback__)
            lines = [frame.lineno for frame in frames if frame.filename == self.path]
            if isinstance(what, SyntaxError) and what.filename == self.path:
                lines.append(what.lineno)
            return f"{self.path}:{lines[-1]}" if lines else self.path
        return (
            f"{self.path}:{what.__code__.co_firstlineno}"
            if hasattr(what, "__code__")
            else self.path
        )

    def _module(self) -> dict[str, Any]:
        """Run the file, once a process; return its names."""
        return _run(self)


@functools.cache
def _run(problem: Problem) -> dict[str, Any]:
    module = ModuleType(problem.name)
    module.__file__ = problem.path
    module.__package__ = problem.name.rpartition(".")[0]
    lines = problem.source.splitlines(keepends=True)
    linecache.cache[problem.path] = len(problem.source), None, lines, problem.path
    folder = str(Path(problem.path).resolve().parent)
    if folder not in sys.path:
        sys.path.append(folder)  # a problem may import what lies beside it
    with np.errstate():
        exec(compile(problem.source, problem.path, "exec"), module.__dict__)
    found = module.__dict__
    if "model" not in found:
        near = [
            name for name in found if name.lower() in {"net", "get_model", "make_model", "module"}
        ]
        raise ProblemError(
            f"{problem.path} has no function model(torch), which returns the nn.Module to train"
            + (f": is it {near[0]}?" if near else "")
        )
    return found


def _raised_in(path: str, error: BaseException) -> bool:
    """Return whether it was a `raise` or an `assert` of the file that raised it."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None or trace.tb_frame.f_code.co_filename != path:
        return False
    return trace.tb_frame.f_code.co_code[trace.tb_lasti] == dis.opmap["RAISE_VARARGS"]


def read(path: Path, name: str) -> Problem:
    """Return the problem in a file; nothing of it is run.

    Raises:
        ProblemError: it cannot be read as text.
    """
    try:
        if path.stat().st_size > MOST_BYTES or not path.is_file():
            raise ProblemError(f"{path} is no file of at most {MOST_BYTES:,} bytes: give a problem")
        return Problem(name, str(path), path.read_text("utf-8"))
    except OSError as error:
        raise ProblemError(f"cannot read {path}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise ProblemError(f"{path} is no text in UTF-8: {error.reason}") from error
