"""`python -m tests.parity.bare_system COMMAND…`: parity where calls of Linux are taken away.

The processes that it starts import this module first, and have them taken away, too.
"""

import faulthandler
import os
import shlex
import signal
import sys
from pathlib import Path
from typing import Any

CALLS = [
    (os, "getloadavg"),
    (os, "sched_getaffinity"),
    (os, "sched_setaffinity"),
    (signal, "pthread_sigmask"),
    (signal, "SIGUSR1"),
    (faulthandler, "register"),
]
"""What Windows has not."""


if __name__ in ("__main__", "__mp_main__"):  # before anything looks for them
    for _module, _name in CALLS:
        delattr(_module, _name)
    sys.modules["fcntl"] = None  # type: ignore[assignment]  # so that it cannot be imported


def run(commands: list[str]) -> list[Any]:
    """Run several commands of parity; return their exit statuses."""
    from parity.__main__ import main

    statuses = []
    for command in commands:
        try:
            main(shlex.split(command))
        except SystemExit as ended:
            statuses.append(ended.code)
    return statuses


if __name__ in ("__main__", "__mp_main__"):
    from parity import system

    system.PROC = Path("/nowhere")

if __name__ == "__main__":
    print(run(sys.argv[1:]))
