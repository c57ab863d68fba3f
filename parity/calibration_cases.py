"""Networks, data and parameters of many kinds, drawn at random, for the calibration."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import torch

from minigrad.architectures import ARCHITECTURES
from parity.engines import Array
from torch_impl.model import build

MOST_WORK = 3e7
"""Multiplications of a forward pass, at most: a case takes a fraction of a second."""


class Case(NamedTuple):
    """A step to compare: a network, data, what is known of the past, SGD's options.

    Attributes:
        family: the kind of network and data.
        sizes: the layer sizes.
        x, y: the data.
        parameters: by torch's names.
        buffers: of momentum; empty without.
        options: of SGD.
    """

    family: str
    sizes: tuple[int, ...]
    x: Array
    y: Array
    parameters: dict[str, Array]
    buffers: dict[str, Array]
    options: dict[str, Any]


Data = Callable[[np.random.Generator, int, int, int], tuple[Array, Array]]
"""Makes x (samples, inputs) and y (samples, outputs) from (generator, samples, inputs, outputs)."""


def _random(rng: np.random.Generator, n: int, i: int, o: int) -> tuple[Array, Array]:
    return rng.standard_normal((n, i)), rng.standard_normal((n, o))


def _parabola(rng: np.random.Generator, n: int, i: int, o: int) -> tuple[Array, Array]:
    x = np.repeat(np.linspace(-5, 5, n)[:, None], i, axis=1)
    return x, np.repeat(x[:, :1] ** 2, o, axis=1) + rng.standard_normal((n, o))


def _offset(rng: np.random.Generator, n: int, i: int, o: int) -> tuple[Array, Array]:
    x, y = _random(rng, n, i, o)
    return x + 100, y + 100


def _binary(rng: np.random.Generator, n: int, i: int, o: int) -> tuple[Array, Array]:
    return rng.integers(0, 2, (n, i)).astype(float), rng.integers(0, 2, (n, o)).astype(float)


def _equal(rng: np.random.Generator, n: int, i: int, o: int) -> tuple[Array, Array]:
    x, y = _random(rng, 1, i, o)
    return np.repeat(x, n, axis=0), np.repeat(y, n, axis=0)


def _repeated(rng: np.random.Generator, n: int, i: int, o: int) -> tuple[Array, Array]:
    x, y = _random(rng, min(n, 3), i, o)
    rows = rng.integers(0, len(x), n)
    return x[rows], y[rows]


def _scaled(rng: np.random.Generator, n: int, i: int, o: int) -> tuple[Array, Array]:
    x, y = _random(rng, n, i, o)
    return x * 10.0 ** rng.uniform(-6, 6), y * 10.0 ** rng.uniform(-6, 6)


def _mixed(rng: np.random.Generator, n: int, i: int, o: int) -> tuple[Array, Array]:
    x, y = _random(rng, n, i, o)
    return x * 10.0 ** rng.uniform(-4, 4, (n, 1)), y * 10.0 ** rng.uniform(-4, 4, (n, 1))


NETWORKS = "rightfit and overfit in training"

DATA: dict[str, Data] = {
    "random": _random,
    "parabola": _parabola,
    "offset by 100": _offset,
    "in {0, 1}": _binary,
    "all rows equal": _equal,
    "three different rows": _repeated,
    "of one scale": _scaled,
    "of many scales": _mixed,
    NETWORKS: _parabola,
}


def draw_case(seed: int, dtype: str) -> Case:
    """Draw a case: the family in turn, everything else at random."""
    rng = np.random.default_rng(seed)
    family = list(DATA)[seed % len(DATA)]
    depth = int(rng.integers(1, 9))
    while True:
        batch = int(10 ** rng.uniform(0, 5)) if rng.random() < 0.8 else 100_000
        if rng.random() < 0.1:
            batch = 1
        widths = (2 ** rng.uniform(0, 9, depth + 1)).astype(int)
        if rng.random() < 0.7:
            widths[0] = widths[-1] = 1
        sizes = tuple(map(int, widths))
        work = batch * sum(a * b for a, b in pairwise(sizes))
        if work <= MOST_WORK:
            break
    if family == NETWORKS:
        sizes, batch = ARCHITECTURES[str(rng.choice(["rightfit", "overfit"]))].sizes, 100
    x, y = (a.astype(dtype) for a in DATA[family](rng, batch, sizes[0], sizes[-1]))
    model = build(sizes, getattr(torch, dtype))
    for parameter, fan_in in zip(model.parameters(), np.repeat(sizes[:-1], 2), strict=True):
        bound = 1 / math.sqrt(fan_in)
        drawn = rng.uniform(-bound, bound, tuple(parameter.shape)).astype(dtype)
        parameter.data = torch.from_numpy(drawn)
    momentum = float(rng.choice([0.0, 0.0, 0.5, 0.9]))
    options: dict[str, Any] = {
        "lr": float(10 ** rng.uniform(-4, -1)),
        "momentum": momentum,
        "nesterov": bool(momentum and rng.random() < 0.3),
        "weight_decay": float(rng.choice([0.0, 0.0, 0.01])),
    }
    optimizer = torch.optim.SGD(model.parameters(), **options)
    epochs = int(rng.choice([0, 0, 1, 10, 50])) if work < 3e6 else int(rng.choice([0, 3]))
    if momentum:
        epochs += 1
    if family == NETWORKS:
        epochs, options["lr"] = int(rng.integers(1, 100)), 0.01
    before = {n: p.detach().clone() for n, p in model.named_parameters()}
    for _ in range(epochs):
        torch_step(model, optimizer, x, y)
        if not all(bool(torch.isfinite(p).all()) for p in model.parameters()):
            break
        before = {n: p.detach().clone() for n, p in model.named_parameters()}
    buffers = {}
    for name, parameter in model.named_parameters():
        buffer = optimizer.state[parameter].get("momentum_buffer")
        if buffer is not None:
            buffers[name] = buffer.numpy().copy()
    parameters = {name: value.numpy().copy() for name, value in before.items()}
    return Case(family, sizes, x, y, parameters, buffers, options)


def torch_step(
    model: torch.nn.Module, optimizer: torch.optim.SGD, x: Array, y: Array
) -> tuple[float, dict[str, Array]]:
    """Take a training step; return the loss before it and its gradients."""
    optimizer.zero_grad()
    loss = torch.nn.functional.mse_loss(model(torch.from_numpy(x)), torch.from_numpy(y))
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    gradients = {}
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None
        gradients[name] = parameter.grad.numpy().copy()
    return loss.item(), gradients
