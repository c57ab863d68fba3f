"""What of two engines' traces is held against each other, tensor by tensor and element by element.

As in `parity.checks.locate` every node is judged by itself: what is due of a tensor is what
minigrad's rule makes, on budgeted arrays, of the very inputs that this engine gave to the node.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from parity.cases.traces import Traces
from parity.checks.budget import Budget
from parity.checks.gradients import compare, tolerance
from parity.checks.nodes import Nodes
from parity.checks.start import first_difference
from parity.checks.ulp import ulp_distance
from parity.engines.protocol import Array

Key = tuple[str, str, str]
"""Phase, node and tensor, as in `Traced`."""


@dataclass(frozen=True)
class Judged:
    """A tensor of one engine, and what is due of it; all of one shape.

    Attributes:
        due: what minigrad's rule makes of the engine's own inputs.
        allowed: by how much each element may differ from that, float64.
        used: the share of it that is used, inf for what is not finite and should be, or the
            reverse; 0 where nothing is judged, beside an overflow.
        aggregate: the share that the tensor as a whole uses: by a scale factor, or a bias.
        passed: whether each element and the whole are within the budget.
    """

    due: Array
    allowed: Array
    used: Array
    aggregate: float
    passed: bool


@dataclass(frozen=True)
class Tensor:
    """A tensor of both engines.

    Attributes:
        key: which one it is.
        operation: the node's kind.
        values: of the engine under test, and of the one it is held against; None if it has none.
        problem: why they are not compared element by element; None if they are.
        sides: how both are judged; None if it is by their bits, or there is a problem.
        apart: of each element the share of the budget that the worse engine uses, or 0 and 1 for
            whether bits differ; None if there is a problem.
        passed: whether it is within its budget, or the same in every bit; None if that is not
            judged, since what it is computed from could not be compared.
    """

    key: Key
    operation: str
    values: tuple[Array | None, Array | None]
    problem: str | None
    sides: tuple[Judged, Judged] | None
    apart: Array | None
    passed: bool | None

    @property
    def both(self) -> tuple[Array, Array]:
        """The values, where there is no problem."""
        actual, expected = self.values
        assert actual is not None
        assert expected is not None
        return actual, expected

    @property
    def present(self) -> list[Array]:
        """The values of the engines that have it."""
        return [value for value in self.values if value is not None]

    @property
    def worst(self) -> int:
        """The flat index of the element that is furthest apart: with bits, the first that is."""
        return 0 if self.apart is None or not self.apart.size else int(self.apart.argmax())

    @property
    def aggregate(self) -> float:
        """The share of its budget that the tensor as a whole uses."""
        return max((side.aggregate for side in self.sides or ()), default=0.0)

    @property
    def difference(self) -> Array:
        """Actual less expected, float64; 0 where both are the same NaN or infinity."""
        actual, expected = self.both
        with np.errstate(all="ignore"):
            difference = np.subtract(actual, expected, dtype=np.float64)
        same = (actual == expected) | (np.isnan(actual) & np.isnan(expected))
        result: Array = np.where(same, 0.0, difference)
        return result

    @property
    def ulps(self) -> Array:
        """How many floating point numbers lie between the elements."""
        return ulp_distance(*self.both).reshape(self.both[1].shape)


def tensors(traces: Traces, *, bits: bool) -> Iterator[Tensor]:
    """Yield every tensor that either engine has, in the order of computing."""
    sides = [
        {(step.phase, step.node, step.tensor): step for step in trace}
        for trace in (traces.actual, traces.expected)
    ]
    ours, theirs = sides
    task, start, buffers = traces.task, traces.start, traces.momentum_buffers
    nodes = [Nodes(trace, task, start, buffers) for trace in sides]
    unknown = None
    for key in [*theirs, *(key for key in ours if key not in theirs)]:
        traced = [trace[key].value if key in trace else None for trace in sides]
        values = traced[0], traced[1]
        operation = (theirs.get(key) or ours[key]).operation
        different = first_difference(*({} if v is None else {"": _one_nan(v)} for v in values))
        if different and "problem" in different:
            problem = different["problem"]
            unknown = unknown or key[2]
            yield Tensor(key, operation, values, problem, None, None, passed=False)
        elif bits:
            apart = _differ(*(_one_nan(value) for value in values if value is not None))
            yield Tensor(key, operation, values, None, None, apart, passed=different is None)
        elif unknown is not None:
            problem = f"not judged, since {unknown} before it cannot be compared"
            yield Tensor(key, operation, values, problem, None, None, passed=None)
        else:
            budgets = [node.budget(*key) for node in nodes]
            one, other = (
                judge(value, budget)
                for value, budget in zip(values, budgets, strict=True)
                if value is not None
            )
            worse = np.maximum(one.used, other.used)
            passed = one.passed and other.passed
            yield Tensor(key, operation, values, None, (one, other), worse, passed)


def judge(actual: Array, budget: Budget) -> Judged:
    """Hold an engine's tensor against what is due, element by element as `compare` does."""
    found = compare({"": actual}, {"": budget.value}, {"": budget})
    due, allowed = budget.value, tolerance(budget)
    with np.errstate(all="ignore"):
        used = np.abs(np.subtract(actual, due, dtype=np.float64)) / allowed
    used = np.where(np.isfinite(allowed), used, 0.0)
    same = (actual == due) | (np.isnan(actual) & np.isnan(due))
    used = np.where(np.isfinite(actual) & np.isfinite(due), used, np.where(same, 0.0, np.inf))
    if budget.slack is not None:  # beside an overflow
        used = np.where(np.isfinite(budget.slack), used, 0.0)
    return Judged(due, allowed, used, found.aggregate_used, found.passed)


def _one_nan(array: Array) -> Array:
    """Return the array with one bit pattern for every NaN."""
    return np.where(np.isnan(array), array.dtype.type(np.nan), array)


def _differ(actual: Array, expected: Array) -> Array:
    """Return 1 where bits differ and 0 where they do not."""
    kind = f"u{expected.itemsize}"
    ours, theirs = (np.ascontiguousarray(array).view(kind) for array in (actual, expected))
    apart: Array = (ours != theirs).reshape(expected.shape).astype(float)
    return apart
