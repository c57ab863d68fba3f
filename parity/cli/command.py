"""What all commands have in common: how they end, and what they say."""

import functools
import os
import signal
import sys
import traceback
from collections.abc import Callable
from typing import Any

import typer
from rich.console import Console

from parity.engines.process import EngineProcessError
from parity.errors import UsageError

INTERRUPTED = 128 + signal.SIGINT
DEFECT = 70  # EX_SOFTWARE of sysexits.h: neither agreement nor disagreement nor bad usage


class Output(Console):
    """Standard output, or standard error, as plain text where there is no terminal."""

    def on_broken_pipe(self) -> None:
        """Go on in silence when nobody reads any more, as in `parity run | head -1`."""
        silence()


def silence() -> None:
    """Let what is still to be written to standard output go nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def command(
    function: Callable[..., int],
    program: str = "parity",
    interrupted: str = "interrupted: nothing was written",
) -> Callable[..., None]:
    """Make a command of a function that returns the exit status.

    What it raises is reported on standard error, and has an exit status of its own.

    Args:
        function: does the work.
        program: the name that each complaint begins with.
        interrupted: what to say after Ctrl-C.
    """

    @functools.wraps(function)
    def run_it(*arguments: Any, **options: Any) -> None:
        try:
            status = function(*arguments, **options)
            sys.stdout.flush()
        except KeyboardInterrupt:
            status = complain(interrupted, INTERRUPTED, program)
        except (UsageError, EngineProcessError) as error:
            status = complain(str(error), 2, program)
        except MemoryError as error:
            said = f"out of memory, use fewer samples or smaller layers: {error}"
            status = complain(said, 2, program)
        except OSError as error:
            silence()
            status = complain(f"cannot write or read: {error}", 2, program)
        except Exception:
            traceback.print_exc()
            said = "this is a defect of parity, please report it"
            status = complain(said, DEFECT, program)
        raise typer.Exit(status)

    return run_it


def complain(message: str, status: int, program: str = "parity") -> int:
    """Say why on standard error and return the status."""
    console = Output(stderr=True)
    console.print(f"{program}: {message}", soft_wrap=True, markup=False, highlight=False)
    return status
