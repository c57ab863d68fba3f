"""What all commands have in common: how they end, and what they say."""

import dataclasses
import functools
import inspect
import traceback
from collections.abc import Callable
from typing import Any

import typer

from minigrad import shell
from parity.cli import limits
from parity.engines.pipe import EngineProcessError, engines_failure
from parity.errors import EngineFailedError, UsageError, harmless
from parity.extras import missing
from parity.tables import Output as Output

ENGINE_FAILED = 1  # as if a verdict had failed
DEFECT = 70  # EX_SOFTWARE of sysexits.h: neither agreement nor disagreement nor bad usage


def command(
    function: Callable[..., int],
    program: str = "parity",
    interrupted: str = "no file is half written",
) -> Callable[..., None]:
    """Make a command of a function that returns the exit status.

    What it raises is reported on standard error, and has an exit status of its own.

    Args:
        function: does the work.
        program: the name that each complaint begins with.
        interrupted: what to say of the files after a signal, such as Ctrl-C.
    """

    @functools.wraps(function)
    def run_it(**options: Any) -> None:
        def work() -> int:
            limits.require(options)
            return function(**gathered(function, options))

        failed = functools.partial(_reported, program)
        raise typer.Exit(shell.ended(program, work, failed, interrupted))

    setattr(run_it, "__signature__", expanded(function))  # noqa: B010, which mypy does not know
    return run_it


def expanded(function: Callable[..., Any]) -> inspect.Signature:
    """Return a function's signature, with the fields of a dataclass in place of one."""
    found = []
    for parameter in inspect.signature(function).parameters.values():
        kind = parameter.annotation
        if dataclasses.is_dataclass(kind):
            found += [
                parameter.replace(name=field.name, annotation=field.type, default=field.default)
                for field in dataclasses.fields(kind)
            ]
        else:
            found.append(parameter)
    return inspect.Signature(found, return_annotation=None)


def gathered(function: Callable[..., Any], options: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments of a function from those of its `expanded` signature."""
    found = dict(options)
    for parameter in inspect.signature(function).parameters.values():
        kind: Any = parameter.annotation
        if dataclasses.is_dataclass(kind) and isinstance(kind, type):
            names = {field.name for field in dataclasses.fields(kind)} & options.keys()
            found[parameter.name] = kind(**{name: found.pop(name) for name in names})
    return found


def _reported(program: str, error: BaseException) -> int | None:
    """Say what was raised, and return the exit status; None for what is not of parity alone."""
    if isinstance(error, UsageError):
        return complain(str(error), 2, program)
    if isinstance(error, MemoryError):
        return None
    if isinstance(error, EngineFailedError):
        return complain(str(error), ENGINE_FAILED, program)
    if failure := engines_failure(error):
        return complain(failure.said(), ENGINE_FAILED, program)
    if isinstance(error, EngineProcessError):
        return complain(str(error), 2, program)
    if isinstance(error, ModuleNotFoundError) and (lacks := missing(error, "this")):
        return complain(lacks, 2, program)
    if isinstance(error, OSError):
        return None
    traceback.print_exception(error)
    return complain("this is a defect of parity, please report it", DEFECT, program)


def complain(message: str, status: int, program: str = "parity") -> int:
    """Say why on standard error and return the status."""
    return shell.complain(program, harmless(message), status)
