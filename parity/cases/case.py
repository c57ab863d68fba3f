"""A case: a verdict that failed, with all it takes to judge it again."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from parity.engines.protocol import Array, Start, Task

DRAWN = ("start", "probe")
"""Kinds that are drawn from a seed, each time they are judged."""

FROM_START = ("gradients", "trajectory", "final_mse")
"""Kinds that are judged from initial parameters, and without a state of the optimiser."""


@dataclass(frozen=True)
class Case:
    """A verdict that failed.

    Attributes:
        kind: which verdict: "start", "gradients", "steps", "trajectory", "bitwise", "final_mse" or
            "probe".
        engines: the engine under test, and the one it was held against.
        task: what is trained; its seed and samples are those of the data where these are drawn.
        start: data and parameters, None for those of `DRAWN`.
        momentum_buffers: of SGD before the first epoch, by the parameters' names; empty for none.
        verdict: the verdict's entry, as in report.json.
        origin: "architecture", its "sizes", "samples", "epoch": where it was found.
        environment: of both engines' processes, by "actual" and "expected".
        probe: the name of the probe, for that kind.
    """

    kind: str
    engines: tuple[str, str]
    task: Task
    start: Start | None
    momentum_buffers: dict[str, Array]
    verdict: dict[str, Any]
    origin: dict[str, Any]
    environment: dict[str, Any]
    probe: str | None = None


def shapes(sizes: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
    """Return the shapes of a network's parameters by their names."""
    found: dict[str, tuple[int, ...]] = {}
    for layer, (in_features, out_features) in enumerate(pairwise(sizes)):
        found[f"{2 * layer}.weight"] = (out_features, in_features)
        found[f"{2 * layer}.bias"] = (out_features,)
    return found
