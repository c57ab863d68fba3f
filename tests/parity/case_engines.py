"""Engines with one defect each, as a bug in minigrad or in an adapter would be."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from minigrad.arrays.reproducible import sums
from minigrad.ops import activation, linalg
from parity.engines.adapters.minigrad import MinigradEngine, MinigradReproducibleEngine
from parity.engines.protocol import Array, Start, Task, Traced


def plant(function: Callable[..., Any], defective: Callable[..., Any]) -> None:
    """Let a function of minigrad do what another does, for the rest of the process."""
    function.__code__ = defective.__code__


class HalvedBias(MinigradEngine):
    """The gradient by the bias is half of what it should be."""

    def __init__(self) -> None:
        super().__init__()
        plant(
            linalg.linear_backward_bias,
            lambda grad_out: np.multiply(np.add.reduce(grad_out, axis=0), grad_out.dtype.type(0.5)),
        )


class SlightlyWrongWeight(MinigradEngine):
    """The gradient by the weight is 1e-5 too large."""

    def __init__(self) -> None:
        super().__init__()
        plant(
            linalg.linear_backward_weight,
            lambda grad_out, x: np.multiply(
                np.matmul(grad_out.mT, x), grad_out.dtype.type(1 + 1e-5)
            ),
        )


class LeakyReLU(MinigradEngine):
    """The gradient passes through ReLUs that are off."""

    def __init__(self) -> None:
        super().__init__()
        plant(activation.relu_backward_x, lambda grad_out, out: grad_out)


class SwallowedNaN(MinigradEngine):
    """ReLU makes 0 of NaN."""

    def __init__(self) -> None:
        super().__init__()
        plant(activation.relu, lambda x: np.nan_to_num(np.maximum(0, x), posinf=np.inf))


class MomentumFromOne(MinigradEngine):
    """Momentum buffers begin as 1 instead of nothing."""

    def step(self) -> object:
        if self._momentum and not self._optimizer.state:
            state = self.parameters()
            self.put(state, {name: np.ones_like(value) for name, value in state.items()})
        return super().step()

    def load(self, task: Task, start: Start) -> None:
        super().load(task, start)
        self._momentum = task.momentum


class TooMuchMomentum(MinigradEngine):
    """Momentum, once there is any, is half as large again as it should be."""

    def load(self, task: Task, start: Start) -> None:
        super().load(task, start)
        self._momentum = task.momentum

    def step(self) -> object:
        for group in self._optimizer.param_groups:
            group["momentum"] = self._momentum * (1.5 if self._optimizer.state else 1)
        return super().step()


class WrongThirdStep(MinigradEngine):
    """The third step on its data, and every one after it, has half the learning rate."""

    def load(self, task: Task, start: Start) -> None:
        super().load(task, start)
        self._steps = 0

    def put_data(self, x: Array, y: Array, *more: Array) -> None:
        super().put_data(x, y)
        self._steps = 0

    def step(self) -> object:
        self._steps += 1
        if self._steps == 3:
            for group in self._optimizer.param_groups:
                group["lr"] /= 2
        return super().step()


class WrongOutside(MinigradEngine):
    """The last bias is moved by the wrong amount as soon as it is no longer what was drawn."""

    FAR = 0.5

    def step(self) -> object:
        bias = self.parameters()[f"{2 * (len(self._model) // 2)}.bias"]
        for group in self._optimizer.param_groups:
            group["lr"] = 0.02 if abs(bias).max() > self.FAR else 0.01
        return super().step()


class AnotherRate(MinigradEngine):
    """The learning rate is a tenth too large."""

    def load(self, task: Task, start: Start) -> None:
        super().load(replace(task, learning_rate=1.1 * task.learning_rate), start)


class AnotherDraw(MinigradEngine):
    """One bit of the last bias is another one, if there are hidden layers, and 3 samples."""

    def draw(self, task: Task) -> Start:
        start = super().draw(task)
        bias = start.parameters[f"{2 * (len(task.sizes) - 2)}.bias"]
        if len(task.sizes) > 2 and task.samples >= 3:
            bias[0] = np.nextafter(bias[0], bias.dtype.type(np.inf))
        return start


class PlainProducts(MinigradReproducibleEngine):
    """Products are NumPy's, which depend on the order of summation."""

    def __init__(self) -> None:
        super().__init__()
        sums.matmul = lambda x, y: np.matmul(x.x, y.x)


class LateBit(MinigradReproducibleEngine):
    """In the fourth step since it was loaded, a bit of the first weight is another one."""

    def load(self, task: Task, start: Start) -> None:
        super().load(task, start)
        self._steps = 0

    def step(self) -> object:
        self._steps += 1
        loss = super().step()
        if self._steps == 4:
            state = self.parameters()
            weight = state["0.weight"]
            weight[0, 0] = np.nextafter(weight[0, 0], weight.dtype.type(np.inf))
            self.put(state, self.momentum_buffers())
        return loss


class Refusing(HalvedBias):
    """Cannot train on fewer than 4 samples, nor show what a step computes, either."""

    def load(self, task: Task, start: Start) -> None:
        super().load(task, start)
        self._samples = task.samples

    def step(self) -> object:
        if self._samples < 4:
            raise ArithmeticError("too few samples")
        return super().step()

    def trace(self) -> list[Traced]:
        raise ArithmeticError("cannot be shown")


class Unrepeatable(MinigradEngine):
    """Wrong in the first run that its process does, and never again."""

    runs = 0

    def load(self, task: Task, start: Start) -> None:
        self.runs += 1
        super().load(
            replace(task, learning_rate=task.learning_rate * (2 if self.runs == 1 else 1)), start
        )


class Raising(MinigradEngine):
    """Raises at its third step."""

    def load(self, task: Task, start: Start) -> None:
        super().load(task, start)
        self._left = 2

    def step(self) -> object:
        self._left -= 1
        if self._left < 0:
            raise ZeroDivisionError("planted")
        return super().step()
