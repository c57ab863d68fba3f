"""Engines that differ in what they keep between their steps, by the public protocol alone.

From a state that is put into them all of them take a right step. `WRONG` says of each wrong one at
which epoch its own run first goes wrong.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from parity import Engine, Start, Task

Array = np.ndarray[Any, Any]
Arrays = dict[str, Array]


class Plain(Engine):
    """Backpropagation by hand, with momentum: right."""

    kept: Any = None
    """The dtype in which it keeps and computes everything; None for the run's."""

    def build(self, task: Task, start: Start) -> None:
        self.dtype, self.momentum, self.rate = task.dtype, task.momentum, task.learning_rate
        self.x, self.y = (array.astype(self.kept or task.dtype) for array in (start.x, start.y))
        self.put(start.parameters)

    def put(
        self,
        parameters: Mapping[str, Array],
        momentum_buffers: Mapping[str, Array] = {},
    ) -> None:
        kept = self.kept or self.dtype
        self.values = {name: value.astype(kept) for name, value in parameters.items()}
        self.buffers = {name: value.astype(kept) for name, value in momentum_buffers.items()}
        self.taken = 0

    def parameters(self) -> Arrays:
        return {name: value.astype(self.dtype) for name, value in self.values.items()}

    def momentum_buffers(self) -> Arrays:
        return {name: value.astype(self.dtype) for name, value in self.buffers.items()}

    def predict(self) -> Array:
        found: Array = self.forward()[-1].astype(self.dtype)
        return found

    def loss_and_gradients(self) -> tuple[float, Arrays]:
        loss, gradients = self.backward()
        return loss, {name: value.astype(self.dtype) for name, value in gradients.items()}

    def step(self) -> object:
        loss, gradients = self.backward()
        for name, direction in self.directions(gradients).items():
            self.update(name, direction)
        self.taken += 1
        return loss

    def forward(self) -> list[Array]:
        """The input of every layer, and the output."""
        values, found = list(self.values.values()), [self.x]
        for weight, bias in zip(values[0::2], values[1::2], strict=True):
            found.append(np.maximum(found[-1] @ weight.T + bias, 0))
        found[-1] = found[-2] @ weight.T + bias
        return found

    def backward(self) -> tuple[float, Arrays]:
        *inputs, out = self.forward()
        error = out - self.y
        grad = 2 * error / error.size
        gradients: list[Array] = []
        for weight, x in zip(self.weights()[::-1], inputs[::-1], strict=True):
            gradients = [grad.T @ x, grad.sum(axis=0), *gradients]
            grad = np.where(x <= 0, 0, grad @ weight)
        return float(np.mean(error**2)), dict(zip(self.values, gradients, strict=True))

    def weights(self) -> list[Array]:
        """The weights that the backward pass reads, of every layer."""
        return list(self.values.values())[::2]

    def directions(self, gradients: Arrays) -> Arrays:
        """SGD's directions, the momentum buffers if there is momentum."""
        if not self.momentum:
            return gradients
        if self.buffers:
            self.buffers = {n: self.momentum * self.buffers[n] + g for n, g in gradients.items()}
        else:
            self.buffers = gradients
        return self.buffers

    def update(self, name: str, direction: Array) -> None:
        self.values[name] = self.values[name] - self.rate * direction


# ---- right --------------------------------------------------------------------------------------


class MoreBits(Plain):
    """Keeps and computes everything in extended precision, and shows it rounded."""

    kept = np.longdouble


class Float64Inside(Plain):
    """Keeps and computes everything in float64, and shows it in the dtype of the run."""

    kept = np.float64


class FusedUpdate(Plain):
    """Multiplies and adds with a single rounding, as a compiler may with FMA."""

    def update(self, name: str, direction: Array) -> None:
        exact = self.values[name] - np.longdouble(self.rate) * direction
        self.values[name] = exact.astype(self.dtype)


class RandomOrder(Plain):
    """Takes the samples in another order at every step, so that its sums round differently."""

    def step(self) -> object:
        order = np.random.default_rng(self.taken).permutation(len(self.x))
        self.x, self.y = self.x[order], self.y[order]
        return super().step()

    def predict(self) -> Array:
        order = np.argsort(self.x[:, 0])
        return super().predict()[order]


RIGHT = (Plain, MoreBits, Float64Inside, FusedUpdate, RandomOrder)


# ---- wrong --------------------------------------------------------------------------------------


class HalvesItsRate(Plain):
    """Its learning rate halves from the 31st step on."""

    def update(self, name: str, direction: Array) -> None:
        super().update(name, direction / 2 if self.taken >= 30 else direction)


class DecaysItsRate(Plain):
    """A scheduler that nobody asked for lowers the learning rate by 0.1 % a step."""

    def update(self, name: str, direction: Array) -> None:
        super().update(name, direction * np.float64(0.999**self.taken).astype(direction.dtype))


class ForgetsABias(Plain):
    """The step that it records and replays from the 13th on does not update a bias."""

    def update(self, name: str, direction: Array) -> None:
        if self.taken < 12 or name != "0.bias":
            super().update(name, direction)


class StaleInput(Plain):
    """The backward pass that it replays reads a weight as it was at the sixth step, recorded."""

    recorded: Array

    def weights(self) -> list[Array]:
        first, second, *rest = super().weights()
        if self.taken <= 5:
            self.recorded = second
        return [first, self.recorded, *rest]


class Averages(Plain):
    """Every tenth step it goes on from the mean of its weights so far."""

    def put(self, *given: Any) -> None:
        super().put(*given)
        self.sums = {name: value * 0 for name, value in self.values.items()}

    def step(self) -> object:
        loss = super().step()
        self.sums = {name: total + self.values[name] for name, total in self.sums.items()}
        if self.taken % 10 == 0:
            self.values = {name: total / self.taken for name, total in self.sums.items()}
        return loss


class AddsGradients(Plain):
    """Clears its gradients only before every fourth step, so that in between they add up."""

    added: Arrays

    def directions(self, gradients: Arrays) -> Arrays:
        if self.taken % 4:
            gradients = {name: self.added[name] + value for name, value in gradients.items()}
        self.added = gradients
        return super().directions(gradients)


class ReusesMemory(Plain):
    """At its twentieth step it takes the memory of one bias for another, in use as that is."""

    def step(self) -> object:
        loss = super().step()
        if self.taken == 20:
            self.values["0.bias"] = self.values["2.bias"]
        return loss


class LateLoss(Plain):
    """Computes ahead, and returns the loss of the step before."""

    def step(self) -> object:
        last, self.last = getattr(self, "last", None) if self.taken else None, super().step()
        return self.last if last is None else last


class DropsASample(Plain):
    """Every epoch but the first misses the last sample."""

    def build(self, task: Task, start: Start) -> None:
        super().build(task, start)
        self.all = self.x, self.y

    def backward(self) -> tuple[float, Arrays]:
        self.x, self.y = (array[:-1] if self.taken else array for array in self.all)
        return super().backward()

    def predict(self) -> Array:
        self.x, self.y = self.all
        return super().predict()


class KeepsMomentum(Plain):
    """Its optimiser keeps a tenth of the last direction, though there is no momentum."""

    before: Arrays

    def directions(self, gradients: Arrays) -> Arrays:
        found = super().directions(gradients)
        if self.taken:
            found = {n: d + d.dtype.type(0.1) * self.before[n] for n, d in found.items()}
        self.before = found
        return found


class SkipsAStep(Plain):
    """Its loss scaler tries a larger factor every 25th step, and skips that step's update."""

    def update(self, name: str, direction: Array) -> None:
        if self.taken % 25 != 24:
            super().update(name, direction)


class LowersItsPrecision(Plain):
    """It has warmed up after 15 steps, and rounds its gradients to float16 from then on."""

    def backward(self) -> tuple[float, Arrays]:
        loss, gradients = super().backward()
        if self.taken >= 15:
            gradients = {n: g.astype(np.float16).astype(g.dtype) for n, g in gradients.items()}
        return loss, gradients


class ShowsAnAverage(Plain):
    """From its eleventh step on it shows the mean of its last two states, not where it is."""

    def step(self) -> object:
        self.before = dict(self.values)
        return super().step()

    def parameters(self) -> Arrays:
        found = super().parameters()
        if self.taken > 10:
            found = {name: (value + self.before[name]) / 2 for name, value in found.items()}
        return found


class ReusesActivations(Plain):
    """From its ninth step on it takes the first layer's outputs for those of the step before."""

    def forward(self) -> list[Array]:
        x, first, *rest = super().forward()
        before, self.cached = getattr(self, "cached", first), first
        return [x, before if self.taken >= 8 else first, *rest]


WRONG: dict[type[Plain], int] = {
    SkipsAStep: 24,
    LowersItsPrecision: 15,
    ShowsAnAverage: 10,
    ReusesActivations: 8,
    HalvesItsRate: 30,
    DecaysItsRate: 1,
    ForgetsABias: 12,
    StaleInput: 6,
    Averages: 9,
    AddsGradients: 1,
    ReusesMemory: 19,
    LateLoss: 1,
    DropsASample: 1,
    KeepsMomentum: 1,
}
"""And the first wrong epoch of each."""


class LosesItsMomentum(Plain):
    """Its momentum begins anew at every tenth step; without momentum it is right."""

    def directions(self, gradients: Arrays) -> Arrays:
        if self.taken and self.taken % 10 == 0:
            self.buffers = {}
        return super().directions(gradients)
