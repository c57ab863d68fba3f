"""An object in this process, called as if it were in another."""

from __future__ import annotations

import pickle
from collections.abc import Generator
from typing import Any, Self

from parity.engines.process import EngineProcess


class LocalObject(EngineProcess):
    """Stands for an `EngineProcess` where a process would cost more than it is good for.

    Arguments are copied as they would be on the way to another process.
    """

    def __init__(self, value: object, name: str = "engine") -> None:
        self.name = name
        self._value = value
        self._result: Any = None

    def ask(self, method: str, /, *args: Any) -> None:
        """Make the call at once."""
        self._result = getattr(self._value, method)(*pickle.loads(pickle.dumps(args)))

    def answer(self) -> Any:
        """Return the result of the last call."""
        return self._result

    def stream(self, method: str, /, *args: Any) -> Generator[Any, None, Any]:
        """Return the method's generator."""
        self.ask(method, *args)
        stream: Generator[Any, None, Any] = self.answer()
        return stream

    def settle(self) -> None:
        """Do nothing: a call is over when it is asked for."""

    def close(self) -> None:
        """Do nothing."""

    def kill(self) -> None:
        """Do nothing."""

    def __enter__(self) -> Self:
        return self
