"""What is other for a while, and put back whatever happens: attributes, and anything else.

Ctrl-C raises `KeyboardInterrupt` between any two lines, those of a `finally` included, and the end
of a `with` block. So what is undone here is undone by functions that may run twice, and they do.
"""

import threading
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TypeAlias, TypeVar

T = TypeVar("T")
Place: TypeAlias = tuple[Any, str]
"""A class or a module, and the name of an attribute."""

_lock = threading.RLock()  # never held while a user's code runs
_originals: dict[Place, Any] = {}
_wrappers: dict[Place, dict[object, Callable[[Any], Any]]] = {}  # by who has asked for them


def undone(body: Callable[[], T], undo: Callable[[], None]) -> T:
    """Return `body()`, and undo what it did also where Ctrl-C interrupts the undoing.

    Args:
        body: what is run.
        undo: called once or twice afterwards; a second call must do no harm.
    """
    try:
        try:
            return body()
        finally:
            undo()
    finally:
        undo()


def locked(lock: Any, body: Callable[[], T]) -> T:
    """Return `body()`, run while this thread alone has a lock.

    Args:
        lock: a `threading.RLock`, which knows whose it is; the body must not ask for it again.
        body: what is run.
    """

    def run() -> T:
        lock.acquire()
        return body()

    def release() -> None:
        if lock._is_owned():
            lock.release()

    return undone(run, release)


def replaced(wrappers: Mapping[Place, Callable[[Any], Any]], body: Callable[[], T]) -> T:
    """Return `body()`, run while attributes are replaced, for all threads.

    Several threads may do so at once and end in any order. Those who give the same wrapper share
    it; of two wrappers the later one gets what the earlier one returned.

    Args:
        wrappers: for each place a function that takes the attribute and returns its replacement.
        body: what is run.
    """
    holder = object()

    def opened() -> T:
        for place, wrapper in wrappers.items():
            locked(_lock, partial(_hold, place, holder, wrapper))
        return body()

    def close() -> None:
        for place in wrappers:
            locked(_lock, partial(_let_go, place, holder))

    return undone(opened, close)


def _hold(place: Place, holder: object, wrapper: Callable[[Any], Any]) -> None:
    _originals.setdefault(place, vars(place[0])[place[1]])
    _wrappers.setdefault(place, {})[holder] = wrapper
    _show(place)


def _let_go(place: Place, holder: object) -> None:
    _wrappers.get(place, {}).pop(holder, None)
    _show(place)


def _show(place: Place) -> None:
    """Give an attribute the value that those ask for who are there now."""
    if place in _originals:
        value = _originals[place]
        for wrapper in dict.fromkeys(_wrappers.get(place, {}).values()):
            value = wrapper(value)
        setattr(*place, value)
        if not _wrappers.get(place):
            _originals.pop(place)
