"""The networks, seeds and engines of a sweep, and what is still to be trained."""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

from minigrad.architectures import Architecture
from parity.engines.protocol import Task
from parity.errors import UsageError
from parity.sweep.database import Database, Row
from parity.sweep.scheduler import Stream

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
    """

    networks: Mapping[str, tuple[Architecture, Task]]
    seeds: range
    engine: str
    against: str
    horizons: int

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
                    found.append(Stream(name, engine, task, horizon, missing, len(some)))
    return found


def results(plan: Plan, database: Database) -> dict[str, tuple[Rows, Rows]]:
    """Return the results so far, by network: those of the engine and of the one it is against."""

    def those(name: str, engine: str) -> Rows:
        kept = database.rows(name, engine, plan.dtype)
        return {seed: row for seed, row in kept.items() if seed in plan.seeds}

    return {name: (those(name, plan.engine), those(name, plan.against)) for name in plan.networks}
