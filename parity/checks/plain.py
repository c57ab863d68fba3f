"""A training step in plain NumPy, in numbers of whatever precision.

It is written out by hand, as in a textbook, and shares no code with an engine. In numbers of more
precision than those of a run it tells what a step truly comes to, of networks of any size; tests
hold it against the exact witness. In the run's own numbers it tells how far the rounding of these
formulas leads from that.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from parity.engines.protocol import Array, Start, Task
from parity.engines.trainer import Step

Numbers = type[np.floating[Any]]
"""A kind of numbers, such as `np.float64`."""


def wider(dtype: str) -> Numbers | None:
    """Return numbers of at least 10 bits more than those of a dtype; None if there are none here.

    For float64 these are the 80-bit numbers of x86, where NumPy has them.
    """
    if dtype == "float32":
        return np.float64
    found = np.finfo(np.longdouble).eps <= np.finfo(np.float64).eps / 2**10
    return np.longdouble if found else None


def predict(start: Start, kind: DTypeLike) -> Array:
    """Return the network's output, (samples, outputs)."""
    return _inputs(start, kind)[-1]


def step(
    task: Task, start: Start, kind: DTypeLike, momentum_buffers: Mapping[str, Array] = {}
) -> Step:
    """Take one training step.

    Args:
        task: what is trained.
        start: data and parameters.
        kind: the numbers to compute in; learning rate and momentum are rounded to those of the
            task first, as torch does.
        momentum_buffers: by the parameters' names; none for the optimiser's first step.
    """
    *inputs, prediction = _inputs(start, kind)
    parameters = {name: array.astype(kind) for name, array in start.parameters.items()}
    lr, momentum = np.array([task.learning_rate, task.momentum], task.dtype).astype(kind)
    error = prediction - start.y.astype(kind)
    grad = error * (2 / np.array(error.size, kind))
    found: list[Array] = []  # the last layer's first
    for x, weight in zip(inputs[::-1], list(parameters.values())[-2::-2], strict=True):
        found += [grad.sum(axis=0), grad.T @ x]
        grad = np.where(x <= 0, 0, grad @ weight)  # x is what the ReLU before this layer gave
    gradients = dict(zip(parameters, found[::-1], strict=True))
    directions = gradients
    if momentum_buffers:
        buffers = {name: array.astype(kind) for name, array in momentum_buffers.items()}
        directions = {name: momentum * buffers[name] + g for name, g in gradients.items()}
    updated = {name: parameters[name] - lr * directions[name] for name in parameters}
    result = {
        "loss": {"loss": np.mean(error * error)},
        "gradients": gradients,
        "updated": updated,
    }
    return {**result, "buffers": directions} if task.momentum else result


def _inputs(start: Start, kind: DTypeLike) -> list[Array]:
    """Return the input of every layer, and the output."""
    values = [array.astype(kind) for array in start.parameters.values()]
    found = [start.x.astype(kind)]
    for weight, bias in zip(values[::2], values[1::2], strict=True):
        out = found[-1] @ weight.T + bias
        found.append(np.maximum(out, 0))
    return [*found[:-1], out]
