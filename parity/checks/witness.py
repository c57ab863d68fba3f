"""The exact witness: what a training step truly comes to, computed without either engine.

It knows the order of the nodes. What they compute is defined in `parity.checks.exact`, and no
derivative rule is trusted. What is too large to be computed so has no witness.
"""

import functools
import math
from collections.abc import Mapping
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from parity.checks.exact import (
    Counts,
    Dual,
    Function,
    Squares,
    linear,
    momentum_buffer,
    mse_loss,
    number,
    ones,
    relu,
    rounded,
    run,
    squares,
    updated,
)
from parity.engines.protocol import BUFFER, Array, Start, Task, Traced


class Truth(NamedTuple):
    """What is true of a tensor.

    Attributes:
        value: rounded once to the run's dtype.
        deviation: the standard deviation of the rounding error of an engine, float64.
    """

    value: Array
    deviation: Array


class Witness:
    """What a step of a network truly comes to, as a whole and node by node.

    Args:
        task: what is trained.
        start, momentum_buffers: from where; no buffers before the optimiser's first step.
    """

    def __init__(self, task: Task, start: Start, momentum_buffers: Mapping[str, Array]) -> None:
        self._task, self._start, self._buffers = task, start, momentum_buffers
        self._nodes = [*map(str, range(2 * len(task.sizes) - 3)), "loss"]
        self._copies = len(start.x) / len(np.unique(start.x, axis=0))
        lr, momentum = task.learning_rate, task.momentum  # as torch rounds them
        self._options = {"lr": np.array(lr, task.dtype), "momentum": np.array(momentum, task.dtype)}

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
        place = self._nodes.index(node)
        parameters = self._start.parameters
        inputs = {name: parameters[name] for name in parameters if name.startswith(f"{node}.")}
        if phase == "optimizer":
            name = tensor.removesuffix(BUFFER)
            given = {"gradient": ("backward", node, name)}
            inputs = {name: parameters[name], **self._options}
            if name in self._buffers:
                inputs["buffer"] = self._buffers[name]
        else:
            inputs |= {"input": self._start.x, "target": self._start.y}
            given = {"input": ("forward", self._nodes[place - 1], "output")} if place else {}
        if phase == "backward":
            after = (node, "output") if node == "loss" else (self._nodes[place + 1], "input")
            given["grad_out"] = ("backward", *after)
        if any(key not in trace for key in given.values()):
            return None
        inputs |= {name: trace[key].value for name, key in given.items()}
        if phase == "optimizer":
            update = functools.partial(self._update, tensor)
            return self._true(update, inputs[name].size, inputs)
        if phase == "backward" and tensor == "output":  # where the sweep starts
            return Truth(np.ones_like(inputs["grad_out"]), np.zeros(inputs["grad_out"].shape))
        by = tensor if phase == "backward" else None
        output = functools.partial(self._output, node)
        return self._true(output, self._products(node), inputs, by)

    def step(self) -> dict[str, dict[str, Array]] | None:
        """Return the true `loss`, `gradients`, `updated` parameters and, with momentum, `buffers`.

        Arrays are by the parameters' names. None if the step is too large.
        """
        parameters = self._start.parameters
        inputs = {**parameters, "input": self._start.x, "target": self._start.y}
        one = np.ones((), self._task.dtype)

        def loss(given: Mapping[str, Dual]) -> Dual:
            output = given["input"]
            for node in self._nodes:
                output = self._output(node, {**given, "input": output})
            return output

        count = sum(array.size for array in parameters.values())
        exactly = number(count * sum(map(self._products, self._nodes)), inputs.values())
        if exactly is None:
            return None
        found: dict[str, dict[str, Any]] = {"loss": {"loss": run(Dual, exactly, loss, inputs)}}
        found |= {kind: {} for kind in ("gradients", "updated", "buffers")}
        for name in parameters:
            gradient = run(Dual, exactly, loss, {**inputs, "grad_out": one}, name)
            found["gradients"][name] = gradient
            given = {name: parameters[name], **self._options, "gradient": gradient}
            if name in self._buffers:
                given["buffer"] = self._buffers[name]
            for kind, tensor in (("updated", name), ("buffers", name + BUFFER)):
                update = functools.partial(self._update, tensor)
                found[kind][name] = run(Dual, exactly, update, given)
        return {
            kind: {name: rounded(value, self._task.dtype) for name, value in arrays.items()}
            for kind, arrays in found.items()
        }

    def _output(self, node: str, given: Mapping[str, Dual]) -> Dual:
        if node == "loss":
            return mse_loss(given["input"], given["target"])
        if int(node) % 2:
            return relu(given["input"])
        return linear(given["input"], given[f"{node}.weight"], given[f"{node}.bias"])

    def _update(self, tensor: str, given: Mapping[str, Dual]) -> Dual:
        direction = given["gradient"]
        if self._task.momentum:
            direction = momentum_buffer(direction, given.get("buffer"), given["momentum"])
        if tensor.endswith(BUFFER):
            return direction
        return updated(given[tensor], direction, given["lr"])

    def _products(self, node: str) -> int:
        """Return about how many products the node's output takes."""
        sizes = self._task.sizes
        if node == "loss" or int(node) % 2:
            return len(self._start.x) * max(sizes)
        return len(self._start.x) * list(map(math.prod, pairwise(sizes)))[int(node) // 2]

    def _true(
        self,
        function: Function,
        products: int,
        inputs: Mapping[str, Array],
        by: str | None = None,
    ) -> Truth | None:
        """Return what a function truly comes to, or its derivative by each element of an input.

        Args:
            function: of all inputs, by name.
            products: about how many its output takes.
            inputs: of the run's dtype; `grad_out`, of the output's shape, is the weight of each
                element of the output where a derivative is wanted.
            by: the input that the derivative is by; None for the value itself.
        """
        exactly = number(products * (1 if by is None else inputs[by].size), inputs.values())
        if exactly is None:
            return None
        value = rounded(run(Dual, exactly, function, inputs, by), self._task.dtype)
        of_squares = run(Squares, squares, function, inputs, by)
        terms = run(Counts, ones, function, inputs, by)
        with np.errstate(all="ignore"):
            exact = value.astype(np.float64)
            # The parts are derived in `minigrad.arrays.budgeted.summation`: terms of random sign,
            # of one sign, and equal ones.
            variance = terms * (of_squares + exact**2 * (1 / 3 + self._copies / 64))
            deviation = np.finfo(value.dtype).eps / 2 * np.sqrt(variance)
        return Truth(value, np.asarray(deviation))
