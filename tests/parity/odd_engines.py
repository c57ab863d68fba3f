"""Engines at the edges of the protocol, by the public protocol alone.

Each has one thing wrong with it, or is right but awkward: its docstring says what. All derive from
`Plain`, which is right in every way. `WRONG` and `AWKWARD` list them.
"""

import ctypes
import os
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from parity import Engine
from parity.engines.protocol import Array, Start, Task


class Plain(Engine):
    """Backpropagation by hand, with momentum, in arrays of its own."""

    def __init__(self) -> None:
        np.seterr(all="ignore")

    def build(self, task: Task, start: Start) -> None:
        self.task, self.x, self.y = task, start.x, start.y
        self.values = dict(start.parameters)
        self.buffers: dict[str, Array] = {}

    def put(
        self, parameters: Mapping[str, Array], momentum_buffers: Mapping[str, Array] = {}
    ) -> None:
        self.values, self.buffers = dict(parameters), dict(momentum_buffers)

    def layers(self) -> Sequence[tuple[str, str]]:
        return [(f"{2 * i}.weight", f"{2 * i}.bias") for i in range(len(self.task.sizes) - 1)]

    def relu(self, x: Array) -> Array:
        return np.maximum(x, 0)

    def slope(self, x: Array) -> Array:
        return x > 0

    def forward(self) -> Array:
        self.inputs = [self.x]
        for weight, bias in self.layers():
            out = self.inputs[-1] @ self.values[weight].T + self.values[bias]
            self.inputs.append(self.relu(out))
        return out

    def predict(self) -> Array:
        return self.forward()

    def loss_and_gradients(self) -> tuple[float, dict[str, Array]]:
        error = self.forward() - self.y
        grad, gradients = error * error.dtype.type(2 / error.size), {}
        for i, (weight, bias) in reversed(list(enumerate(self.layers()))):
            gradients[weight], gradients[bias] = grad.T @ self.inputs[i], grad.sum(axis=0)
            if i:
                grad = (grad @ self.values[weight]) * self.slope(self.inputs[i])
        return float(np.mean(error**2)), {name: gradients[name] for name in self.values}

    def step(self) -> object:
        loss, gradients = self.loss_and_gradients()
        self.update(gradients)
        return loss

    def update(self, gradients: dict[str, Array]) -> None:
        task = self.task
        if task.momentum:
            if self.buffers:
                momentum = np.dtype(task.dtype).type(task.momentum)
                gradients = {n: momentum * self.buffers[n] + g for n, g in gradients.items()}
            self.buffers = gradients
        rate = np.dtype(task.dtype).type(task.learning_rate)
        self.values = {n: value - rate * gradients[n] for n, value in self.values.items()}

    def parameters(self) -> dict[str, Array]:
        return dict(self.values)

    def momentum_buffers(self) -> dict[str, Array]:
        return dict(self.buffers)


# ---- ends -------------------------------------------------------------------------------------


class ExitsWhenMade(Plain):
    """Wrong: raises SystemExit(0) when it is made."""

    def __init__(self) -> None:
        raise SystemExit(0)


class SaysAndExitsWhenMade(Plain):
    """Wrong: raises SystemExit with a text when it is made."""

    def __init__(self) -> None:
        sys.exit("no licence")


class Late(Plain):
    """Does what `ends` says in its third step."""

    def build(self, task: Task, start: Start) -> None:
        super().build(task, start)
        self.steps = 0

    def put(
        self, parameters: Mapping[str, Array], momentum_buffers: Mapping[str, Array] = {}
    ) -> None:
        super().put(parameters, momentum_buffers)
        self.steps = 0

    def step(self) -> object:
        self.steps += 1
        if self.steps == 3:
            self.ends()
        return super().step()

    def ends(self) -> None:
        raise NotImplementedError


class Exits(Late):
    """Wrong: raises SystemExit(0) in a step."""

    def ends(self) -> None:
        sys.exit(0)


class SaysAndExits(Late):
    """Wrong: raises SystemExit with a text in a step."""

    def ends(self) -> None:
        sys.exit("no more memory")


class Interrupts(Late):
    """Wrong: raises KeyboardInterrupt in a step."""

    def ends(self) -> None:
        raise KeyboardInterrupt


class OwnEnd(BaseException):
    """An exception that is none of Python's."""


class RaisesItsOwn(Late):
    """Wrong: raises an exception of its own in a step, which is no `Exception`."""

    def ends(self) -> None:
        raise OwnEnd("enough")


class Vanishes(Late):
    """Wrong: ends its process in a step, with status 0."""

    def ends(self) -> None:
        os._exit(0)


class Crashes(Late):
    """Wrong: reads memory that is not there, in a step."""

    def ends(self) -> None:
        ctypes.string_at(0)


class Hangs(Late):
    """Wrong: a step does not come to an end."""

    def ends(self) -> None:
        time.sleep(1000)


class ExitsInGradients(Plain):
    """Wrong: raises SystemExit(0) when it is asked for gradients."""

    def loss_and_gradients(self) -> tuple[float, dict[str, Array]]:
        raise SystemExit


# ---- wrong arithmetic -------------------------------------------------------------------------


class HalvedBias(Plain):
    """Wrong: gradients by biases are half of what they should be."""

    def loss_and_gradients(self) -> tuple[float, dict[str, Array]]:
        loss, gradients = super().loss_and_gradients()
        return loss, {n: g / 2 if n.endswith("bias") else g for n, g in gradients.items()}


ENDING: tuple[type[Plain], ...] = (
    Exits, SaysAndExits, Interrupts, RaisesItsOwn, Vanishes, Crashes,
)  # fmt: skip
ENDING_WHEN_MADE: tuple[type[Plain], ...] = (ExitsWhenMade, SaysAndExitsWhenMade)

WRONG: tuple[type[Any], ...] = (*ENDING, *ENDING_WHEN_MADE, Hangs, ExitsInGradients, HalvedBias)
AWKWARD: tuple[type[Any], ...] = (Plain,)
