"""Networks, data and parameters of many kinds, drawn at random, for the calibration."""

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import torch

from minigrad.architectures import ARCHITECTURES
from parity.engines.protocol import Array
from parity.problems.task import Task
from torch_impl.model import build

MOST_WORK = 3e7
"""The most multiplications of a forward pass, so that a case takes a fraction of a second."""


class Case(NamedTuple):
    """A step to compare: a network, its data, its parameters and SGD's options.

    Attributes:
        family: the kind of network and data.
        sizes: the layer sizes.
        x, y: the data.
        parameters: by torch's names.
        buffers: of momentum; empty without.
        options: of SGD.
        epochs: how many steps of training have been taken.
    """

    family: str
    sizes: tuple[int, ...]
    x: Array
    y: Array
    parameters: dict[str, Array]
    buffers: dict[str, Array]
    options: dict[str, Any]
    epochs: int = 0

    @property
    def task(self) -> Task:
        """What trains such a network for an epoch."""
        options = {"learning_rate" if name == "lr" else name: v for name, v in self.options.items()}
        return Task(
            self.sizes, 1, samples=len(self.x), seed=0, dtype=self.x.dtype.name, device="cpu",
            **options,
        )  # fmt: skip


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


NETWORKS = "the three networks in training"
BIASED = "biases far above the weights"

DATA: dict[str, Data] = {
    "random": _random,
    "parabola": _parabola,
    "offset by 100": _offset,
    "in {0, 1}": _binary,
    "all rows equal": _equal,
    "three different rows": _repeated,
    "of one scale": _scaled,
    "of many scales": _mixed,
    BIASED: _random,
    NETWORKS: _parabola,
}
"""The families of data; each is drawn equally often."""

DTYPES = ("float32", "float64")


def draw_case(seed: int) -> Case:
    """Draw a case: family and dtype in turn, everything else at random."""
    rng = np.random.default_rng(seed)
    family, dtype = list(DATA)[seed % len(DATA)], DTYPES[seed // len(DATA) % len(DTYPES)]
    momentum = float(rng.choice([0.0, 0.0, 0.5, 0.9]))
    options: dict[str, Any] = {
        "lr": float(10 ** rng.uniform(-4, -1)),
        "momentum": momentum,
        "nesterov": bool(momentum and rng.random() < 0.3),
        "weight_decay": float(rng.choice([0.0, 0.0, 0.01])),
    }
    if family == NETWORKS:
        architecture = list(ARCHITECTURES.values())[rng.integers(len(ARCHITECTURES))]
        sizes, batch, options["lr"] = architecture.sizes, 100, architecture.learning_rate
        epochs = int((1 + architecture.epochs) ** rng.random()) - 1  # 0 to all, on a log scale
    else:
        sizes, batch, work = draw_shape(rng)
        epochs = int(rng.choice([0, 0, 1, 10, 50] if work < 3e6 else [0, 3]))
    x, y = (a.astype(dtype) for a in DATA[family](rng, batch, sizes[0], sizes[-1]))
    parameters = {}
    for i, (inputs, outputs) in enumerate(pairwise(sizes)):
        bound = 1 / math.sqrt(inputs)  # as nn.Linear
        weight, bias = (rng.uniform(-bound, bound, n) for n in ((outputs, inputs), outputs))
        if family == BIASED:
            weight *= 10 ** rng.uniform(-4, 0)
        parameters[f"{2 * i}.weight"] = weight.astype(dtype)
        parameters[f"{2 * i}.bias"] = bias.astype(dtype)
    start = Case(family, sizes, x, y, parameters, {}, options)
    # A buffer is there after the first step.
    return trained(start, epochs + 1 if momentum else epochs)


def draw_shape(rng: np.random.Generator) -> tuple[tuple[int, ...], int, int]:
    """Draw layer sizes, batch and the work they make: depth 1-8, widths 1-512, batch 1-100,000."""
    depth = int(rng.integers(1, 9))
    while True:
        batch = round(10 ** rng.uniform(0, 5)) if rng.random() < 0.8 else 100_000
        if rng.random() < 0.1:
            batch = 1
        widths = np.round(2 ** rng.uniform(0, 9, depth + 1)).astype(int)
        if rng.random() < 0.7:
            widths[0] = widths[-1] = 1
        sizes = tuple(map(int, widths))
        work = batch * sum(a * b for a, b in pairwise(sizes))
        if work <= MOST_WORK:
            return sizes, batch, work


def trained(case: Case, epochs: int) -> Case:
    """Let torch train for some steps, or as long as all parameters and buffers are finite."""
    model, optimizer = torch_model(case)
    x, y = (torch.from_numpy(a) for a in (case.x, case.y))
    for epoch in range(epochs):
        torch_step(model, optimizer, x, y)
        parameters, buffers = state(model, optimizer)
        if not all(np.isfinite(a).all() for a in (*parameters.values(), *buffers.values())):
            break
        case = case._replace(parameters=parameters, buffers=buffers, epochs=epoch + 1)
    return case


def torch_model(
    case: Case, device: str = "cpu"
) -> tuple[torch.nn.Sequential, torch.optim.Optimizer]:
    """Return torch's network and optimiser with the parameters and buffers of a case."""
    model = build(case.sizes, getattr(torch, case.x.dtype.name))
    model.load_state_dict({n: torch.from_numpy(a) for n, a in case.parameters.items()})
    model.to(device)
    optimizer = torch.optim.SGD(model.parameters(), **case.options)
    for name, parameter in model.named_parameters():
        if name in case.buffers:
            buffer = torch.from_numpy(case.buffers[name].copy()).to(device)
            optimizer.state[parameter]["momentum_buffer"] = buffer
    return model, optimizer


def torch_step(
    model: torch.nn.Module, optimizer: torch.optim.Optimizer, x: torch.Tensor, y: torch.Tensor
) -> float:
    """Take a training step; return the loss before it."""
    optimizer.zero_grad()
    loss = torch.nn.functional.mse_loss(model(x), y)
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    return loss.item()


def state(
    model: torch.nn.Module, optimizer: torch.optim.Optimizer
) -> tuple[dict[str, Array], dict[str, Array]]:
    """Return copies of the parameters and, where there are some, of the momentum buffers."""
    parameters, buffers = {}, {}
    for name, parameter in model.named_parameters():
        parameters[name] = parameter.detach().cpu().numpy().copy()
        buffer = optimizer.state[parameter].get("momentum_buffer")
        if buffer is not None:
            buffers[name] = buffer.cpu().numpy().copy()
    return parameters, buffers
