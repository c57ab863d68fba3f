"""The work of a sweep: some seeds are trained, in a process of the engine's own."""

import functools
import hashlib
import platform
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from parity.checks.state import state
from parity.checks.trajectory import RUNS, check_trajectory, perturbed
from parity.engines.adapters.minigrad import MinigradEngine
from parity.engines.pipe import engines_failure
from parity.engines.process import KEPT, EngineProcess, EngineProcessError
from parity.engines.protocol import Start, Task
from parity.engines.registry import factory
from parity.engines.serve import alive
from parity.engines.trainer import Run, Trainer
from parity.errors import EngineFailedError, UsageError
from parity.sweep.database import GIVEN, Row
from parity.sweep.settings import versions

ENSEMBLES = "minigrad"
"""The engine that trains many seeds at once."""


def trained_by(engine: str) -> str:
    """Return the engine that trains the seeds of an engine: for minigrad its ensembles."""
    return "minigrad-ensemble" if engine == ENSEMBLES else engine


@dataclass(frozen=True)
class Job:
    """Seeds of one network for one engine.

    Attributes:
        architecture: the network's name.
        engine: the engine's name.
        task: what is trained, at whatever seed.
        seeds: the seeds to train it at.
        horizon: whether perturbed runs are to find each seed's horizon.
        versions: what the worker must have, as `settings.versions` gives it.
        timeout_s: how long the engine may give no sign of life, in seconds; None for ever.
    """

    architecture: str
    engine: str
    task: Task
    seeds: tuple[int, ...]
    horizon: bool
    versions: tuple[tuple[str, str], ...]
    timeout_s: float | None = None


class Worker:
    """Trains on one engine; lives in a process of that engine."""

    def __init__(self, engine: str) -> None:
        self._trainer = Trainer(factory(engine))

    def work(self, job: Job) -> list[Row]:
        """Train the job's seeds.

        Raises:
            UsageError: this machine has other versions than the sweep is of.
        """
        _require_same_versions(job)
        began_s = time.perf_counter()
        tasks = [replace(job.task, seed=seed) for seed in job.seeds]
        drawn = [self._trainer.draw(task) for task in tasks]
        starts = [_start(task, start) for task, start in zip(tasks, drawn, strict=True)]
        runs = self._runs(job.engine, tasks, starts)
        horizons = [
            self._horizon(job.engine, task, start, run) if job.horizon else (None, 0, None)
            for task, start, run in zip(tasks, starts, runs, strict=True)
        ]
        time_s = (time.perf_counter() - began_s) / len(tasks)
        return [
            Row(
                architecture=job.architecture,
                seed=task.seed,
                engine=job.engine,
                dtype=task.dtype,
                final_mse=run.final_mse,
                state=state(run, start, task),
                horizon_epoch=horizon,
                horizon_runs=count,
                final_spread=spread,
                start=digest(start) if own else f"{GIVEN}{digest(start)}",
                time_s=time_s,
                host=platform.node(),
            )
            for task, own, start, run, (horizon, count, spread) in zip(
                tasks, drawn, starts, runs, horizons, strict=True
            )
        ]

    def _runs(self, engine: str, tasks: Sequence[Task], starts: Sequence[Start]) -> list[Run]:
        if engine == ENSEMBLES:
            from parity.engines.adapters.minigrad_ensemble import Ensemble, train_ensemble

            if set(tasks[0].options) <= set(Ensemble.options):
                return train_ensemble(tasks, starts)
        return [_finished(self._trainer, *each) for each in zip(tasks, starts, strict=True)]

    def _horizon(
        self, engine: str, task: Task, start: Start, run: Run
    ) -> tuple[int | None, int, float]:
        """Return the horizon, of how many perturbed runs it is, and how far these end apart."""
        starts = [perturbed(start, task.seed, number) for number in range(RUNS)]
        moved = self._runs(engine, [task] * RUNS, starts)
        found = check_trajectory(run, run, moved, task.dtype)
        return found["horizon_epoch"], found["runs"], found["final_spread"]


def _start(task: Task, drawn: Start | None) -> Start:
    """Return where a seed begins: parameters that the engine drew, if it did.

    A problem's data are drawn by minigrad for both engines, as `parity run` has both begin with
    the same: where they are computed by functions such as sin, libraries differ in last bits.
    """
    if drawn is not None and task.problem is None:
        return drawn
    start = MinigradEngine().draw(task)
    return start if drawn is None else replace(start, parameters=drawn.parameters)


def digest(start: Start) -> str:
    """Return 16 hexadecimal digits of the data and initial parameters: names, shapes and bits."""
    found = hashlib.blake2b(digest_size=8)
    for name, array in {**start.data, **start.parameters}.items():
        found.update(f"{name} {array.dtype} {array.shape}\n".encode())
        found.update(np.ascontiguousarray(array).data)
    return found.hexdigest()


def _finished(trainer: Trainer, task: Task, start: Start) -> Run:
    """Return what the training comes to."""
    training = trainer.train(task, start)
    while True:
        try:
            next(training)
            alive()
        except StopIteration as stop:
            run: Run = stop.value
            return run


def _require_same_versions(job: Job) -> None:
    here = versions([job.engine])
    other = [
        f"{name} {here.get(name)} instead of {version}"
        for name, version in job.versions
        if here.get(name) != version
    ]
    if other:
        raise UsageError(
            f"the worker on {platform.node()} has {', '.join(other)}: install there what is "
            "installed here, or its results would be of something else"
        )


# ---- processes of engines -----------------------------------------------------------------------


Kind = tuple[str, float | None]
"""An engine, and how long it may give no sign of life."""


class Stock:
    """Processes of one thread each, of whatever engines there is work for.

    One library a process, as everywhere in parity; as many at once as there are threads that call
    `work`. A process that dies costs the job that it had.

    Args:
        idle_s: after how long without work a process is ended; None for never.
    """

    def __init__(self, idle_s: float | None = None) -> None:
        self._idle_s = idle_s
        self._waiting: list[tuple[Kind, EngineProcess[Worker], float]] = []
        self._all: set[EngineProcess[Worker]] = set()
        self._closed = False
        self._lock = threading.Lock()

    def work(self, job: Job) -> list[Row]:
        """Do a job.

        Raises:
            UsageError: the engine cannot do what is asked, or the versions are others.
            EngineFailedError: the engine raises an exception, dies or falls silent.
        """
        kind = job.engine, job.timeout_s
        process = self._taken(kind)
        try:
            rows = process.call(Worker.work, job)
        except Exception as error:
            if isinstance(error, EngineProcessError):
                with self._lock:
                    self._all.discard(process)
                process.close()
            failure = engines_failure(error)
            if failure is None or isinstance(error, (UsageError, EngineFailedError, MemoryError)):
                raise
            raise EngineFailedError(failure.said()) from None  # whole also where it is pickled
        finally:
            with self._lock:
                if process in self._all:
                    self._waiting.append((kind, process, time.monotonic()))
        if self._idle_s is not None:
            timer = threading.Timer(self._idle_s, self._end_idle)
            timer.daemon = True
            timer.start()
        return rows

    def kill(self) -> None:
        """End all processes at once, in the middle of whatever they do; start no more."""
        with self._lock:
            self._closed = True
            for process in self._all:
                process.kill()

    def close(self) -> None:
        """End all processes, which are waiting for work."""
        with self._lock:
            self._closed = True
            for process in self._all:
                process.close()

    def _taken(self, kind: Kind) -> EngineProcess[Worker]:
        with self._lock:
            if self._closed:
                raise EngineProcessError("the sweep is being ended")
            for entry in reversed(self._waiting):  # the one that waits shortest
                if entry[0] == kind:
                    self._waiting.remove(entry)
                    return entry[1]
            engine, timeout_s = kind
            make = functools.partial(Worker, engine)
            process = EngineProcess(make, 1, engine, KEPT, timeout_s).__enter__()
            self._all.add(process)
            return process

    def _end_idle(self) -> None:
        assert self._idle_s is not None
        with self._lock:
            since = time.monotonic() - self._idle_s
            for entry in [entry for entry in self._waiting if entry[2] <= since]:
                self._waiting.remove(entry)
                self._all.discard(entry[1])
                entry[1].close()
