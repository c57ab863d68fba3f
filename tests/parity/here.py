"""Engines in the tests' own process, where `parity` would start one for each.

To start a process costs seconds of a core, most of all for torch. What is true of processes is
tested in test_process.py, and by whole commands in test_cli.py.
"""

import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any

from parity.engines.pipe import RAISED, ChildTraceback, Request
from parity.engines.process import EngineProcess, LocalObject, _Here
from parity.engines.trainer import Progress, Trainer, ignore
from parity.probes import share
from parity.probes.check import check_probes


class _Told(_Here):
    """Makes its object when it is first called, and tells what that raises as a child does."""

    def __init__(self, make: Callable[[], Any], name: str) -> None:
        super().__init__(None)
        self._make, self._name, self._method = make, name, ""

    def send(self, name: str, factory: bytes, request: Request) -> None:
        self._method = request.function.__name__
        with self._telling():
            self._value = self._value or self._make()
            super().send(name, factory, request)

    def receive(self) -> tuple[str, Any]:
        with self._telling():
            return super().receive()

    @contextmanager
    def _telling(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            trace = "".join(traceback.format_exception(error))
            did = f"{RAISED}{type(error).__name__}: {error}"
            raise error from ChildTraceback(self._name, self._method, trace, did)


class Here(LocalObject[Any]):
    """Made as an `EngineProcess` is."""

    def __init__(
        self,
        factory: Callable[[], Any],
        threads: int | None = None,
        name: str = "engine",
        variables: Mapping[str, str] = MappingProxyType({}),
        timeout_s: float | None = None,
    ) -> None:
        super().__init__(None, name)
        self._child = _Told(factory, name)

    def beside(self, factory: Callable[[], Any], name: str) -> Any:
        return Here(factory, name=name)


def few_probes(
    actual: EngineProcess[Trainer],
    expected: EngineProcess[Trainer],
    dtype: str,
    seed: int,
    progress: Progress = ignore,
) -> dict[str, Any] | None:
    """Judge one in forty of the probes of a run: all of them are judged in test_probes.py."""
    return check_probes(actual, expected, dtype, seed, share(seed)[::40], progress)
