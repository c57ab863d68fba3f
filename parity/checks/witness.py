"""The exact witness: what a training step truly comes to, computed without either engine.

The functions of the task are called with `parity.checks.exact`, where the operations are defined,
and no derivative rule is trusted. What is too large to be computed so, or has operations that are
not defined there, has no witness.
"""

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import TypeVar

import numpy as np

from parity.checks.exact.lacking import Lacking
from parity.checks.exact.step import LOSS, Problem, TrueStep
from parity.checks.exact.truth import Truth
from parity.engines.adapters.tracing import PREDICTION, gradient_by
from parity.engines.protocol import BUFFER, Array, Start, Task, Traced
from parity.problems import parts

Trace = Mapping[tuple[str, str, str], Traced]
Found = TypeVar("Found")


class Witness:
    """What a step of a task truly comes to, as a whole and node by node.

    Args:
        task: what is trained.
        start, momentum_buffers: from where; no buffers before the optimiser's first step.
    """

    def __init__(self, task: Task, start: Start, momentum_buffers: Mapping[str, Array]) -> None:
        rows = task.rows(start.step)
        *x, y = (a if rows is None else a[rows] for a in (*start.inputs, start.y))
        self._step = TrueStep(functions(task), start.parameters, x, y, momentum_buffers)
        self._scheduled = task.problem is not None and task.problem.function("scheduler")

    def node(self, trace: Trace, phase: str, node: str, tensor: str) -> Truth | None:
        """Return what a node truly makes of the inputs in a trace.

        Args:
            trace: of an engine's step, by phase, node and tensor as in `Traced`.
            phase, node, tensor: what is computed.

        Returns:
            None if it cannot be told, as of an input that is not in the trace.
        """
        return _if_known(lambda: self._node(trace, phase, node, tensor))

    def _node(self, trace: Trace, phase: str, node: str, tensor: str) -> Truth | None:
        if phase == "optimizer":
            given = gradient_by(trace, tensor.removesuffix(BUFFER))
            if given is None or self._scheduled:
                return None
            return self._step.updated(tensor, given)
        nodes = [name for kind, name, _ in trace if kind == "forward"]
        if node not in nodes or LOSS not in nodes:
            return None
        outputs: dict[str, Array | None] = {
            _named(name): trace["forward", name, "output"].value for name in nodes
        }
        if phase == "forward":
            return self._step.output(_named(node), outputs)
        places = dict(gradient_places(trace, nodes))
        gradients = {_named(name): trace["backward", *at].value for name, at in places.items()}
        if (node, tensor) == (LOSS, "output"):  # where the sweep starts
            one = gradients[LOSS]
            return Truth(np.ones_like(one), np.zeros(one.shape))
        of = next((name for name, place in places.items() if place == (node, tensor)), None)
        return self._step.gradient(tensor if of is None else _named(of), outputs, gradients)

    def step(self) -> dict[str, dict[str, Array]] | None:
        """Return the true `loss`, `gradients`, `updated` parameters and, with momentum, `buffers`.

        Arrays are by the parameters' names. None if the step is too large, or cannot be told.
        """
        return None if self._scheduled else _if_known(self._step.whole)


def functions(task: Task) -> Problem:
    """Return the functions of a task, each of which is called with a library."""
    return Problem(
        functools.partial(parts.model, task),
        lambda torch, prediction, y: parts.loss(task, torch)(prediction, y),
        functools.partial(parts.optimizer, task),
    )


def gradient_places(trace: Trace, nodes: Sequence[str]) -> Iterator[tuple[str, tuple[str, str]]]:
    """Yield of each node by which name and tensor the gradient by its output is in a trace.

    It is there as an output's, or as that by the next node's input.
    """
    for name, after in pairwise([*nodes, ""]):
        for place in ((name, "output"), (after, "input")):
            if ("backward", *place) in trace:
                yield name, place
                break


def _named(node: str) -> str:
    """Return the name that `parity.checks.exact.step` has for a node: of a second call, "…#1"."""
    name, _, call = node.partition("#")
    name = "" if name == PREDICTION else name
    return f"{name}#{int(call) - 1}" if call else name


def _if_known(compute: Callable[[], Found | None]) -> Found | None:
    try:
        return compute()
    except Lacking:
        return None
