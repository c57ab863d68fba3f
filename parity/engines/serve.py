"""The life of an engine's process: it answers the calls of `parity.engines.process`."""

from __future__ import annotations

import functools
import os
import pickle
import signal
import sys
import threading
import traceback
from collections.abc import Generator, Iterator
from multiprocessing import parent_process
from multiprocessing.connection import Connection
from typing import Any


def serve(connection: Connection, first: bytes, threads: int | None) -> None:
    """Make the first object and answer calls until the pipe is closed: the child's whole life."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # for processes that the engine starts, too
    threading.Thread(target=_end_with_parent, daemon=True).start()
    made = functools.cache(functools.partial(_make, threads))  # an object for each factory
    made(first)
    try:
        while True:
            factory, request = pickle.loads(connection.recv_bytes())
            engine, failure = made(factory)
            if failure is not None:
                connection.send_bytes(failure)
                continue
            for message in _answer(engine, request):
                connection.send_bytes(message)
    except (EOFError, OSError):
        pass  # the parent has closed the pipe, or is gone


def _make(threads: int | None, factory: bytes) -> tuple[object, bytes | None]:
    """Return what the factory makes, or the message that carries its failure."""
    try:
        engine = pickle.loads(factory)()
        torch: Any = sys.modules.get("torch")
        if torch is not None and threads is not None:
            torch.set_num_threads(threads)
    except BaseException as error:
        return None, _failure(error)
    return engine, None


def _answer(engine: object, request: bytes) -> Iterator[bytes]:
    """Do what the request asks for; yield the messages to send back."""
    try:
        method, args, streamed = pickle.loads(request)
        result = getattr(engine, method)(*args)
        if streamed:
            result = yield from _yielded(result)
        yield pickle.dumps(("return", result))
    except Exception as error:
        yield _failure(error)


def _yielded(generator: Generator[Any, None, Any]) -> Generator[bytes, None, Any]:
    """Turn a generator's items into messages, and return what it returns."""
    while True:
        try:
            item = next(generator)
        except StopIteration as stop:
            return stop.value
        yield pickle.dumps(("yield", item))


def _failure(error: BaseException) -> bytes:
    """Return the message that carries `error`; what cannot be pickled is left out of it."""
    try:
        pickled = pickle.dumps(error)
    except Exception:
        pickled = b""
    summary = "".join(traceback.format_exception_only(error)).strip()
    return pickle.dumps(("raise", (pickled, summary, "".join(traceback.format_exception(error)))))


def _end_with_parent() -> None:
    parent = parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)  # at once, in the middle of whatever is being computed
