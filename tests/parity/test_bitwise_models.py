"""bitwise: any model, loss and options of SGD have the same bits in minigrad and in torch."""

import random
from contextlib import nullcontext
from typing import Any

import numpy as np
import pytest
import torch

import minigrad
from minigrad.arrays.conversion import reproducible
from parity.checks.bits import canonical, first_difference
from parity.engines.protocol import Array
from torch_impl.reproducible import reproducible_arithmetic

pytestmark = pytest.mark.filterwarnings("ignore")


def put(h: Any) -> Any:
    h = h * 1
    h[:, 1] = 0.5
    return h


LAYERS: dict[str, tuple[Any, Any]] = {
    "linear": (lambda nn: nn.Linear(4, 4), lambda lib, m, h: m(h)),
    "no bias": (lambda nn: nn.Linear(4, 4, bias=False), lambda lib, m, h: m(h)),
    "skip": (lambda nn: nn.Linear(4, 4), lambda lib, m, h: h + m(h).relu()),
    "shared": (lambda nn: nn.Linear(4, 4), lambda lib, m, h: m(m(h).relu()) - m(h)),
    "heads": (lambda nn: nn.Linear(4, 8), lambda lib, m, h: m(h)[:, :4] * m(h)[:, 4:]),
    "cat": (lambda nn: nn.Linear(8, 4), lambda lib, m, h: m(lib.cat([h, -h.abs()], 1))),
    "where": (lambda nn: nn.Linear(4, 4), lambda lib, m, h: lib.where(h > 0, h, m(h))),
    "maximum": (lambda nn: nn.Linear(4, 4), lambda lib, m, h: lib.maximum(h, m(h))),
    "attention": (lambda nn: nn.Linear(4, 4), lambda lib, m, h: (h @ h.t()) @ m(h) / 20),
    "batch": (
        lambda nn: nn.Linear(4, 4),
        lambda lib, m, h: (h.reshape(-1, 2, 4) @ m.weight.t() + m.bias).reshape(-1, 4),
    ),
    "linear of a batch": (
        lambda nn: nn.Linear(4, 4),
        lambda lib, m, h: m(h.reshape(2, -1, 4)).reshape(-1, 4),
    ),
    "no bias of a batch": (
        lambda nn: nn.Linear(4, 4, bias=False),
        lambda lib, m, h: m(h.reshape(2, -1, 4)).reshape(-1, 4),
    ),
    "leaky relu": (lambda nn: nn.LeakyReLU(0.1), lambda lib, m, h: m(h)),
}
"""Modules and what is done with them, on (n, 4) to (n, 4), n even."""

EXPRESSIONS: dict[str, Any] = {
    "relu": lambda lib, h: h.relu(),
    "abs": lambda lib, h: h.abs(),
    "clamp": lambda lib, h: h.clamp(-1, 0.5),
    "square": lambda lib, h: h**2 / 4,
    "cube": lambda lib, h: h**3 / 8,
    "power 5": lambda lib, h: h**5.0 / 50,
    "power 0": lambda lib, h: h + h**0,
    "power 1": lambda lib, h: h**1,
    "power -2": lambda lib, h: (1 + h.abs()) ** -2,
    "reciprocal": lambda lib, h: 1 / (1 + h.square()),
    "quotient": lambda lib, h: h / (h.abs() + 0.5),
    "remainder": lambda lib, h: h % 1.5,
    "minimum": lambda lib, h: lib.minimum(h, h.flatten()[:4]),
    "from 1": lambda lib, h: 1 - h,
    "alpha": lambda lib, h: lib.add(h, h.relu(), alpha=0.3).sub(h.abs(), alpha=2),
    "in place": lambda lib, h: (h * 1).add_(0.5).mul_(1.5).relu_(),
    "assigned": lambda lib, h: put(h),
    "clone": lambda lib, h: h.clone() + h,
    "stack": lambda lib, h: lib.stack([h, h * 2, h.relu()]).mean(0),
    "rows": lambda lib, h: lib.stack([row * 2 for row in h]),
    "columns": lambda lib, h: h[:, [3, 0, 0, 1]],
    "repeated rows": lambda lib, h: h[lib.arange(len(h)) // 2],
    "mask": lambda lib, h: h + h[h > 0].sum() / 10,
    "slices": lambda lib, h: lib.cat([h[:, 2:], h[:, :2]], 1),
    "less mean": lambda lib, h: h - h.mean(0),
    "less mean of rows": lambda lib, h: h - h.mean(1, keepdim=True),
    "by the mean": lambda lib, h: h * h.mean(),
    "plus sum": lambda lib, h: h + h.sum() / 50,
    "plus sum of both": lambda lib, h: h + h.sum((0, 1), keepdim=True) / 50,
    "plus sum of three": lambda lib, h: h + h.reshape(2, -1, 4).sum((0, 1)) / 20,
    "by squares": lambda lib, h: h / (h.square().sum(1, keepdim=True) + 1),
    "less largest": lambda lib, h: h - h.amax(1, keepdim=True),
    "less smallest": lambda lib, h: h - h.amin(0),
    "less largest and its place": lambda lib, h: h - h.max(1)[0].unsqueeze(1),
    "less largest of all": lambda lib, h: h - h.max(),
    "by smallest of all": lambda lib, h: h * h.min(),
    "gram": lambda lib, h: h @ (h.t() @ h) / 20,
    "matrix and vector": lambda lib, h: h * (h @ h[0]).unsqueeze(1),
    "vector and matrix": lambda lib, h: h + h[:, 0] @ h / 9,
    "dot": lambda lib, h: h * h[0].dot(h[1]),
    "outer": lambda lib, h: h + lib.outer(h[:, 0], h[0]) / 9,
    "batches": lambda lib, h: h + (h.reshape(-1, 2, 4).mT @ h.reshape(-1, 2, 4)).sum(0)[0] / 9,
    "broadcast": lambda lib, h: h * h[0] + h[:, :1],
    "expand": lambda lib, h: h + h[:1].expand(len(h), 4),
    "transposed": lambda lib, h: h.T.reshape(4, -1).T,
    "permuted": lambda lib, h: h.reshape(-1, 2, 2).permute(0, 2, 1).reshape(-1, 4),
}

LOSSES: dict[str, Any] = {
    "mse": lambda lib, x, y: lib.nn.functional.mse_loss(x, y),
    "mse sum": lambda lib, x, y: lib.nn.functional.mse_loss(x, y, reduction="sum"),
    "mse none": lambda lib, x, y: lib.nn.functional.mse_loss(x, y, reduction="none").mean(0).sum(),
    "l1": lambda lib, x, y: lib.nn.functional.l1_loss(x, y),
    "huber": lambda lib, x, y: lib.nn.functional.huber_loss(x, y, delta=0.7),
    "huber sum": lambda lib, x, y: lib.nn.functional.huber_loss(x, y, reduction="sum"),
    "smooth l1": lambda lib, x, y: lib.nn.functional.smooth_l1_loss(x, y, beta=0.3),
    "broadcast": lambda lib, x, y: lib.nn.functional.mse_loss(x, y[0]),
    "own": lambda lib, x, y: ((x - y) ** 2).mean() + (x - y).abs().max(),
}

OPTIONS: list[dict[str, Any]] = [
    {"lr": 0.01},
    {"lr": 0.01, "momentum": 0.9},
    {"lr": 0.003, "momentum": 0.8, "nesterov": True, "weight_decay": 0.01},
    {"lr": 0.01, "momentum": 0.5, "dampening": 0.3},
    {"lr": 1e-4, "maximize": True, "weight_decay": 0.1},
]


def network(lib: Any, names: list[str]) -> Any:
    """The layers and expressions of these names, in a row, from (n, 2) to (n, 1)."""
    nn = lib.nn

    class Network(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.first, self.last = nn.Linear(2, 4), nn.Linear(4, 1)
            self.layers = nn.ModuleList([LAYERS[n][0](nn) for n in names if n in LAYERS])

        def forward(self, x: Any) -> Any:
            h, layers = self.first(x), iter(self.layers)
            for name in names:
                if name in LAYERS:
                    h = LAYERS[name][1](lib, next(layers), h)
                else:
                    h = EXPRESSIONS[name](lib, h)
            return self.last(h)

    return Network()


def trained(
    lib: Any,
    names: list[str],
    loss: str,
    options: dict[str, Any],
    start: dict[str, Array],
    steps: int,
) -> list[dict[str, Array]]:
    """Each step's loss, gradients and parameters after it."""
    model = network(lib, names)
    model.to(getattr(lib, str(start["x"].dtype)))
    model.load_state_dict({n: lib.tensor(start[n]) for n, _ in model.named_parameters()})
    x, y = (lib.tensor(start[name]) for name in ("x", "y"))
    if lib is minigrad:
        model, x, y = map(reproducible, (model, x, y))
    optimizer = lib.optim.SGD(model.parameters(), **options)
    found = []
    for _ in range(steps):
        optimizer.zero_grad()
        value = LOSSES[loss](lib, model(x), y)
        value.backward()
        values = {"loss": value}
        values |= {f"{n}.grad": p.grad for n, p in model.named_parameters() if p.grad is not None}
        optimizer.step()
        values |= dict(model.named_parameters())
        found.append(canonical({n: np.array(v.detach().numpy()) for n, v in values.items()}))
    return found


def assert_same_bits(
    names: list[str],
    loss: str,
    options: dict[str, Any],
    dtype: str,
    seed: int,
    steps: int,
    kind: str = "",
) -> None:
    rng = np.random.default_rng(seed)
    shapes = {n: tuple(p.shape) for n, p in network(torch, names).named_parameters()}
    start = {
        n: rng.uniform(-0.7, 0.7, shape).astype(dtype)
        for n, shape in {**shapes, "x": (6, 2), "y": (6, 1)}.items()
    }
    if kind == "wild":  # so that vectors have exponents of their own
        for array in start.values():
            array *= 2.0 ** rng.integers(-25, 9, array.shape)
    if kind == "special":
        values = [np.inf, -np.inf, np.nan, -0.0, 0.0, 1e-40, 1e30, 1e-30, -1e25]
        for array in start.values():
            chosen = rng.random(array.shape) < 0.1
            array[chosen] = rng.choice(values, int(chosen.sum()))
    expected = trained(minigrad, names, loss, options, start, steps)
    with reproducible_arithmetic():
        actual = trained(torch, names, loss, options, start, steps)
    for step, pair in enumerate(zip(actual, expected, strict=True)):
        difference = first_difference(*pair)
        assert difference is None, (step, difference)


@pytest.mark.parametrize("name", [*LAYERS, *EXPRESSIONS])
def test_every_operation_has_the_same_bits(name: str) -> None:
    assert_same_bits([name], "mse", OPTIONS[1], "float64", 0, 3)
    assert_same_bits([name], "mse", OPTIONS[1], "float32", 1, 2, "special")
    for seed, dtype in enumerate(("float32", "float64")):
        assert_same_bits([name], "mse sum", {"lr": 1e-3}, dtype, seed, 2, "wild")


SHAPES: list[Any] = [
    ((7, 40), (40, 9)), ((3, 5, 40), (40, 9)), ((3, 5, 40), (3, 40, 9)), ((5, 40), (3, 40, 9)),
    ((2, 1, 5, 40), (3, 40, 9)), ((40,), (40, 9)), ((7, 40), (40,)), ((3, 5, 40), (40,)),
]  # fmt: skip


@pytest.mark.parametrize("span", [3, 20])
@pytest.mark.parametrize("shapes", SHAPES, ids=str)
def test_products_and_their_gradients_have_the_same_bits(shapes: Any, span: int) -> None:
    """Rows and columns far apart show what was split together, and the order of sums."""
    rng = np.random.default_rng(0)

    def wild(shape: tuple[int, ...]) -> Array:
        scales = 2.0 ** rng.integers(-span, span, (*shape[:-1], 1))
        scales = scales * 2.0 ** rng.integers(-span, span, shape[-1])
        return np.asarray(rng.standard_normal(shape) * scales)

    x, y = map(wild, shapes)
    grad = wild(np.matmul(x, y).shape)
    found = []
    for lib in (minigrad, torch):
        made: Any = [lib.tensor(array) for array in (x, y, grad)]
        if lib is minigrad:
            made = [*map(reproducible, made)]
        a, b, g = made
        a.requires_grad_(), b.requires_grad_()
        with reproducible_arithmetic() if lib is torch else nullcontext():
            out = a @ b
            out.backward(g)
        values = {"out": out, "x.grad": a.grad, "y.grad": b.grad}
        found.append({name: np.array(value.detach().numpy()) for name, value in values.items()})
    assert first_difference(*found) is None


@pytest.mark.parametrize("name", LOSSES)
def test_every_loss_and_option_has_the_same_bits(name: str) -> None:
    for options in OPTIONS:
        assert_same_bits(["linear"], name, options, "float64", 0, 3)
    assert_same_bits(["linear"], name, OPTIONS[2], "float32", 1, 2, "special")


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("seed", range(2))
def test_models_of_several_have_the_same_bits(seed: int, dtype: str) -> None:
    assert_models_have_the_same_bits(2, seed, dtype)


@pytest.mark.dear
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_many_models_of_several_have_the_same_bits(dtype: str) -> None:
    assert_models_have_the_same_bits(400, 2, dtype)


def assert_models_have_the_same_bits(count: int, seed: int, dtype: str) -> None:
    rng = random.Random(f"{seed} {dtype}")
    for _ in range(count):
        names = rng.choices([*LAYERS, *EXPRESSIONS], k=rng.randint(1, 5))
        loss, options = rng.choice(list(LOSSES)), rng.choice(OPTIONS)
        case = (
            names,
            loss,
            options,
            dtype,
            rng.randrange(10**6),
            20,
            rng.choice(["", "", "wild", "special"]),
        )
        try:
            assert_same_bits(*case)
        except AssertionError as error:
            raise AssertionError(f"{case}") from error


def test_a_penalty_on_the_gradient_has_the_same_bits() -> None:
    """Second derivatives: of linear layers, relu, powers and each loss."""
    rng = np.random.default_rng(0)
    first, second, x, y = (rng.uniform(-1, 1, s) for s in ((8, 3), (1, 8), (10, 3), (10, 1)))
    for loss in LOSSES:
        found = []
        for lib in (minigrad, torch):
            made: Any = [lib.tensor(array) for array in (first, second, x, y)]
            if lib is minigrad:
                made = [*map(reproducible, made)]
            a, b, u, v = [tensor.requires_grad_() for tensor in made]

            def values(
                lib: Any = lib, loss: str = loss, a: Any = a, b: Any = b, u: Any = u, v: Any = v
            ) -> Any:
                linear = lib.nn.functional.linear
                h = linear(u, a, b[0]).relu() ** 3 / 9
                value = LOSSES[loss](lib, linear(h, b), v)
                (grad,) = lib.autograd.grad(value, [u], create_graph=True)
                (value + (grad * grad).sum()).backward()
                return [value, grad, a.grad, b.grad]

            if lib is torch:
                values = reproducible_arithmetic()(values)
            found.append({str(i): np.array(t.detach().numpy()) for i, t in enumerate(values())})
        assert first_difference(*found) is None, loss
