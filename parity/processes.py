"""The processes in which two engines run and are judged."""

import functools
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

from minigrad.architectures import Architecture
from parity.checks.steps import Judge
from parity.checks.trajectory import RUNS
from parity.engines.pipe import JUDGE, RAISED, engines_failure
from parity.engines.process import KEPT, EngineProcess, of_each
from parity.engines.protocol import Engine, Task
from parity.engines.registry import factory, reproducible
from parity.engines.trainer import Trainer
from parity.errors import EngineFailedError, UsageError
from parity.system import usable_cores

WORTH_A_PROCESS = 4000
"""Steps of all perturbed runs below which another process, which loads torch, does not pay."""


TIMEOUT_S = 60.0
"""How long an engine may give no sign of life, in seconds, unless another time is given."""


class Side(NamedTuple):
    """One of the two engines: its name, what makes it, and how long a step of it may take."""

    name: str
    factory: Callable[[], Engine]
    timeout_s: float = TIMEOUT_S


def trainer(side: Side) -> EngineProcess[Trainer]:
    """Return a process of one thread that will hold the engine and its training loop."""
    make = functools.partial(Trainer, side.factory)
    return EngineProcess(make, 1, side.name, KEPT, side.timeout_s)


@dataclass
class Processes:
    """The processes of runs; a context manager that starts and ends them.

    Each library has processes of its own, and each process one thread: two thread pools on the same
    cores slow each other down by more than threads gain.

    Attributes:
        actual, expected: of the engine under test, and of the one it is held against.
        references: processes of `expected`'s engine, for perturbed runs; that one may be among
            them.
        judges: compute budgets, and compare; without them a verdict does so in this process.
        twins: both engines' twins in reproducible arithmetic, in the processes of the engines; None
            if one of the engines has none.
        free: another process of the engine under test, in which it runs freely; None to have that
            done in the first, after the rest.
    """

    actual: EngineProcess[Trainer]
    expected: EngineProcess[Trainer]
    references: Sequence[EngineProcess[Trainer]] = ()
    judges: Sequence[EngineProcess[Judge]] = ()
    twins: tuple[EngineProcess[Trainer], EngineProcess[Trainer]] | None = None
    free: EngineProcess[Trainer] | None = None

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            for process in self._all():
                stack.enter_context(process)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *raised: Any) -> None:
        self._stack.close()

    def _all(self) -> list[EngineProcess[Any]]:
        free = () if self.free is None else (self.free,)
        return list(
            dict.fromkeys((*self.references, self.expected, self.actual, *free, *self.judges))
        )

    def require_two(self) -> None:
        """Raise `UsageError` if both engines are of one class, whatever names it goes by."""
        actual, expected = of_each((self.actual, self.expected), Trainer.identity)
        if actual == expected:
            raise UsageError(
                f"{self.actual.name!r} and {self.expected.name!r} are one engine, {actual}: held "
                "against itself it agrees, and that says nothing. Choose two; `parity engines` "
                "lists them"
            )

    def environment(self) -> dict[str, Any]:
        """Return what the two engines' processes run on, by "actual" and "expected"."""
        found = of_each((self.actual, self.expected), Trainer.environment)
        return dict(zip(("actual", "expected"), found, strict=True))

    @contextmanager
    def noting(self, entry: dict[str, Any]) -> Iterator[None]:
        """Note what an engine raises, and its death, as the `problem` of an entry, which failed.

        All processes are then ready for another call. Other exceptions are raised on.
        """
        try:
            yield
        except (UsageError, EngineFailedError, MemoryError):
            raise
        except Exception as error:
            self.revive()
            cause = engines_failure(error)
            if cause is None:
                raise
            entry["passed"] = False
            entry["problem"] = {
                "engine": cause.process,
                "call": cause.method,
                "error": cause.did.removeprefix(RAISED),
                "did": cause.did,
                "traceback": cause.trace or cause.did,
            }

    def revive(self) -> None:
        """Make all processes ready for another call, whatever became of the last."""
        for process in self._all():
            process.revive()

    def kill(self) -> None:
        """End them at once, from another thread."""
        for process in self._all():
            process.kill()


def prepared(actual: Side, expected: Side, cores: int) -> Processes:
    """Return processes, `cores` references and as many judges, not yet started."""
    ours, *theirs = trainer(actual), *(trainer(expected) for _ in range(cores))
    names = [reproducible(side.name) for side in (actual, expected)]
    twins = None
    if None not in names:
        twin, other = (
            process.beside(functools.partial(Trainer, factory(str(name))), str(name))
            for process, name in zip((ours, theirs[0]), names, strict=True)
        )
        twins = twin, other
    judges = [EngineProcess(Judge, 1, JUDGE, KEPT) for _ in range(cores)]
    return Processes(ours, theirs[0], theirs, judges, twins, trainer(actual))


def processes_for(
    tasks: Sequence[tuple[Architecture, Task]], actual: Side, expected: Side
) -> Processes:
    """Return the processes that are worth starting for these tasks."""
    steps = RUNS * sum(task.steps for _, task in tasks)
    return prepared(actual, expected, usable_cores() if steps > WORTH_A_PROCESS else 1)
