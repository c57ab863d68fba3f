"""Locating: a training step of two engines tensor by tensor, and the first node at which they part.

Both engines show all that one step computes. Every node is judged by itself: what an engine made of
a node is compared with what minigrad's rule, on budgeted arrays, makes of the very inputs that this
engine gave to the node. So no error is inherited from nodes before, the budget is that of one
node's rounding, and there are no kinks, since the inputs are given. An engine may be minigrad
itself, and the rule wrong. So where an engine does not follow the rule, both are compared with what
the exact witness makes of their inputs, and that decides which of them is wrong.

With `bits`, for engines that compute reproducibly, it is the first node whose bits differ.
"""

import inspect
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from parity.checks.bits import canonical, differ, first_difference, values_at
from parity.checks.budget import Budget
from parity.checks.nodes import Nodes
from parity.checks.source import body_of, function_at
from parity.checks.tensor import Key, Sides, Tensor, distance
from parity.checks.witness import Witness
from parity.checks.words import wrong_of
from parity.engines.process import EngineProcess
from parity.engines.protocol import Array, Start, Task, Traced
from parity.engines.trainer import Trainer


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


def tensors(traces: Traces, *, bits: bool) -> Iterator[Tensor]:
    """Yield every tensor that either engine has, in the order of computing."""
    ours, theirs = sides = traces.sides
    nodes = [traces.nodes(side) for side in sides]
    witness = Witness(traces.task, traces.start, traces.momentum_buffers)

    def distances(key: Key, values: Iterable[Array], *, exactly: bool) -> Sides | None:
        """Return how far both are from the rule, or from the exact witness if there is one."""
        budgets = [node.budget(*key) for node in nodes]
        if exactly:
            true = [witness.node(side, *key) for side in sides]
            budgets = [Budget(*truth, None, {}) for truth in true if truth is not None]
        if len(budgets) < 2:
            return None
        one, other = (distance(*pair) for pair in zip(values, budgets, strict=True))
        return one, other

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
            exact = None
            if different is not None:
                exact = distances(key, _both(values), exactly=True)
            yield Tensor(key, operation, values, None, None, apart, different is None, exact)
        elif unknown is not None:
            problem = f"not judged, since {unknown} before it cannot be compared"
            yield Tensor(key, operation, values, problem, None, None, passed=None)
        else:
            found, exact = distances(key, _both(values), exactly=False), None
            assert found is not None
            if not all(side.found.passed for side in found):
                exact = distances(key, _both(values), exactly=True)
            one, other = exact or found
            worse = np.maximum(one.used, other.used)
            passed = one.found.passed and other.found.passed
            yield Tensor(key, operation, values, None, (one, other), worse, passed, exact)


def _both(values: Iterable[Array | None]) -> list[Array]:
    return [value for value in values if value is not None]


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
        start, momentum_buffers = state_at(leading, task, start, momentum_buffers, epoch)
    if free:
        ours = actual.call(Trainer.trace_next)
    else:
        ours = actual.call(Trainer.trace, task, start, momentum_buffers)
    theirs = expected.call(Trainer.trace, task, start, momentum_buffers)
    if ours is None or theirs is None:
        raise NotTracedError((actual if ours is None else expected).name)
    return Traces(ours, theirs, task, start, momentum_buffers, epoch)


def state_at(
    engine: EngineProcess[Trainer],
    task: Task,
    start: Start,
    momentum_buffers: Mapping[str, Array],
    epoch: int,
) -> tuple[Start, Mapping[str, Array]]:
    """Return where an engine has come to before an epoch, from 0: parameters, and buffers."""
    parameters, buffers = engine.call(Trainer.state_before, task, start, epoch, momentum_buffers)
    step = start.step + epoch if task.varies else start.step
    return replace(start, parameters=parameters, step=step), buffers


def first_node(traces: Traces, *, bits: bool = False) -> dict[str, Any] | None:
    """Find the first node at which two traces part.

    Returns:
        `phase`, `node`, `operation` and `tensor` as in `Traced`; `index`, `actual` and `expected`
        of the element that is furthest from the rule, or with `bits` the first that differs; its
        `budget`, with `bits` 0, and the share of it that is used, of the tensor as a whole
        `aggregate_used`; the `rule` of minigrad that computes the tensor, of several the one that
        is wrong by its definition, and its `line` and `source`, as in `body_of`, and the `calls`
        that a replay makes for it; who is `wrong`, as in `Tensor`, or who follows a rule that is;
        what is `true` of the element, and the `factor` that the wrong engine's tensor is
        multiplied by, if it is all that is wrong. If there is nothing to compare element by
        element, `problem` tells why, and the index is empty. None if every node is right by itself.
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
    own = traces.sides[tensor.wrong == "expected"].get(tensor.key)
    who = tensor.wrong
    if own is not None and own.rule:
        rule = function_at(own.rule)
    else:
        function, guilty = traces.nodes(traces.sides[1]).rule(*tensor.key)
        rule = inspect.unwrap(function).__code__
        if guilty and who is None and tensor.sides is not None:  # then who follows it is wrong
            who = wrong_of(*(not side.found.passed for side in tensor.sides))
    return {
        "phase": phase,
        "node": node,
        "operation": tensor.operation,
        "tensor": name,
        "actual": None,
        "expected": None,
        "budget": 0.0 if bits else None,
        **found,
        "rule": rule.co_qualname,
        **body_of(rule),
        "calls": [] if own is None else list(own.calls),
        "wrong": who,
        **_truth(tensor, found["index"]),
    }


def _truth(tensor: Tensor, index: Sequence[int]) -> dict[str, Any]:
    """Return what is true of an element, and by which factor the wrong engine's tensor is wrong."""
    if tensor.exact is None or not tensor.wrong:
        return {"true": None, "factor": None}
    true = tensor.exact[0].due[tuple(index)]
    sides = {"actual": tensor.exact[0], "expected": tensor.exact[1]}
    values = dict(zip(sides, tensor.both, strict=True))
    wrong = tensor.wrong if tensor.wrong in sides else "actual"
    return {"true": float(true).hex(), "factor": sides[wrong].factor(values[wrong])}
