"""What is still to be trained, what is trained next, and what happens when a worker dies."""

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass, field, replace

from minigrad.architectures import Architecture
from parity.engines.protocol import Task
from parity.errors import EngineFailedError, UsageError, summary
from parity.sweep.database import Database, Row
from parity.sweep.executors import Workers
from parity.sweep.settings import versions
from parity.sweep.work import Job

LAST_SEED = 2**63 - 1
"""SQLite's largest integer."""

MOST_SEEDS = 1_000_000
"""More than this counts as a typing error."""

Rows = dict[int, Row]
"""Results by seed, ascending."""


@dataclass(frozen=True)
class Plan:
    """Networks, seeds and the two engines.

    Attributes:
        networks: by name, each with what is trained, at whatever seed.
        seeds: at which.
        engine, against: the engine under test, and the one it is held against.
        horizons: at how many of the seeds, the first ones, perturbed runs of `against` find the
            horizon.
        timeout_s: how long an engine may give no sign of life, in seconds; None for ever.
    """

    networks: Mapping[str, tuple[Architecture, Task]]
    seeds: range
    engine: str
    against: str
    horizons: int
    timeout_s: float | None = None

    @property
    def dtype(self) -> str:
        """The dtype of all networks."""
        return next(iter(self.networks.values()))[1].dtype


def seeds(text: str) -> range:
    """Return the seeds that "A:B" names: A and what follows, without B, as in Python.

    Raises:
        UsageError: it names none, or ones that there are not.
    """
    first, colon, end = text.partition(":")
    valid = colon and all(
        part.isascii() and part.isdigit() and len(part) <= 20 for part in (first, end)
    )
    if not valid or not 0 <= int(first) < int(end) <= LAST_SEED + 1:
        raise UsageError(
            f"--seeds {text!r} names no seeds: give A:B, the first and the one after the last, "
            f"such as 0:1000, from 0 to 2^63, which is {2**63}"
        )
    if int(end) - int(first) > MOST_SEEDS:
        raise UsageError(
            f"--seeds {text!r} names {int(end) - int(first):,} seeds, and {MOST_SEEDS:,} is the "
            "most that is swept at once: give fewer, and the next ones after them"
        )
    return range(int(first), int(end))


@dataclass
class Stream:
    """The seeds of one network for one engine that are still to be trained.

    Attributes:
        common: the job without seeds, of which each job has some.
        seeds: those that wait.
        total: how many were to be trained, those that are done already included.
        time_s: what a seed took lately; None before the first.
        failures: how often a seed has failed.
        lost: what went wrong with seeds given up.
        untried: how many seeds were given up with them.
    """

    common: Job
    seeds: deque[int]
    total: int
    time_s: float | None = None
    failures: dict[int, int] = field(default_factory=dict)
    lost: dict[int, Exception] = field(default_factory=dict)
    untried: int = 0

    @property
    def left(self) -> float:
        """The share that no worker has got yet."""
        return len(self.seeds) / self.total

    def job(self) -> Job:
        """Return the next seeds: about `JOB_S` of them, and a single one where that is unknown.

        A seed that has failed goes alone, so that it cannot take others with it.
        """
        size = 1
        if self.time_s is not None and self.seeds[0] not in self.failures:
            size = max(1, min(MOST, int(JOB_S / max(self.time_s, 1e-9))))
        seeds = [self.seeds.popleft()]
        while self.seeds and len(seeds) < size and self.seeds[0] not in self.failures:
            seeds.append(self.seeds.popleft())
        return replace(self.common, seeds=tuple(seeds))

    def failed(self, job: Job, error: Exception) -> None:
        """Put the job's seeds back to be tried again, unless they have been tried often enough."""
        for seed in job.seeds:
            # A seed that was not alone may be innocent of what happened to the others.
            self.failures[seed] = self.failures.get(seed, 0) + (len(job.seeds) == 1)
            if self.failures[seed] < ATTEMPTS:
                self.seeds.append(seed)
            else:
                self.lost[seed] = error
        if len(self.lost) >= MOST_LOST:
            self.untried += len(self.seeds)
            self.seeds.clear()

    def losses(self) -> list[str]:
        """Return a line for each seed given up, and one for those that were not tried."""
        what = f"{self.common.architecture} on {self.common.engine}"
        found = [
            f"{what}: seed {seed} failed {ATTEMPTS} times and has no result: {_said(error)}"
            for seed, error in self.lost.items()
        ]
        if self.untried:
            found.append(f"{what}: so {self.untried:,} more seeds were left out")
        return found


def _said(error: Exception) -> str:
    return str(error) if isinstance(error, EngineFailedError) else summary(error)


def streams(plan: Plan, database: Database) -> list[Stream]:
    """Return what is still to be trained, for each network and engine."""
    found = []
    for name, (_, task) in plan.networks.items():
        for engine in (plan.engine, plan.against):
            kept = database.rows(name, engine, plan.dtype)
            asked = plan.seeds[: plan.horizons] if engine == plan.against else range(0)
            rest = plan.seeds[len(asked) :]
            for horizon, some in ((True, asked), (False, rest)):
                missing = deque(
                    seed
                    for seed in some
                    if seed not in kept or (horizon and not kept[seed].horizon_runs)
                )
                if some:
                    needed = tuple(versions([engine]).items())
                    job = Job(name, engine, task, (), horizon, needed, plan.timeout_s)
                    found.append(Stream(job, missing, len(some)))
    return found


def results(plan: Plan, database: Database) -> dict[str, tuple[Rows, Rows]]:
    """Return the results so far, by network: those of the engine and of the one it is against."""

    def those(name: str, engine: str) -> Rows:
        kept = database.rows(name, engine, plan.dtype)
        return {seed: row for seed, row in kept.items() if seed in plan.seeds}

    return {name: (those(name, plan.engine), those(name, plan.against)) for name in plan.networks}


# ---- the scheduler -----------------------------------------------------------------------------

JOB_S = 1.0
"""About how many seconds a job takes: so much is lost when the sweep or a worker is killed."""

MOST = 4096
"""The most seeds of a job: its results are pickled and written in one piece."""

ATTEMPTS = 3
"""How often a seed is tried before it is given up."""

MOST_LOST = 3
"""When this many seeds are given up, the rest of that network and engine is not tried."""

PATIENCE_S = 10.0
"""Seconds without a result after which the scheduler asks whether there are workers."""

PAUSE_S = 1.0
"""Seconds to wait for workers when there are none."""


def schedule(
    streams: Sequence[Stream],
    workers: Workers,
    keep: Callable[[list[Row]], object],
    progress: Callable[[Stream, int], object],
    say: Callable[[str], object],
) -> None:
    """Train everything; streams advance side by side.

    Args:
        streams: what is to be trained. Seeds that could not be trained end in their `lost`.
        workers: what trains.
        keep: called with results as soon as they are there.
        progress: called with a stream and how many of its seeds are done.
        say: called once, with a sentence, if there are no workers.

    Raises:
        UsageError: a worker cannot do what is asked, for example use the device.
    """
    running: dict[Future[list[Row]], tuple[Stream, Job]] = {}
    done = {id(stream): stream.total - len(stream.seeds) for stream in streams}
    told = False
    for stream in streams:
        progress(stream, done[id(stream)])
    while True:
        slots = workers.slots()
        while len(running) < slots and (waiting := [s for s in streams if s.seeds]):
            stream = max(waiting, key=lambda stream: stream.left)
            job = stream.job()
            running[workers.submit(job)] = stream, job
        if not running and not any(stream.seeds for stream in streams):
            return
        finished: set[Future[list[Row]]] = set()
        if running:
            finished, _ = wait(running, timeout=PATIENCE_S, return_when=FIRST_COMPLETED)
        else:
            time.sleep(PAUSE_S)
        if not finished and not told and (lack := workers.lack()):
            told = True
            say(lack)
        for future in finished:
            stream, job = running.pop(future)
            try:
                rows = future.result()
            except UsageError:
                raise
            except Exception as error:
                stream.failed(job, error)
                continue
            keep(rows)
            stream.time_s = rows[0].time_s
            done[id(stream)] += len(rows)
            progress(stream, done[id(stream)])
