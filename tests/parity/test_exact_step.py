"""What a step of any problem truly comes to: the same functions, called with torch, agree."""

import inspect
import textwrap
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from parity.checks.exact import functions, optim, shapes
from parity.checks.exact.step import LOSS, Problem, TrueStep
from parity.engines.protocol import BUFFER, Array
from tests.minigrad.operations import FUZZ
from tests.parity.test_exact import agree

DTYPES = ["float32", "float64"]


def mse(torch: Any, prediction: Any, y: Any) -> Any:
    return torch.nn.functional.mse_loss(prediction, y)


def sgd(**options: Any) -> Callable[[Any, Any], Any]:
    return lambda torch, parameters: torch.optim.SGD(parameters, lr=0.05, **options)


def sequential(*names: Any) -> Callable[[Any], Any]:
    """Layers by their names in `torch.nn`; pairs of ints are the sizes of a linear one."""

    def model(torch: Any) -> Any:
        nn = torch.nn
        make = (
            nn.Linear(*name) if isinstance(name, tuple) else getattr(nn, name)() for name in names
        )
        return nn.Sequential(*make)

    return model


def residual(torch: Any) -> Any:
    nn = torch.nn

    class Residual(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.blocks = nn.ModuleList([nn.Linear(2, 2) for _ in range(2)])
            self.act = nn.Tanh()
            self.out = nn.Linear(2, 1)

        def forward(self, x: Any) -> Any:
            for block in self.blocks:
                x = x + self.act(block(x))
            return self.out(x)

    return Residual()


def shared(torch: Any) -> Any:
    nn = torch.nn

    class Shared(nn.Module):  # type: ignore[misc, name-defined]
        """A layer that is called twice, and whose weight is used once more."""

        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(2, 2, bias=False)
            self.again = self.layer
            self.scale = nn.Parameter(torch.ones(1))

        def forward(self, x: Any) -> Any:
            hidden = self.again(torch.sigmoid(self.layer(x)))
            return (hidden @ self.layer.weight.t()).sum(1, keepdim=True) * self.scale

    return Shared()


def two_inputs(torch: Any) -> Any:
    nn = torch.nn

    class Two(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.parts = nn.ModuleDict({"left": nn.Linear(2, 3), "right": nn.Linear(1, 3)})
            self.out = nn.Linear(6, 1)

        def forward(self, a: Any, b: Any) -> Any:
            joined = torch.cat([self.parts["left"](a), self.parts["right"](b)], dim=1)
            return self.out(torch.relu(joined))

    return Two()


def heads(torch: Any) -> Any:
    nn = torch.nn

    class Heads(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.body = nn.Sequential(nn.Linear(2, 3), nn.Softplus())
            self.one, self.other = nn.Linear(3, 1), nn.Linear(3, 1)

        def forward(self, x: Any) -> Any:
            hidden = self.body(x)
            return self.one(hidden) * self.other(hidden)

    return Heads()


def polynomial(torch: Any) -> Any:
    nn = torch.nn

    class Polynomial(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.powers = nn.ParameterList([torch.randn(1) for _ in range(3)])
            self.shift = nn.Parameter(torch.randn(2, 1) * 0.1)
            nn.init.zeros_(self.shift)

        def forward(self, x: Any) -> Any:
            x = x @ self.shift
            return sum(c * x**i for i, c in enumerate(self.powers)) + x.std().exp().log()

    return Polynomial()


def spread(torch: Any, prediction: Any, y: Any) -> Any:
    """A loss of its own, of whatever reductions there are."""
    error = (prediction - y).flatten()
    far = torch.maximum(error.abs(), error.abs().mean()).max()
    return far + error.var() + torch.norm(error) + error.clamp(-1, 1)[1:].square().sum()


def of(name: str, **options: Any) -> Callable[[Any, Any, Any], Any]:
    return lambda torch, prediction, y: getattr(torch.nn, name)(**options)(prediction, y)


PROBLEMS: dict[str, tuple[Problem, list[int]]] = {
    "chain": (Problem(sequential((2, 3), "ReLU", (3, 1)), mse, sgd()), [2]),
    "tanh, l1, weight decay": (
        Problem(sequential((2, 3), "Tanh", (3, 1)), of("L1Loss"), sgd(weight_decay=0.01)),
        [2],
    ),
    "huber, nesterov": (
        Problem(
            sequential((2, 3), "Sigmoid", (3, 1)),
            of("HuberLoss", delta=0.5),
            sgd(momentum=0.9, nesterov=True, weight_decay=0.1),
        ),
        [2],
    ),
    "smooth l1, dampening": (
        Problem(
            sequential((2, 2), "Softplus", "Identity", "Flatten", (2, 1)),
            of("SmoothL1Loss", beta=0.3, reduction="sum"),
            sgd(momentum=0.8, dampening=0.3, maximize=True),
        ),
        [2],
    ),
    "no bias": (Problem(sequential((2, 3, False), "LeakyReLU", (3, 1, False)), mse, sgd()), [2]),
    "residual": (Problem(residual, mse, sgd(momentum=0.9)), [2]),
    "shared": (Problem(shared, mse, sgd()), [2]),
    "two inputs": (Problem(two_inputs, mse, sgd()), [2, 1]),
    "product of heads": (Problem(heads, mse, sgd()), [2]),
    "polynomial": (Problem(polynomial, spread, sgd()), [2]),
}
t = shapes.t  # which a wrong definition uses
each_problem = pytest.mark.parametrize("name", PROBLEMS)


class Case:
    """A problem with parameters, data and buffers drawn anew, and its step by torch."""

    def __init__(self, name: str, seed: int, dtype: str) -> None:
        self.problem, inputs = PROBLEMS[name]
        random = np.random.default_rng(seed)
        self.before = torch.get_default_dtype()
        torch.set_default_dtype(getattr(torch, dtype))
        try:
            self.model = self.problem.model(torch)
            named = dict(self.model.named_parameters())

            def draw(*shape: int) -> Array:
                return np.asarray(random.normal(0, 1, shape), dtype)

            self.parameters = {n: draw(*p.shape) for n, p in named.items()}
            self.x, self.y = [draw(4, size) for size in inputs], draw(4, 1)
            self.optimizer = self.problem.optimizer(torch, self.model.parameters())
            self.buffers: dict[str, Array] = {}
            if self.optimizer.param_groups[0]["momentum"] and seed % 2:
                self.buffers = {n: draw(*p.shape) for n, p in named.items()}
            with torch.no_grad():
                for n, p in named.items():
                    p.copy_(torch.tensor(self.parameters[n]))
                    if self.buffers:
                        state = {"momentum_buffer": torch.tensor(self.buffers[n])}
                        self.optimizer.state[p] = state
            self.outputs: dict[str, Any] = {}
            for n, module in self.model.named_modules():
                module.register_forward_hook(lambda m, i, out, n=n: self.keep(n, out))
            prediction = self.model(*map(torch.tensor, self.x))
            self.keep(LOSS, self.problem.loss(torch, prediction, torch.tensor(self.y)))
            self.outputs[LOSS].backward()
            self.gradients = {n: p.grad.numpy().copy() for n, p in named.items()}
            self.optimizer.step()
            self.updated = {n: p.detach().numpy() for n, p in named.items()}
            states = {n: self.optimizer.state[p].get("momentum_buffer") for n, p in named.items()}
            self.kept = {n: b.numpy() for n, b in states.items() if b is not None}
        finally:
            torch.set_default_dtype(self.before)
        self.true = TrueStep(self.problem, self.parameters, self.x, self.y, self.buffers)

    def keep(self, name: str, output: Any) -> None:
        """Keep an output, as a tensor of its own if it is one that is kept already."""
        calls = sum(key.partition("#")[0] == name for key in self.outputs)
        output.retain_grad()
        self.outputs[f"{name}#{calls}" if calls else name] = output

    def given(self) -> tuple[dict[str, Array], dict[str, Array]]:
        """The outputs, and the gradients by them."""
        found = {n: t.detach().numpy() for n, t in self.outputs.items()}
        return found, {n: t.grad.numpy() for n, t in self.outputs.items()}


@each_problem
def test_whole_steps_are_torchs(name: str) -> None:
    for seed in range(40 if FUZZ else 2):
        case = Case(name, seed, "float64")
        true = case.true.whole()
        assert true is not None
        loss = np.asarray(case.outputs[LOSS].detach().numpy())
        np.testing.assert_allclose(true["loss"]["loss"], loss, rtol=1e-13)
        expected = {"gradients": case.gradients, "updated": case.updated, "buffers": case.kept}
        for kind, arrays in expected.items():
            assert list(true[kind]) == list(arrays), kind
            size = max((np.abs(a).max() for a in arrays.values()), default=0)
            for n, array in arrays.items():
                np.testing.assert_allclose(true[kind][n], array, rtol=1e-12, atol=1e-13 * size)


@each_problem
@pytest.mark.parametrize("dtype", DTYPES)
def test_parts_are_torchs(name: str, dtype: str) -> None:
    """What is computed from torch's own values before it is within its rounding."""
    for seed in range(20 if FUZZ else 1):
        case = Case(name, seed, dtype)
        outputs, gradients = case.given()
        for n, array in outputs.items():
            agree(array, case.true.output(n, outputs), dtype)
        for n, array in {**gradients, **case.gradients}.items():
            if n != LOSS:
                agree(array, case.true.gradient(n, outputs, gradients), dtype)
        for n, array in case.updated.items():
            agree(array, case.true.updated(n, case.gradients[n]), dtype)
        for n, array in case.kept.items():
            agree(array, case.true.updated(n + BUFFER, case.gradients[n]), dtype)


def test_a_gradient_by_the_data_is_torchs() -> None:
    case = Case("two inputs", 0, "float64")
    x = [torch.tensor(array, requires_grad=True) for array in case.x]
    torch.set_default_dtype(torch.float64)
    try:
        model = case.problem.model(torch)
    finally:
        torch.set_default_dtype(case.before)
    model.load_state_dict({n: torch.tensor(a) for n, a in case.parameters.items()})
    case.problem.loss(torch, model(*x), torch.tensor(case.y)).backward()
    for i, tensor in enumerate(x):
        assert tensor.grad is not None
        agree(tensor.grad.numpy(), case.true.gradient(i, {}, {}), "float64")


def test_what_is_not_given_is_not_told() -> None:
    case = Case("chain", 0, "float64")
    outputs, gradients = case.given()
    missing = {**outputs, "0": None}
    assert case.true.output("0", missing) is not None
    assert case.true.output("1", missing) is None
    assert case.true.output("2", missing) is not None
    assert case.true.gradient("0", missing, gradients) is None
    assert case.true.gradient("1", outputs, {**gradients, "2": None}) is None
    assert case.true.gradient("1", outputs, {n: gradients[n] for n in ("", LOSS)}) is None
    assert case.true.gradient("2", outputs, gradients) is not None


def test_what_does_not_matter_has_no_gradient() -> None:
    def model(torch: Any) -> Any:
        found = torch.nn.Sequential(torch.nn.Linear(1, 1))
        found.unused = torch.nn.Parameter(torch.randn(1))
        found.forward = lambda x: found[0](x) + (found.unused > 0)
        return found

    problem = Problem(model, mse, sgd(momentum=0.5, weight_decay=0.5))
    parameters = {"unused": np.ones(1), "0.weight": np.ones((1, 1)), "0.bias": np.ones(1)}
    x = np.arange(3.0)[:, None]
    found = TrueStep(problem, parameters, [x], x).whole()
    assert found is not None
    assert found["gradients"]["unused"] == 0
    assert found["updated"]["unused"] == 1
    assert list(found["buffers"]) == ["0.weight", "0.bias"]


def test_problems_that_the_witness_lacks_something_for_say_so() -> None:
    parameters, x = {"weight": np.ones((1, 1)), "bias": np.ones(1)}, np.ones((2, 1))
    linear = lambda torch: torch.nn.Linear(1, 1)  # noqa: E731
    problems = {
        "nn.Conv1d": Problem(lambda torch: torch.nn.Conv1d(1, 1, 1), mse, sgd()),
        "optim.Adam": Problem(linear, mse, lambda torch, p: torch.optim.Adam(p)),
        "optimiser int": Problem(linear, mse, lambda torch, p: 1),
        "torch.autograd": Problem(linear, lambda torch, p, y: torch.autograd.grad(p, y), sgd()),
        "value of random": Problem(linear, lambda torch, p, y: (p * torch.randn(1)).sum(), sgd()),
    }
    for what, problem in problems.items():
        with pytest.raises(NotImplementedError, match=f"the exact witness has no .*{what}"):
            TrueStep(problem, parameters, [x], x).whole()
    with pytest.raises(ValueError, match="the model has the parameters weight, bias, not other"):
        TrueStep(Problem(linear, mse, sgd()), {"other": x}, [x], x).whole()


def test_a_step_that_is_too_large_has_no_witness() -> None:
    problem = Problem(sequential((1, 512), "ReLU", (512, 512), "Tanh", (512, 1)), mse, sgd())
    shapes = {n: p.shape for n, p in problem.model(torch).named_parameters()}
    x = np.ones((100, 1))
    step = TrueStep(problem, {n: np.ones(shape) for n, shape in shapes.items()}, [x], x)
    assert step.whole() is None
    outputs = {"0": np.ones((100, 512)), "1": np.ones((100, 512))}
    assert step.output("0", outputs) is not None


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("tanh, l1, weight decay", 'grad + parameter * group["weight_decay"]', "grad"),
        ("smooth l1, dampening", '(1 - group["dampening"])', "1"),
        ("smooth l1, dampening", "grad = -grad", "pass"),
        ("huber, nesterov", 'if group["nesterov"] else buffer', "if False else buffer"),
        ("residual", 'buffer * group["momentum"] + ', "buffer + "),
        ("chain", 'old - found * group["lr"]', 'old + found * group["lr"]'),
    ],
)
def test_wrong_optimisers_are_found(
    name: str, old: str, new: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = optim.SGD._updated if name == "chain" else optim.direction
    source, scope = textwrap.dedent(inspect.getsource(right)), dict(vars(optim))
    assert old in source
    exec(source.replace(old, new), scope)
    owner = optim.SGD if name == "chain" else optim
    monkeypatch.setattr(owner, right.__name__, scope[right.__name__])
    case = Case(name, 1, "float64")
    with pytest.raises(AssertionError):
        for n, array in case.updated.items():
            agree(array, case.true.updated(n, case.gradients[n]), "float64")


def test_a_wrong_definition_is_found_in_a_step(monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = lambda x, weight, bias: x @ t(weight)  # noqa: E731
    monkeypatch.setattr(functions.linear, "__code__", wrong.__code__)
    for test in (test_whole_steps_are_torchs, lambda name: test_parts_are_torchs(name, "float64")):
        with pytest.raises(AssertionError):
            test("chain")
