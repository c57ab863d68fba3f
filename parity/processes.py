"""The processes in which two engines run and are judged."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any, NamedTuple, Self

from minigrad.architectures import Architecture
from parity.checks.bitwise import DigestTrainer
from parity.checks.judge import KEPT, judge
from parity.checks.trajectory import RUNS
from parity.engines import Engine, Task
from parity.engines.process import ChildTraceback, EngineProcess
from parity.engines.registry import factory, reproducible
from parity.engines.trainer import Trainer
from parity.environment import usable_cores
from parity.errors import UsageError

WORTH_A_PROCESS = 4000
"""Perturbed runs of fewer steps in all are done before another process has loaded torch."""


class Side(NamedTuple):
    """One of the two engines: its name and what makes it."""

    name: str
    factory: Callable[[], Engine]


def trainer(side: Side) -> EngineProcess:
    """Return a process of one thread that will hold the engine and its training loop."""
    return EngineProcess(functools.partial(Trainer, side.factory), 1, side.name, KEPT)


class Processes:
    """The processes of runs; a context manager.

    Each library has processes of its own, and each process one thread: two thread pools on the same
    cores slow each other down by more than threads gain.

    Attributes:
        actual, expected: the two engines.
        references: the processes of `expected`'s engine.
        twins: both engines' twins in reproducible arithmetic, in the processes of the engines; None
            if one of the engines has none.
        judges: compute budgets, and compare.
    """

    def __init__(self, actual: Side, expected: Side, cores: int) -> None:
        """Prepare; entering starts them. `cores` is how many references and judges there are."""
        self.sides = (actual, expected)
        self.actual, self.expected = trainer(actual), trainer(expected)
        self.references = [self.expected, *(trainer(expected) for _ in range(cores - 1))]
        self.judges = [judge() for _ in range(cores)]
        self._all = (*self.references, self.actual, *self.judges)
        twins = [reproducible(side.name) for side in self.sides]
        self.twins = None
        if None not in twins:
            ours, theirs = (
                process.beside(functools.partial(DigestTrainer, factory(str(name))), str(name))
                for process, name in zip((self.actual, self.expected), twins, strict=True)
            )
            self.twins = ours, theirs

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            for process in self._all:
                stack.enter_context(process)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *raised: Any) -> None:
        self._stack.close()

    def raised(self, error: Exception) -> dict[str, str] | None:
        """Return what an engine raised, for a report; None if the error is no engine's.

        All processes are then ready for another call.
        """
        cause = error.__cause__
        engines = {process.name for process in (self.actual, self.expected, *(self.twins or ()))}
        if isinstance(error, UsageError | MemoryError) or not isinstance(cause, ChildTraceback):
            return None
        if cause.process not in engines:
            return None
        for process in self._all:
            process.settle()
        return {
            "engine": cause.process,
            "call": cause.method,
            "error": f"{type(error).__name__}: {error}",
            "traceback": cause.trace,
        }

    def kill(self) -> None:
        """End them at once, from another thread."""
        for process in self._all:
            process.kill()


def processes_for(
    tasks: Sequence[tuple[Architecture, Task]], actual: Side, expected: Side
) -> Processes:
    """Return the processes that are worth starting for these tasks."""
    steps = RUNS * sum(task.epochs for _, task in tasks)
    return Processes(actual, expected, usable_cores() if steps > WORTH_A_PROCESS else 1)
