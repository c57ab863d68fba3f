"""Engines at the edges of the protocol, by the public protocol alone.

Each has one thing wrong with it, or is right but awkward: its docstring says what. All derive from
`Plain`, which is right in every way. `WRONG` and `AWKWARD` list them.
"""

import ctypes
import os
import sys
import time
import types
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

import minigrad
from parity import Engine
from parity.engines.adapters.minigrad import MinigradEngine
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

    def through(self, grad: Array, out: Array) -> Array:
        return np.where(out <= 0, np.zeros((), grad.dtype), grad)

    def forward(self) -> Array:
        self.inputs: list[Array] = [self.x]
        self.outputs: list[Array] = []
        for weight, bias in self.layers():
            out = self.inputs[-1] @ self.values[weight].T + self.values[bias]
            self.outputs.append(out)
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
                grad = self.through(grad @ self.values[weight], self.outputs[i - 1])
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


class Shouts(Late):
    """Wrong: raises an exception whose text is of megabytes, with escapes and lone surrogates."""

    def ends(self) -> None:
        raise ValueError("\x1b]0;title\x07\x1b[2J\ud800" + "x" * 5_000_000)


class Mute(Late):
    """Wrong: raises an exception that has no text, since to ask for that raises another."""

    class Error(Exception):
        """Has no text."""

        def __str__(self) -> str:
            raise SystemExit(0)

    def ends(self) -> None:
        raise self.Error


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


class OneAtZero(Plain):
    """Wrong: the derivative of ReLU is 1 where its input is 0."""

    def through(self, grad: Array, out: Array) -> Array:
        return np.where(out < 0, np.zeros((), grad.dtype), grad)


class HalfAtZero(Plain):
    """Wrong: the derivative of ReLU is one half where its input is 0."""

    def through(self, grad: Array, out: Array) -> Array:
        return np.where(out == 0, grad / grad.dtype.type(2), super().through(grad, out))


class Halved(Plain):
    """Wrong: its prediction is half of the network's output, and 3 more."""

    def predict(self) -> Array:
        half: Array = super().predict() / self.y.dtype.type(2)
        half += self.y.dtype.type(3)
        return half


class PredictsTheFirst(Plain):
    """Wrong: it predicts with the parameters that it began with, in its own run."""

    def build(self, task: Task, start: Start) -> None:
        super().build(task, start)
        self.first = dict(self.values)

    def put(
        self, parameters: Mapping[str, Array], momentum_buffers: Mapping[str, Array] = {}
    ) -> None:
        super().put(parameters, momentum_buffers)
        self.first = dict(parameters)

    def predict(self) -> Array:
        now, self.values = self.values, self.first
        out = super().predict()
        self.values = now
        return out


class Swallows(Plain):
    """Wrong: makes numbers of the NaNs and infinities of a run that has diverged."""

    def loss_and_gradients(self) -> tuple[float, dict[str, Array]]:
        loss, gradients = super().loss_and_gradients()
        return float(np.nan_to_num(loss)), {n: np.nan_to_num(g) for n, g in gradients.items()}


class SwallowsParameters(Plain):
    """Wrong: makes zeros of parameters that are NaN, after the step."""

    def update(self, gradients: dict[str, Array]) -> None:
        super().update(gradients)
        self.values = {n: np.where(np.isnan(v), 0, v) for n, v in self.values.items()}


class OneNaN(Plain):
    """Wrong: an element of a gradient is NaN, where all is finite."""

    def loss_and_gradients(self) -> tuple[float, dict[str, Array]]:
        loss, gradients = super().loss_and_gradients()
        gradients["2.weight"].flat[0] = np.nan
        return loss, gradients


class OneNaNToo(OneNaN):
    """Wrong in the same way as `OneNaN`, and by another class."""

    wrong_alike = True


class Noisy(Plain):
    """Wrong: one gradient in four is moved by a part in a thousand, at random."""

    def loss_and_gradients(self) -> tuple[float, dict[str, Array]]:
        loss, gradients = super().loss_and_gradients()
        if np.random.rand() < 0.25:  # noqa: NPY002
            gradients = {n: g * g.dtype.type(1.001) for n, g in gradients.items()}
        return loss, gradients


class Forgets(Plain):
    """Wrong: the first gradients that its process computes are wrong, and no others."""

    computed = 0

    def loss_and_gradients(self) -> tuple[float, dict[str, Array]]:
        loss, gradients = super().loss_and_gradients()
        Forgets.computed += 1
        if Forgets.computed == 1:
            gradients["2.weight"] = gradients["2.weight"] + np.ones((), self.y.dtype)
        return loss, gradients


class ForgetsProbes(MinigradEngine):
    """Wrong: in the first probe that its process runs a tensor has other values."""

    made = 0

    @property
    def namespace(self) -> Any:  # type: ignore[override]
        library = types.ModuleType("library")
        vars(library).update(vars(minigrad))

        def tensor(values: Any, *args: Any, **options: Any) -> Any:
            ForgetsProbes.made += 1
            return minigrad.tensor(values * 2 if self.made == 1 else values, *args, **options)

        vars(library)["tensor"] = tensor
        return library


# ---- memory and order -------------------------------------------------------------------------


class OwnGradients(Plain):
    """Awkward: returns its own buffers as gradients, which a step clears."""

    def build(self, task: Task, start: Start) -> None:
        super().build(task, start)
        self.grads = {name: np.zeros_like(value) for name, value in self.values.items()}

    def loss_and_gradients(self) -> tuple[float, dict[str, Array]]:
        loss, gradients = super().loss_and_gradients()
        for name, gradient in self.grads.items():
            gradient[...] = gradients[name]
        return loss, self.grads

    def update(self, gradients: dict[str, Array]) -> None:
        super().update({name: gradient.copy() for name, gradient in gradients.items()})
        for gradient in gradients.values():
            gradient.fill(0)


class ScaledGradients(OwnGradients):
    """Awkward: its gradients are its own buffers, which a step scales by the learning rate."""

    def update(self, gradients: dict[str, Array]) -> None:
        Plain.update(self, {name: gradient.copy() for name, gradient in gradients.items()})
        for gradient in gradients.values():
            gradient *= np.dtype(self.task.dtype).type(self.task.learning_rate)


class InPlace(Plain):
    """Awkward: keeps the arrays it is given, changes them in place, and returns them."""

    def update(self, gradients: dict[str, Array]) -> None:
        task, number = self.task, np.dtype(self.task.dtype).type
        for name, value in self.values.items():
            direction = gradients[name]
            if task.momentum:
                if name in self.buffers:
                    self.buffers[name] *= number(task.momentum)
                    self.buffers[name] += gradients[name]
                else:
                    self.buffers[name] = gradients[name].copy()
                direction = self.buffers[name]
            value -= number(task.learning_rate) * direction

    def parameters(self) -> dict[str, Array]:
        return self.values

    def momentum_buffers(self) -> dict[str, Array]:
        return self.buffers


class Spoiling(InPlace):
    """Awkward: fills data, parameters and buffers with NaN where it is given new ones."""

    def build(self, task: Task, start: Start) -> None:
        if hasattr(self, "x"):
            for array in (self.x, self.y, *self.values.values(), *self.buffers.values()):
                array.fill(np.nan)
        super().build(task, start)

    def put(
        self, parameters: Mapping[str, Array], momentum_buffers: Mapping[str, Array] = {}
    ) -> None:
        for array in (*self.values.values(), *self.buffers.values()):
            array.fill(np.nan)
        super().put(parameters, momentum_buffers)


class Remembering(Plain):
    """Awkward: reads everything that it was ever given in every step, long afterwards."""

    def build(self, task: Task, start: Start) -> None:
        super().build(task, start)
        self.given: list[Array] = [start.x, start.y, *start.parameters.values()]

    def put(
        self, parameters: Mapping[str, Array], momentum_buffers: Mapping[str, Array] = {}
    ) -> None:
        super().put(parameters, momentum_buffers)
        self.given += [*parameters.values(), *momentum_buffers.values()]

    def step(self) -> object:
        self.total = sum(array.sum() for array in self.given)
        return super().step()

    def loss_and_gradients(self) -> tuple[float, dict[str, Array]]:
        self.total = sum(array.sum() for array in self.given)
        return super().loss_and_gradients()


class Sorted(Plain):
    """Awkward: its tensors come sorted by name, biases before weights, as those of JAX."""

    def sort(self, arrays: dict[str, Array]) -> dict[str, Array]:
        return dict(sorted(arrays.items()))

    def loss_and_gradients(self) -> tuple[float, dict[str, Array]]:
        loss, gradients = super().loss_and_gradients()
        return loss, self.sort(gradients)

    def parameters(self) -> dict[str, Array]:
        return self.sort(super().parameters())

    def momentum_buffers(self) -> dict[str, Array]:
        return self.sort(super().momentum_buffers())

    def draw(self, task: Task) -> Start:
        start = MinigradEngine().draw(task)
        return Start(start.x, start.y, self.sort(start.parameters))


class Matrices(Plain):
    """Awkward: returns arrays of a class of its own, Fortran-ordered and read-only."""

    class Own(np.ndarray):
        """An array, and nothing else."""

    def own(self, arrays: dict[str, Array]) -> dict[str, Array]:
        found: dict[str, Array] = {
            n: np.asfortranarray(array).view(self.Own) for n, array in arrays.items()
        }
        for array in found.values():
            array.flags.writeable = False
        return found

    def loss_and_gradients(self) -> tuple[float, dict[str, Array]]:
        loss, gradients = super().loss_and_gradients()
        return loss, self.own(gradients)

    def parameters(self) -> dict[str, Array]:
        return self.own(super().parameters())


# ---- returned wrongly -------------------------------------------------------------------------


class NoGradient(Plain):
    """Wrong: there is no gradient by one of the parameters."""

    def loss_and_gradients(self) -> tuple[float, dict[str, Array]]:
        loss, gradients = super().loss_and_gradients()
        del gradients["2.weight"]
        return loss, gradients


class OneTooMany(Plain):
    """Wrong: there is a parameter that the network does not have."""

    def parameters(self) -> dict[str, Array]:
        return {**super().parameters(), "learning_rate": np.zeros(1)}


class Transposed(Plain):
    """Wrong: a gradient is transposed."""

    def loss_and_gradients(self) -> tuple[float, dict[str, Array]]:
        loss, gradients = super().loss_and_gradients()
        return loss, {**gradients, "2.weight": gradients["2.weight"].T}


class Wide(Plain):
    """Wrong: parameters are returned in float64 in a run in float32."""

    def parameters(self) -> dict[str, Array]:
        return {name: value.astype(np.float64) for name, value in super().parameters().items()}


class Listed(Plain):
    """Wrong: the prediction is a list."""

    def predict(self) -> Any:
        return super().predict().tolist()


class Silent(Plain):
    """Wrong: a step returns no loss."""

    def step(self) -> object:
        super().step()
        return None


class OnlyGradients(Plain):
    """Wrong: there are gradients, and no loss."""

    def loss_and_gradients(self) -> Any:
        return super().loss_and_gradients()[1]


class NoBuffers(Plain):
    """Wrong: with momentum it shows no buffers, though a step was taken."""

    def momentum_buffers(self) -> dict[str, Array]:
        return {}


class Nothing(Plain):
    """Wrong if held against `Plain`: it is the same engine."""


Alias = Plain

ENDING: tuple[type[Plain], ...] = (
    Exits, SaysAndExits, Interrupts, RaisesItsOwn, Vanishes, Crashes,
)  # fmt: skip
ENDING_WHEN_MADE: tuple[type[Plain], ...] = (ExitsWhenMade, SaysAndExitsWhenMade)
RETURNING_WRONGLY: tuple[type[Plain], ...] = (
    NoGradient, OneTooMany, Transposed, Wide, Listed, Silent, OnlyGradients, NoBuffers,
)  # fmt: skip

WRONG: tuple[type[Plain], ...] = (
    *ENDING, *ENDING_WHEN_MADE, *RETURNING_WRONGLY, Hangs, Shouts, Mute, ExitsInGradients,
    HalvedBias, OneAtZero, HalfAtZero, Halved,
    PredictsTheFirst, Noisy, Forgets, Swallows, SwallowsParameters, OneNaN,
)  # fmt: skip
AWKWARD: tuple[type[Plain], ...] = (
    Plain, OwnGradients, ScaledGradients, InPlace, Spoiling, Remembering, Sorted, Matrices,
)  # fmt: skip
