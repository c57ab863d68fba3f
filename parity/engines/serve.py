"""The end of the pipe where calls are answered."""

import functools
import gc
import os
import pickle
import signal
import sys
import threading
import time
import traceback
from contextlib import suppress
from multiprocessing import parent_process
from multiprocessing.connection import Connection
from typing import Any

from parity.engines.pipe import RAISED, together
from parity.errors import ReturnedWronglyError, harmless, summary
from parity.system import answer

SIGN_EVERY_S = 1.0
"""How often a process says that it is alive, in seconds, while it is at a long call."""

MOST_PICKLED = 100_000
"""An exception of more bytes is not sent; its type, and the beginning of its text, are."""

OWN = ("builtins", "parity.errors")
"""The modules whose exceptions keep their type on the way. To unpickle another would run the
engine's code in the process of the judge."""


class _Signs:
    """The signs of life that this process gives."""

    connection: Connection | None = None
    given_s = 0.0


def alive() -> None:
    """Tell the process that waits for this one, if there is one, that a long call goes on."""
    now_s = time.monotonic()
    if _Signs.connection is not None and now_s - _Signs.given_s > SIGN_EVERY_S:
        _Signs.given_s = now_s
        _Signs.connection.send_bytes(pickle.dumps(("alive", None)))


def serve(connection: Connection, words: Connection, first: bytes, threads: int | None) -> None:
    """Make the first object and answer calls until the pipe is closed: the child's whole life.

    Where the process was when it died, or when it is asked, goes through the pipe `words`.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # for processes that the engine starts, too
    answer(words)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _Signs.connection = connection
    made = functools.cache(functools.partial(_make, threads))  # an object for each factory
    made(first)
    try:
        connection.send_bytes(pickle.dumps(("alive", None)))
        while True:
            factory, request = pickle.loads(connection.recv_bytes())
            engine, failure = made(factory)
            connection.send_bytes(failure or _answer(engine, request, connection))
    except (EOFError, OSError):
        pass  # the parent has closed the pipe, or is gone


def _make(threads: int | None, factory: bytes) -> tuple[object, bytes | None]:
    """Return what the factory makes, or the message that carries its failure.

    A library leaves hardly any garbage when it is loaded, and all that it keeps would be looked
    through for some again and again, at the end of the process, too: that took a third of a second.
    """
    gc.disable()
    try:
        engine = pickle.loads(factory)()
        torch: Any = sys.modules.get("torch")
        if torch is not None and threads is not None:
            torch.set_num_threads(threads)
    except BaseException as error:
        return None, _failure(error)
    finally:
        gc.freeze()
        gc.enable()
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
    except BaseException as error:  # SystemExit and KeyboardInterrupt, too, are the engine's
        return _failure(error)


def _failure(error: BaseException) -> bytes:
    """Return the message that carries `error`: pickled, if that does no harm, and in words."""
    pickled = b""
    if isinstance(error, Exception) and type(error).__module__ in OWN:
        with suppress(Exception):
            pickled = pickle.dumps(error)
    if len(pickled) > MOST_PICKLED:
        pickled = b""
    if isinstance(error, ReturnedWronglyError):  # whose traceback is parity's own
        return pickle.dumps(("raise", (pickled, harmless(str(error)), "")))
    lines = [harmless(line) for line in traceback.format_exception(error)]
    return pickle.dumps(
        ("raise", (pickled, RAISED + summary(error), "".join(lines)[-MOST_PICKLED:]))
    )


def _end_with_parent() -> None:
    parent = parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)  # at once, in the middle of whatever is being computed
