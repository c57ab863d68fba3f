"""The exact witness: what a training step truly comes to, computed without either engine.

Floating-point numbers are rational numbers. So everything that linear layers, ReLU, the mean
squared error and SGD make of them is rational, and `fractions.Fraction` has it without rounding.

Derivatives are found with dual numbers, v + d·ε with ε² = 0 (forward mode: Wengert 1964, *A simple
automatic derivative evaluation program*). One input is given d = 1; what comes out as d is the
derivative by it. The definitions below are all that is needed, and nobody's derivative rules are.

How far rounding may move an engine's value is told by the same definitions: run on the squares of
their inputs they give the sum of the squares of all terms, run on ones the number of terms.

Fractions are slow. Where a step is too large for them, 80-bit floating-point numbers take their
place: their error is below 1/1000 of that of float64, and 10⁻¹² of that of float32. What is too
large for these as well has no witness.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from parity.engines.protocol import BUFFER, Array, Start, Task, Traced

MOST_FRACTIONS, MOST_FLOATS = 20_000, 100_000_000
"""How many products are computed at most, in less than half a second."""

# ---- numbers ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Dual:
    """The numbers v + d·ε: two arrays of one shape."""

    v: Any
    d: Any

    def __add__(self, other: Dual) -> Dual:
        return type(self)(self.v + other.v, self.d + other.d)

    def __sub__(self, other: Dual) -> Dual:
        return type(self)(self.v - other.v, self.d - other.d)

    def __mul__(self, other: Dual) -> Dual:
        return type(self)(self.v * other.v, self.v * other.d + self.d * other.v)

    def __matmul__(self, other: Dual) -> Dual:
        return type(self)(self.v @ other.v, self.v @ other.d + self.d @ other.v)

    @property
    def T(self) -> Dual:
        """The transposed matrix."""
        return type(self)(self.v.T, self.d.T)

    def where(self, kept: Array) -> Dual:
        """Return the numbers where they are kept, else 0."""
        return type(self)(np.where(kept, self.v, 0 * self.v), np.where(kept, self.d, 0 * self.d))

    def mean(self) -> Dual:
        """Return the mean of all elements."""
        return type(self)(np.sum(self.v) / self.v.size, np.sum(self.d) / self.v.size)


class Squares(Dual):
    """The sums of the squares of the terms that a number is the sum of."""

    __sub__ = Dual.__add__

    def mean(self) -> Dual:
        """Return the squares of the terms of the mean."""
        return Squares(np.sum(self.v) / self.v.size**2, np.sum(self.d) / self.v.size**2)


class Counts(Dual):
    """The number of these terms."""

    __sub__ = Dual.__add__

    def mean(self) -> Dual:
        """Return how many terms the mean has."""
        return Counts(np.sum(self.v), np.sum(self.d))


# ---- the definitions --------------------------------------------------------------------------


def linear(x: Dual, weight: Dual, bias: Dual) -> Dual:
    """Return x·Wᵀ + b: (samples, in), (out, in), (out,) to (samples, out)."""
    return x @ weight.T + bias


def relu(x: Dual) -> Dual:
    """Return x where it is positive, else 0; the derivative at 0 is torch's, 0. NaN stays NaN."""
    return x.where(~(x.v <= 0))


def mse_loss(prediction: Dual, y: Dual) -> Dual:
    """Return the mean of (prediction - y)²: of two arrays of one shape to a scalar."""
    error = prediction - y
    return (error * error).mean()


def momentum_buffer(gradient: Dual, buffer: Dual | None, momentum: Dual) -> Dual:
    """Return SGD's buffer after a step: in its first step the gradient."""
    return gradient if buffer is None else momentum * buffer + gradient


def updated(parameter: Dual, direction: Dual, lr: Dual) -> Dual:
    """Return the parameter after a step of SGD along the buffer, or the gradient."""
    return parameter - lr * direction


# ---- a step -----------------------------------------------------------------------------------


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
            return self._true(lambda g: self._update(tensor, g), inputs[name].size, inputs)
        if phase == "backward" and tensor == "output":  # where the sweep starts
            return Truth(np.ones_like(inputs["grad_out"]), np.zeros(inputs["grad_out"].shape))
        by = tensor if phase == "backward" else None
        return self._true(lambda g: self._output(node, g), self._products(node), inputs, by)

    def step(self) -> dict[str, dict[str, Array]] | None:
        """Return the true `loss`, `gradients`, `updated` parameters and, with momentum, `buffers`.

        Arrays are by the parameters' names. None if the step is too large.
        """
        parameters, found = self._start.parameters, {}
        inputs = {**parameters, "input": self._start.x, "target": self._start.y}
        one = np.ones((), self._task.dtype)

        def loss(given: Mapping[str, Dual]) -> Dual:
            output = given["input"]
            for node in self._nodes:
                output = self._output(node, {**given, "input": output})
            return output

        products = sum(map(self._products, self._nodes))
        if products * sum(array.size for array in parameters.values()) > MOST_FLOATS:
            return None
        true = self._true(loss, products, inputs)
        if true is None:
            return None
        found = {"loss": {"loss": true.value}, "gradients": {}, "updated": {}, "buffers": {}}
        for name in parameters:
            if (true := self._true(loss, products, {**inputs, "grad_out": one}, name)) is None:
                return None
            found["gradients"][name] = true.value
            given = {**parameters, **self._options, "gradient": true.value}
            if name in self._buffers:
                given["buffer"] = self._buffers[name]
            for kind, tensor in (("updated", name), ("buffers", name + BUFFER)):
                after = self._true(lambda g, tensor=tensor: self._update(tensor, g), 1, given)  # type: ignore[misc]
                assert after is not None
                found[kind][name] = after.value
        return found

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
        function: Callable[[Mapping[str, Dual]], Dual],
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
        number = _number(products * (1 if by is None else inputs[by].size), inputs.values())
        if number is None:
            return None

        def run(kind: type[Dual], make: Callable[[Array], Array]) -> Any:
            made = {name: make(array) for name, array in inputs.items()}
            given = {name: kind(array, 0 * array) for name, array in made.items()}
            if by is None:
                return function(given).v
            found = np.empty_like(made[by])
            for index in np.ndindex(found.shape):
                d = np.zeros_like(made[by])
                d[index] += 1
                moved = {by: kind(made[by], d)}
                found[index] = np.sum(made["grad_out"] * function({**given, **moved}).d)
            return found

        with np.errstate(all="ignore"):
            value = self._rounded(run(Dual, number))
            squares = run(Squares, lambda array: np.square(array, dtype=np.float64))
            terms = run(Counts, lambda array: np.ones(array.shape))
            exact = value.astype(np.float64)
            # The parts are derived in `minigrad.arrays.budgeted.summation`: terms of random sign,
            # of one sign, and equal ones.
            variance = terms * (squares + exact**2 * (1 / 3 + self._copies / 64))
            deviation = np.finfo(value.dtype).eps / 2 * np.sqrt(variance)
        return Truth(value, np.asarray(deviation))

    def _rounded(self, values: Any) -> Array:
        values = np.asarray(values)
        if values.dtype == object:
            values = np.vectorize(_float, otypes=[np.float64])(values)
        rounded: Array = values.astype(self._task.dtype)
        return rounded


def _number(products: int, arrays: Any) -> Callable[[Array], Array] | None:
    """Return what turns an array into numbers exact enough, None if that takes too long."""
    if products <= MOST_FRACTIONS and all(np.isfinite(array).all() for array in arrays):
        return np.vectorize(Fraction, otypes=[object])
    exact = np.finfo(np.longdouble).eps < np.finfo(np.float64).eps
    if products <= MOST_FLOATS and (exact or next(iter(arrays)).dtype == np.float32):
        return lambda array: np.asarray(array, np.longdouble)
    return None


def _float(value: Fraction) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.copysign(math.inf, value)
