"""A case: a verdict that failed, with all it takes to judge it again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from parity.checks.verdicts import VERDICTS
from parity.engines.protocol import Array, Start, Task
from parity.problems.parts import chain_shapes

PROBE = "probe"
"""The kind of a case that is of a probe, and not of a verdict on a network."""


@dataclass(frozen=True)
class Case:
    """A verdict that failed.

    Attributes:
        kind: which verdict, by its name in `VERDICTS`, or `PROBE`.
        engines: the engine under test, and the one it was held against.
        task: what is trained; its seed and samples are those of the data where these are drawn.
        start: data and parameters; None if the case is `drawn`.
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

    @property
    def drawn(self) -> bool:
        """Whether it is drawn from a seed each time it is judged, and so has no arrays."""
        return self.kind == PROBE or VERDICTS[self.kind].drawn

    @property
    def resumes(self) -> bool:
        """Whether it may begin in the middle of a run, with a state of the optimiser."""
        return self.kind != PROBE and VERDICTS[self.kind].resumes

    @property
    def tensors(self) -> dict[str, Array]:
        """Its arrays by their names in a file: `x`, `y`, `parameters.…`, `momentum_buffers.…`.

        A drawn one has `data` alone: the float64 numbers of a file that it was trained on.
        """
        if self.start is None:
            return {"data": self.task.data.values} if self.task.data else {}
        groups = {"parameters": self.start.parameters, "momentum_buffers": self.momentum_buffers}
        named = {f"{g}.{n}": array for g, arrays in groups.items() for n, array in arrays.items()}
        return {**self.start.data, **named}

    def with_tensors(self, tensors: Mapping[str, Array]) -> Case:
        """Return the case with these arrays, by the names that `tensors` gives them."""

        def group(prefix: str) -> dict[str, Array]:
            names = list(chain_shapes(self.task)) or [
                name.removeprefix("parameters.") for name in tensors if "parameters." in name
            ]
            return {n: tensors[f"{prefix}.{n}"] for n in names if f"{prefix}.{n}" in tensors}

        more = tuple(tensors[name] for name in tensors if name[:1] == "x" and name != "x")
        step = 0 if self.start is None else self.start.step
        start = Start(tensors["x"], tensors["y"], group("parameters"), more, step)
        return replace(self, start=start, momentum_buffers=group("momentum_buffers"))
