"""Switching the recording of operations off and on: `no_grad`, `enable_grad`, `is_grad_enabled`.

Ctrl-C at the very moment when a `with` block of these ends can leave the mode as it was in the
block, here and in torch. `in_mode` and decorated functions have no such moment.
"""

import threading
from collections.abc import Callable, Generator
from functools import partial, wraps
from inspect import isgeneratorfunction
from typing import Any, TypeVar

from minigrad.temporary import undone

T = TypeVar("T")


class _GradMode(threading.local):
    """Whether operations are recorded; each thread has its own, as in torch."""

    enabled: bool = True


grad_mode = _GradMode()


def is_grad_enabled() -> bool:
    """Return whether operations on tensors that require gradients are being recorded."""
    return grad_mode.enabled


def in_mode(enabled: bool, body: Callable[[], T]) -> T:
    """Return `body()`, run with recording on or off."""
    before = grad_mode.enabled

    def switch(mode: bool) -> None:
        grad_mode.enabled = mode

    def run() -> T:
        switch(enabled)
        return body()

    return undone(run, partial(switch, before))


class set_grad_enabled:  # noqa: N801 - torch's name
    """Switch recording on or off, at once; as a context manager or decorator until it ends.

    Raises:
        TypeError: the mode is not a bool.
    """

    def __init__(self, mode: bool) -> None:
        if mode is not True and mode is not False:
            raise TypeError(
                f"set_grad_enabled: mode must be True or False, not {mode!r} of type "
                f"{type(mode).__name__}"
            )
        self._mode = mode
        self._before = grad_mode.enabled
        grad_mode.enabled = mode

    def __call__(self, function: Any) -> Any:
        """Decorate a function: the switch is made when it is called, and not before."""
        grad_mode.enabled = self._before
        return _decorated(function, self._mode)

    def __enter__(self) -> None:
        grad_mode.enabled = self._mode

    def __exit__(self, *error: object) -> None:
        grad_mode.enabled = self._before


class _Switch:
    """Sets the mode from `with` to the end of the block, nested or repeated at will."""

    _mode: bool

    def __new__(cls, function: Any = None) -> Any:
        """Also serve as a decorator without parentheses, `@no_grad`."""
        return super().__new__(cls) if function is None else _decorated(function, cls._mode)

    def __init__(self) -> None:
        self._before: list[bool] = []

    def __call__(self, function: Any) -> Any:
        """Decorate a function, or a generator function: it runs with the switch made."""
        return _decorated(function, self._mode)

    def __enter__(self) -> None:
        self._before.append(grad_mode.enabled)
        grad_mode.enabled = self._mode

    def __exit__(self, *error: object) -> None:
        grad_mode.enabled = self._before.pop()


class no_grad(_Switch):  # noqa: N801 - torch's name
    """Do not record operations: `with no_grad(): ...`, `@no_grad()` or `@no_grad`."""

    _mode = False


class enable_grad(_Switch):  # noqa: N801 - torch's name
    """Record operations although an enclosing `no_grad` says otherwise."""

    _mode = True


def _decorated(function: Any, mode: bool) -> Any:
    """Return the function with each of its calls in a mode.

    A generator function's body runs later, piece by piece: each piece is in the mode, and
    what happens between them is not.
    """
    if not callable(function):
        raise TypeError(
            f"a function to decorate was expected, not {function!r} of type "
            f"{type(function).__name__}"
        )

    @wraps(function)
    def call(*arguments: Any, **options: Any) -> Any:
        return in_mode(mode, partial(function, *arguments, **options))

    @wraps(function)
    def generate(*arguments: Any, **options: Any) -> Generator[Any, Any, Any]:
        generator = function(*arguments, **options)
        resume: Callable[[], Any] = partial(next, generator)
        while True:
            try:
                value = in_mode(mode, resume)
            except StopIteration as stop:
                return stop.value
            try:
                resume = partial(generator.send, (yield value))
            except BaseException as error:  # GeneratorExit too, which ends the generator within
                resume = partial(generator.throw, error)

    return generate if isgeneratorfunction(function) else call
