"""What a command owes the shell: one line and a documented exit status, whatever ends it.

`minigrad` loads this module before all others, so that Ctrl-C has no traceback while they load. It
does nothing where the program is another one: who only imports the package keeps their signals.
"""

import os
import re
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import PurePath
from types import FrameType
from typing import IO, Any, NoReturn

COMMANDS = ("minigrad", "parity")

ENDINGS = {"SIGINT": "interrupted", "SIGTERM": "terminated", "SIGHUP": "hung up"}
"""What is said when a signal ends a command, whose exit status is then 128 and its number."""

PATIENCE_S = 1.0
"""Who presses Ctrl-C again within this time means the same; later, what undoes the work."""

_received: list[int] = []
_last_s = [0.0]


def begin() -> None:
    """If this process is a command of ours: signals end it at once, and streams can be used."""
    program = _program()
    if program is None:
        return

    def leave(number: int, _: FrameType | None) -> NoReturn:
        """End at once, as nothing has been made yet."""
        with suppress(OSError):
            os.write(2, f"{program}: {ENDINGS[signal.Signals(number).name]}\n".encode())
        os._exit(128 + number)

    _received.clear()
    _answer(leave)
    _open_streams()


def work() -> None:
    """From here on a signal raises `KeyboardInterrupt`, so that what was begun is undone."""

    def stop(number: int, _: FrameType | None) -> None:
        recent = _received and time.monotonic() - _last_s[0] < PATIENCE_S
        _last_s[:] = [time.monotonic()]
        if not recent:
            _received.append(number)
            raise KeyboardInterrupt

    def again(raised: Any) -> None:
        """Send a signal again, a little later, that came where Python has to ignore exceptions."""
        if isinstance(raised.exc_value, KeyboardInterrupt) and _received:
            threading.Timer(0.05, os.kill, (os.getpid(), _received.pop())).start()
        else:
            sys.__unraisablehook__(raised)

    if _answer(stop):
        sys.unraisablehook = again


def end() -> None:
    """From here on signals do nothing: all is done, or is being undone."""
    _answer(signal.SIG_IGN)


def stopped(error: BaseException | None) -> int | None:
    """Return the number of the signal that led to an exception, or None if none did.

    A library that is interrupted may raise another exception than `KeyboardInterrupt`.
    """
    if _received:
        return _received[0]
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__cause__ or error.__context__
    return None if error is None else signal.SIGINT


def finish(program: str, body: Callable[[], Any]) -> int:
    """Return the exit status of a command: what `body` returns or exits with.

    What it has written is flushed; that it cannot be is said in one line.
    """
    try:
        try:
            status = body()
        except SystemExit as exit:
            status = exit.code
        show("")
        return int(status or 0)
    except OSError as error:
        return complain(program, cannot(error), 2)


def ended(
    program: str,
    body: Callable[[], int],
    failed: Callable[[BaseException], int | None],
    interrupted: str = "no file is half written",
) -> int:
    """Return the exit status of the work of a command; say in one line what ended it early.

    Args:
        program: the name that the line begins with.
        body: does the work, and returns the status.
        failed: says what else was raised, and returns the status; None for what is not its own.
        interrupted: what to say of the files after a signal, unless `KeyboardInterrupt` has a text.
    """
    try:
        work()
        status = body()
        show("")
        end()
        return status
    except (KeyboardInterrupt, SystemExit, Exception) as error:
        end()
        if number := stopped(error):
            own = str(error) if isinstance(error, KeyboardInterrupt) else ""
            said = f"{ENDINGS[signal.Signals(number).name]}: {own or interrupted}"
            return complain(program, said, 128 + number)
        found = failed(error)
        if found is not None:
            return found
        if isinstance(error, MemoryError):
            said = f"out of memory, use fewer samples or smaller layers: {error}"
            return complain(program, said.removesuffix(": "), 2)
        if isinstance(error, OSError):
            return complain(program, cannot(error), 2)
        raise


def show(text: str) -> None:
    """Write to standard output, or to nobody if nobody reads any more, as in `... | head`."""
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        silence(sys.stdout)
    except OSError as error:
        silence(sys.stdout)
        reason = error.strerror or str(error)
        raise OSError(error.errno, f"cannot write to standard output: {reason}") from error


def complain(program: str, message: str, status: int) -> int:
    """Say why on standard error, if that can be written to, and return the status."""
    try:
        print(f"{program}: {message}", file=sys.stderr, flush=True)
    except OSError:
        silence(sys.stderr)
    return status


def cannot(error: OSError) -> str:
    """Return a sentence about an error of the system; if it is of no file, of standard output."""
    reason = error.strerror or str(error)
    if error.filename is not None:
        return f"cannot read or write {error.filename!r}: {reason}"
    if reason.startswith("cannot "):  # a sentence already
        return reason
    silence(sys.stdout)
    return f"cannot write to standard output: {reason}"


def silence(stream: IO[str]) -> None:
    """Let what is still to be written to a stream go nowhere."""
    with suppress(OSError):  # it may be no file of the system
        number = stream.fileno()
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, number)
        os.close(null)


def _program() -> str | None:
    """Return the command that this process is, None if it is another program."""
    if "--multiprocessing-fork" in sys.orig_argv:  # a child, which has its parent's arguments
        return None
    module = _module()
    name = _script() if module is None else module.partition(".")[0]
    return name if name in COMMANDS else None


def _module() -> str | None:
    """Return the module that Python was told to run, `python -m MODULE`, None if it was not."""
    options = iter(sys.orig_argv[1:])
    for option in options:
        if found := re.fullmatch(r"-[bBdEhiIOPqRsSuvVx?]*m(.*)", option, re.DOTALL):
            return found[1] or next(options, "")
        if option in ("-W", "-X", "--check-hash-based-pycs"):
            next(options, None)
        elif not option.startswith("-") or option.startswith("-c"):
            return None
    return None


def _script() -> str:
    """Return the name of the script that is run, if it is where pip puts commands, or ""."""
    path = PurePath(sys.argv[0] if sys.argv else "")
    if path.stem not in COMMANDS or path.suffix not in ("", ".exe"):
        return ""
    import sysconfig  # takes a while, and only commands need it

    places = {sysconfig.get_path("scripts"), sysconfig.get_path("scripts", f"{os.name}_user")}
    folder = str(PurePath(os.path.realpath(path)).parent)  # it may be called by a link
    return path.stem if folder in map(os.path.realpath, places) else ""


def _answer(handler: Any) -> bool:
    """Have a command's signals handled, but for those that it was told to ignore.

    Returns whether this process is a command.
    """
    command = _program() is not None
    if command:
        for number in (getattr(signal, name, None) for name in ENDINGS):
            if number is not None and signal.getsignal(number) != signal.SIG_IGN:
                signal.signal(number, handler)
    return command


def _open_streams() -> None:
    """Open what the shell has closed, and have characters that a terminal has not replaced by `?`.

    Without that the next file to be opened would take the place of a closed stream.
    """
    for number, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        stream = getattr(sys, name)
        if stream is None:
            null = os.open(os.devnull, os.O_RDWR)
            if null != number:
                os.dup2(null, number)
                os.close(null)
            os.set_inheritable(number, True)
            setattr(sys, name, os.fdopen(number, mode, encoding="utf-8"))
        elif name == "stdout":
            stream.reconfigure(errors="replace")


begin()
