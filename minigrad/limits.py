"""The limits of every number that a command or a problem takes, checked before anything starts."""

import sys
from collections.abc import Mapping
from typing import NamedTuple


class Limit(NamedTuple):
    """The least and the most that a number may be, and what the most is."""

    least: float
    most: float
    which: str = ""


FINITE = sys.float_info.max

LIMITS = {
    "seed": Limit(0, 2**64 - 1),
    "epoch": Limit(1, 100_000_000),
    "epochs": Limit(1, 100_000_000),
    "samples": Limit(1, 10_000_000),
    "batch_size": Limit(1, 10_000_000),
    "learning_rate": Limit(0, FINITE),
    "momentum": Limit(0, FINITE),
    "weight_decay": Limit(0, FINITE),
    "dampening": Limit(-FINITE, FINITE),
}


def beyond(name: str, value: float, limits: Mapping[str, Limit] = LIMITS) -> str | None:
    """Return what a number must be if it is beyond its limits, None if it is not."""
    least, most, which = limits[name]
    if least <= value <= most:  # which NaN is not
        return None
    if most == FINITE:
        return "must be a finite number" + " of at least 0" * (least == 0)
    return f"must be from {least:,} to {most:,}{which}"
