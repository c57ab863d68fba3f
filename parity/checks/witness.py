"""The exact witness: what a training step truly comes to, computed without either engine.

It knows the order of the nodes of a chain. What they compute is defined in `parity.checks.exact`,
and no derivative rule is trusted. What is too large to be computed so has no witness.
"""

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import numpy as np

from parity.checks.exact.step import LOSS, Problem, TrueStep
from parity.checks.exact.truth import Truth
from parity.engines.protocol import BUFFER, Array, Start, Task, Traced


class Witness:
    """What a step of a network truly comes to, as a whole and node by node.

    Args:
        task: what is trained.
        start, momentum_buffers: from where; no buffers before the optimiser's first step.
    """

    def __init__(self, task: Task, start: Start, momentum_buffers: Mapping[str, Array]) -> None:
        self._nodes = [*map(str, range(2 * len(task.sizes) - 3)), LOSS]
        self._step = TrueStep(chain(task), start.parameters, [start.x], start.y, momentum_buffers)

    def node(
        self, trace: Mapping[tuple[str, str, str], Traced], phase: str, node: str, tensor: str
    ) -> Truth | None:
        """Return what a node truly makes of the inputs in a trace.

        Args:
            trace: of an engine's step, by phase, node and tensor as in `Traced`.
            phase, node, tensor: what is computed.

        Returns:
            None if it is too large, or if an input is not in the trace.
        """

        def traced(*key: str) -> Array | None:
            return trace[key].value if key in trace else None  # type: ignore[index]

        if phase == "optimizer":
            gradient = traced("backward", node, tensor.removesuffix(BUFFER))
            return None if gradient is None else self._step.updated(tensor, gradient)
        outputs = {name: traced("forward", name, "output") for name in self._nodes}
        if phase == "forward":
            return self._step.output(node, outputs)
        gradients = {
            name: traced("backward", after, "input") for name, after in pairwise(self._nodes)
        }
        gradients[LOSS] = traced("backward", LOSS, "output")
        if node == LOSS and tensor == "output":  # where the sweep starts
            one = gradients[LOSS]
            return None if one is None else Truth(np.ones_like(one), np.zeros(one.shape))
        if tensor != "input":
            return self._step.gradient(tensor, outputs, gradients)
        place = self._nodes.index(node)
        return self._step.gradient(self._nodes[place - 1] if place else 0, outputs, gradients)

    def step(self) -> dict[str, dict[str, Array]] | None:
        """Return the true `loss`, `gradients`, `updated` parameters and, with momentum, `buffers`.

        Arrays are by the parameters' names. None if the step is too large.
        """
        return self._step.whole()


def chain(task: Task) -> Problem:
    """Return linear layers with ReLU between them, the mean squared error, and SGD."""

    def model(torch: Any) -> Any:
        layers = []
        for inputs, outputs in pairwise(task.sizes):
            layers += [torch.nn.Linear(inputs, outputs), torch.nn.ReLU()]
        return torch.nn.Sequential(*layers[:-1])

    def loss(torch: Any, prediction: Any, y: Any) -> Any:
        return torch.nn.functional.mse_loss(prediction, y)

    def optimizer(torch: Any, parameters: Any) -> Any:
        return torch.optim.SGD(parameters, lr=task.learning_rate, momentum=task.momentum)

    return Problem(model, loss, optimizer)
