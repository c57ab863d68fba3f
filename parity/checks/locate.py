"""Locating: a training step of two engines tensor by tensor, and the first node at which they part.

Both engines show all that one step computes. Every node is judged by itself: what an engine made of
a node is compared with what minigrad's rule, on budgeted arrays, makes of the very inputs that this
engine gave to the node. So no error is inherited from nodes before, the budget is that of one
node's rounding, and there are no kinks, since the inputs are given. An engine may be minigrad
itself, and the rule wrong: then it is the other engine that does not follow it.

With `bits`, for engines that compute reproducibly, it is the first node whose bits differ.
"""

import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import CodeType
from typing import Any

import numpy as np

import minigrad
from parity.checks.bits import canonical, differ, first_difference, same, ulp_distance, values_at
from parity.checks.budget import Budget
from parity.checks.gradients import Comparison, compare, shares, tolerance
from parity.checks.nodes import Nodes
from parity.engines.process import EngineProcess
from parity.engines.protocol import Array, Start, Task, Traced
from parity.engines.trainer import Trainer

Key = tuple[str, str, str]
"""Phase, node and tensor, as in `Traced`."""


class NotTracedError(Exception):
    """The engine of this name cannot show what its steps compute."""


@dataclass(frozen=True)
class Traces:
    """One step by two engines.

    Attributes:
        actual, expected: all values, in the order of computing.
        task: what is trained.
        start, momentum_buffers: what it starts from; no buffers for the optimiser's first step.
        epoch: which step of a case it is, from 0.
    """

    actual: list[Traced]
    expected: list[Traced]
    task: Task
    start: Start
    momentum_buffers: Mapping[str, Array]
    epoch: int = 0

    @property
    def sides(self) -> tuple[dict[Key, Traced], dict[Key, Traced]]:
        """The values of both engines by phase, node and tensor."""
        actual, expected = (
            {(step.phase, step.node, step.tensor): step for step in trace}
            for trace in (self.actual, self.expected)
        )
        return actual, expected

    def nodes(self, side: Mapping[Key, Traced]) -> Nodes:
        """Return what minigrad's rules make of the inputs on a side."""
        return Nodes(side, self.task, self.start, self.momentum_buffers)


@dataclass(frozen=True)
class Distance:
    """How far a tensor of one engine is from what minigrad's rule makes of the engine's own inputs.

    Attributes:
        due: the values that the rule gives.
        allowed: by how much each element may differ from that, float64.
        used: the share of it that is used, inf for what is not finite and should be, or the
            reverse; 0 where nothing is judged, beside an overflow.
        found: how they compare.
    """

    due: Array
    allowed: Array
    used: Array
    found: Comparison


@dataclass(frozen=True)
class Tensor:
    """A tensor of both engines.

    Attributes:
        key: which one it is.
        operation: the node's kind.
        values: of the engine under test, and of the one it is held against; None if it has none.
        problem: why they are not compared element by element; None if they are.
        sides: how far both are from the rule; None if bits are compared, or there is a problem.
        apart: of each element the share of the budget that the worse engine uses, or 0 and 1 for
            whether bits differ; None if there is a problem.
        passed: whether it is within its budget, or the same in every bit; None if that is not
            judged, since what it is computed from could not be compared.
    """

    key: Key
    operation: str
    values: tuple[Array | None, Array | None]
    problem: str | None
    sides: tuple[Distance, Distance] | None
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
        return max((side.found.aggregate_used for side in self.sides or ()), default=0.0)

    @property
    def difference(self) -> Array:
        """Actual less expected, float64; 0 where both are the same NaN or infinity."""
        actual, expected = self.both
        with np.errstate(all="ignore"):
            difference = np.subtract(actual, expected, dtype=np.float64)
        result: Array = np.where(same(actual, expected), 0.0, difference)
        return result

    @property
    def ulps(self) -> Array:
        """How many floating point numbers lie between the elements."""
        return ulp_distance(*self.both).reshape(self.both[1].shape)


def tensors(traces: Traces, *, bits: bool) -> Iterator[Tensor]:
    """Yield every tensor that either engine has, in the order of computing."""
    ours, theirs = sides = traces.sides
    nodes = [traces.nodes(side) for side in sides]
    unknown = None
    for key in [*theirs, *(key for key in ours if key not in theirs)]:
        traced = [trace[key].value if key in trace else None for trace in sides]
        values = traced[0], traced[1]
        operation = (theirs.get(key) or ours[key]).operation
        different = first_difference(*(canonical({} if v is None else {"": v}) for v in values))
        if different and "problem" in different:
            problem = different["problem"]
            unknown = unknown or key[2]
            yield Tensor(key, operation, values, problem, None, None, passed=False)
        elif bits:
            one_nan = (canonical({"": value})[""] for value in values if value is not None)
            apart = differ(*one_nan).astype(float)
            yield Tensor(key, operation, values, None, None, apart, different is None)
        elif unknown is not None:
            problem = f"not judged, since {unknown} before it cannot be compared"
            yield Tensor(key, operation, values, problem, None, None, passed=None)
        else:
            one, other = (
                distance(value, node.budget(*key))
                for value, node in zip(values, nodes, strict=True)
                if value is not None
            )
            worse = np.maximum(one.used, other.used)
            passed = one.found.passed and other.found.passed
            yield Tensor(key, operation, values, None, (one, other), worse, passed)


def distance(actual: Array, budget: Budget) -> Distance:
    """Compare an engine's tensor with its rule's value, element by element as `compare` does."""
    found = compare({"": actual}, {"": budget.value}, {"": budget})
    due, allowed = budget.value, tolerance(budget)
    with np.errstate(all="ignore"):
        difference = np.subtract(actual, due, dtype=np.float64)
        used = shares(difference, allowed, budget.slack, actual, due)
    return Distance(due, allowed, used, found)


def traced(
    actual: EngineProcess[Trainer],
    expected: EngineProcess[Trainer],
    task: Task,
    start: Start,
    momentum_buffers: Mapping[str, Array],
    epoch: int = 0,
    *,
    free: bool = False,
) -> Traces:
    """Let two engines take the same step, from where the expected one has come to by then.

    Args:
        actual, expected: the engines' processes.
        task: what is trained.
        start, momentum_buffers: from where; no buffers before the optimiser's first step.
        epoch: which step it is, from 0.
        free: whether the actual engine comes to that step, and takes it, in its own run.

    Raises:
        NotTracedError: one of the engines cannot show its steps.
    """
    if epoch or free:
        leading = actual if free else expected
        parameters, momentum_buffers = leading.call(
            Trainer.state_before, task, start, epoch, momentum_buffers
        )
        start = replace(start, parameters=parameters)
    if free:
        ours = actual.call(Trainer.trace_next)
    else:
        ours = actual.call(Trainer.trace, task, start, momentum_buffers)
    theirs = expected.call(Trainer.trace, task, start, momentum_buffers)
    if ours is None or theirs is None:
        raise NotTracedError((actual if ours is None else expected).name)
    return Traces(ours, theirs, task, start, momentum_buffers, epoch)


def first_node(traces: Traces, *, bits: bool = False) -> dict[str, Any] | None:
    """Find the first node at which two traces part.

    Returns:
        `phase`, `node`, `operation` and `tensor` as in `Traced`; `index`, `actual` and `expected`
        of the element that is furthest from the rule, or with `bits` the first that differs; its
        `budget`, with `bits` 0, and the share of it that is used, of the tensor as a whole
        `aggregate_used`; the `rule` of minigrad that computes the tensor, and its `line`. If there
        is nothing to compare element by element, `problem` tells why, and the index is empty. None
        if every node is right by itself.
    """
    tensor = next((found for found in tensors(traces, bits=bits) if not found.passed), None)
    if tensor is None:
        return None
    phase, node, name = tensor.key
    found: dict[str, Any]
    if tensor.problem is not None:
        found = {"index": [], "problem": tensor.problem}
    elif tensor.sides is None:
        index = np.unravel_index(tensor.worst, tensor.both[1].shape)
        found = values_at(index, *tensor.both)
    else:
        wrong = [side.found for side in tensor.sides if not side.found.passed]
        worst = max(wrong, key=lambda side: side.worst_used)
        found = {
            **values_at(worst.worst_at["index"], *tensor.both),
            "budget": worst.worst_at["budget"],
            "budget_used": worst.worst_used,
            "aggregate_used": worst.aggregate_used,
        }
    rule = traces.nodes(traces.sides[1]).rule(*tensor.key)
    return {
        "phase": phase,
        "node": node,
        "operation": tensor.operation,
        "tensor": name,
        "actual": None,
        "expected": None,
        "budget": 0.0 if bits else None,
        **found,
        "rule": rule.__qualname__,
        "line": line_of(rule),
    }


def line_of(function: Callable[..., Any] | CodeType) -> str:
    """Return where a function is defined, for example "minigrad/ops/linalg.py:31"."""
    if not isinstance(function, CodeType):
        function = inspect.unwrap(function)
    file = Path(str(inspect.getsourcefile(function)))
    root = Path(str(minigrad.__file__)).parents[1]
    name = file.relative_to(root) if file.is_relative_to(root) else file
    return f"{name.as_posix()}:{inspect.getsourcelines(function)[1]}"
