"""`parity` and `python -m parity`.

Every engine process imports this module again (that is how processes are spawned), so it imports
nothing until it is called.
"""

import gc
import os
import sys

LOADING = "loading parity"


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit with its status: 0 agree, 1 disagree, 2 bad usage or input."""
    waiting = sys.stderr and sys.stderr.isatty() and "_PARITY_COMPLETE" not in os.environ
    if waiting:  # a sign of life, for imports take a second
        print(LOADING, end="\r", file=sys.stderr, flush=True)

    from minigrad import shell  # before all else: Ctrl-C while that loads ends it in one line
    from parity.extras import needed_by

    gc.disable()  # there is hardly any garbage in what is loaded
    with needed_by("parity"):
        from parity.cli import app
    gc.freeze()
    gc.enable()
    if waiting:
        print(" " * len(LOADING), end="\r", file=sys.stderr, flush=True)
    sys.exit(shell.finish("parity", lambda: app(arguments)))


if __name__ == "__main__":
    main()
