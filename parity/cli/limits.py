"""The limits of every number on the command line: those of training, and those of processes."""

from typing import Any

from minigrad import limits
from minigrad.limits import Limit
from parity.bench.ratios import FEWEST_ROUNDS
from parity.errors import UsageError
from parity.sweep.plan import MOST_SEEDS
from parity.system import usable_cores

CORES = usable_cores()

LIMITS = limits.LIMITS | {
    "timeout": Limit(0.1, 1_000_000),
    "threads": Limit(1, CORES, ", the cores there are"),
    "workers": Limit(1, 4 * CORES, ", four times the cores there are"),
    "processes": Limit(1, 1000),
    "rounds": Limit(FEWEST_ROUNDS, 1_000_000),
    "horizons": Limit(0, MOST_SEEDS),
    # Of `python -m parity.evidence`.
    "cases": Limit(1, 1_000_000),
    "free": Limit(0, 1_000_000),
    "seeds": Limit(0, 1_000_000),
    "controls": Limit(1, 1_000_000),
    "full": Limit(0, 1_000_000),
    "quick": Limit(0, 1_000_000),
}


def require(options: dict[str, Any]) -> None:
    """Raise `UsageError` if a number among the options is beyond its limits."""
    for name, value in options.items():
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if number and (said := limits.beyond(name, value, LIMITS)):
            typed = f"{value:g}" if isinstance(value, float) else str(value)[:40]
            raise UsageError(f"--{name.replace('_', '-')} {typed} {said}")
