"""Locating: the first node of a training step at which two engines part.

Both engines show all that one step computes. Every node is judged by itself: what minigrad's rule,
on budgeted arrays, makes of the very inputs that an engine gave to this node is held against what
the engine made of them. So no error is inherited from nodes before, the budget is that of one
node's rounding, and a choice at a kink is no choice, since the inputs are given. An engine may be
minigrad itself, and the rule wrong: then it is the other engine that does not follow it.

With `bits`, for engines that compute reproducibly, it is the first node whose bits differ.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from types import CodeType
from typing import Any

import numpy as np

import minigrad
from parity.checks.gradients import compare
from parity.checks.nodes import Nodes
from parity.checks.start import first_difference
from parity.engines.process import EngineProcess
from parity.engines.protocol import Array, Start, Task, Traced
from parity.engines.trainer import Trainer


def locate(
    actual: EngineProcess[Trainer],
    expected: EngineProcess[Trainer],
    task: Task,
    start: Start,
    momentum_buffers: Mapping[str, Array],
    *,
    bits: bool = False,
) -> dict[str, Any] | None:
    """Let two engines take the same step, and find the first node at which they part.

    Args:
        actual, expected: the engines' processes.
        task: what is trained.
        start: the data, and the parameters that the step starts from.
        momentum_buffers: which it starts from; none for the optimiser's first step.
        bits: whether every bit counts.

    Returns:
        `phase`, `node`, `operation` and `tensor` as in `Traced`; `index`, `actual` and `expected`
        of the element that is furthest from what is due, or with `bits` the first that differs; its
        `budget`, with `bits` 0, and the share of it that is used, of the tensor as a whole
        `aggregate_used`; the `rule` of minigrad that computes the tensor, and its `line`. If there
        is nothing to compare element by element, `problem` tells why, and the index is empty. None
        if every node is right by itself, or if one of the engines cannot show its steps.
    """
    ours = actual.call(Trainer.trace, task, start, momentum_buffers)
    theirs = expected.call(Trainer.trace, task, start, momentum_buffers)
    if ours is None or theirs is None:
        return None
    return first_node(ours, theirs, task, start, momentum_buffers, bits=bits)


def first_node(
    actual: list[Traced],
    expected: list[Traced],
    task: Task,
    start: Start,
    momentum_buffers: Mapping[str, Array],
    *,
    bits: bool = False,
) -> dict[str, Any] | None:
    """Find the first node at which two traces part; see `locate`."""
    traces = [
        {traced[:2] + traced[3:4]: traced for traced in trace} for trace in (actual, expected)
    ]
    ours, theirs = traces
    nodes = [Nodes(trace, task, start, momentum_buffers) for trace in traces]
    for key in [*theirs, *(key for key in ours if key not in theirs)]:
        values = [{key[2]: trace[key].value} if key in trace else {} for trace in traces]
        found = first_difference(*map(_one_nan, values))
        if not bits and not (found and "problem" in found):
            found = _out_of_budget(key, values, nodes)
        if found is not None:
            phase, node, operation, tensor, _ = theirs.get(key) or ours[key]
            rule = nodes[1].rule(phase, node, tensor)
            return {
                "phase": phase,
                "node": node,
                "operation": operation,
                "tensor": tensor,
                "actual": None,
                "expected": None,
                "budget": 0.0 if bits else None,
                **{what: value for what, value in found.items() if what != "parameter"},
                "rule": rule.__qualname__,
                "line": line_of(rule),
            }
    return None


def _out_of_budget(
    key: tuple[str, str, str], values: list[dict[str, Array]], nodes: list[Nodes]
) -> dict[str, Any] | None:
    """Compare what each engine has with what it should have; describe the worse if one is wrong."""
    tensor = key[2]
    worst = None
    for side, node in zip(values, nodes, strict=True):
        budget = node.budget(*key)
        found = compare(side, {tensor: budget.value}, {tensor: budget})
        if not found.passed and (worst is None or found.worst_used > worst.worst_used):
            worst = found
    if worst is None:
        return None
    index = tuple(worst.worst_at["index"])
    return {
        "index": list(index),
        **{
            name: float(side[tensor][index]).hex()
            for name, side in zip(("actual", "expected"), values, strict=True)
        },
        "budget": worst.worst_at["budget"],
        "budget_used": worst.worst_used,
        "aggregate_used": worst.aggregate_used,
    }


def _one_nan(tensors: dict[str, Array]) -> dict[str, Array]:
    """Return the tensors with one bit pattern for every NaN."""
    return {n: np.where(np.isnan(a), a.dtype.type(np.nan), a) for n, a in tensors.items()}


def line_of(function: Callable[..., Any] | CodeType) -> str:
    """Return where a function is defined, for example "minigrad/ops/linalg.py:31"."""
    if not isinstance(function, CodeType):
        function = inspect.unwrap(function)
    file = Path(str(inspect.getsourcefile(function)))
    root = Path(str(minigrad.__file__)).parents[1]
    name = file.relative_to(root) if file.is_relative_to(root) else file
    return f"{name.as_posix()}:{inspect.getsourcelines(function)[1]}"
