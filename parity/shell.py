"""From exceptions to what the shell sees: messages on standard error and exit statuses."""

from __future__ import annotations

import os
import signal
import sys

import typer
from rich.console import Console

from parity.cli import app
from parity.engines.process import EngineProcessError
from parity.errors import UsageError

BAD_USAGE = 2
INTERRUPTED = 128 + signal.SIGINT


def run_commands(arguments: list[str] | None = None) -> int:
    """Run the command that the arguments name and return the exit status."""
    try:
        return int(typer.main.get_command(app)(arguments, standalone_mode=False) or 0)
    except KeyboardInterrupt:
        return _say("interrupted: no report was written", INTERRUPTED)
    except (UsageError, EngineProcessError) as error:
        return _say(str(error), BAD_USAGE)
    except BrokenPipeError:
        # The reader of standard output has gone, `parity run | head` for example.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE


def _say(message: str, status: int) -> int:
    console = Console(stderr=True)
    console.print(f"parity: {message}", soft_wrap=True, markup=False, highlight=False)
    return status
