"""Switching the recording of operations off and on: `no_grad`, `enable_grad`, `is_grad_enabled`."""

from __future__ import annotations

import threading
from contextlib import ContextDecorator
from types import TracebackType
from typing import Any


class _GradMode(threading.local):
    """Whether operations are recorded; each thread has its own, as in torch."""

    enabled: bool = True


grad_mode = _GradMode()


def is_grad_enabled() -> bool:
    """Return whether operations on tensors that require gradients are being recorded."""
    return grad_mode.enabled


class set_grad_enabled(ContextDecorator):  # noqa: N801 - torch's name
    """Switch recording on or off, at once; as a context manager or decorator until it ends."""

    def __init__(self, mode: bool) -> None:
        self._mode = mode
        self._before = [grad_mode.enabled]
        grad_mode.enabled = mode

    def __call__(self, function: Any) -> Any:
        """Decorate a function: the switch is made when it is called, and not before."""
        grad_mode.enabled = self._before[0]
        return super().__call__(function)

    def __enter__(self) -> None:
        grad_mode.enabled = self._mode

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        grad_mode.enabled = self._before[0]


class _Switch(ContextDecorator):
    """Sets the mode from `with` to the end of the block, nested or repeated at will."""

    _mode: bool

    def __new__(cls, function: Any = None) -> Any:
        """Also serve as a decorator without parentheses, `@no_grad`."""
        switch = super().__new__(cls)
        if function is None:
            return switch
        switch.__init__()  # type: ignore[misc]
        return switch(function)

    def __init__(self) -> None:
        self._before: list[bool] = []

    def __enter__(self) -> None:
        self._before.append(grad_mode.enabled)
        grad_mode.enabled = self._mode

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        grad_mode.enabled = self._before.pop()


class no_grad(_Switch):  # noqa: N801 - torch's name
    """Do not record operations: `with no_grad(): ...`, `@no_grad()` or `@no_grad`."""

    _mode = False


class enable_grad(_Switch):  # noqa: N801 - torch's name
    """Record operations although an enclosing `no_grad` says otherwise."""

    _mode = True
