"""The exact witness's engine: every definition against torch, by hand, and what it refuses."""

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import mpmath  # type: ignore[import-untyped]
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from parity.checks import exact
from parity.checks.exact import dual, functions, kinds, losses, numbers, shapes
from parity.checks.exact.derivative import derivative
from parity.checks.exact.truth import Truth, true_gradient, true_value
from parity.engines.protocol import Array
from tests.minigrad.operations import BY_ID, FEW, OPERATIONS, Operation, examples, seeds

REFUSED = {
    *("remainder", "x % -3", "index assignment", "copy_", "add_", "sub_", "mul_", "div_"),
    *("zero_", "fill_", "norm(p=-2)"),
}
COVERED = [operation for operation in OPERATIONS if operation.id not in REFUSED]
MOST_DEVIATIONS = 6


def agree(actual: Any, true: Truth | None, dtype: str) -> None:
    """An engine's value is that of the witness, but for a few deviations of its rounding."""
    assert true is not None
    assert str(true.value.dtype) == dtype
    assert true.value.shape == actual.shape
    with np.errstate(all="ignore"):
        error = np.abs(actual.astype(np.longdouble) - true.value)
        allowed = MOST_DEVIATIONS * true.deviation + np.finfo(dtype).smallest_normal
        right = (error <= allowed) | (actual == true.value)
    assert (right | (np.isnan(actual) & np.isnan(true.value))).all(), (actual, true)


def check(call: Callable[..., Any], arrays: list[Array], seed: int = 0) -> None:
    """A function's value and its gradients, weighted at random, are torch's."""
    dtype = str(arrays[0].dtype)
    inputs = {str(i): array for i, array in enumerate(arrays)}
    tensors = [torch.tensor(array, requires_grad=True) for array in arrays]
    out = call(torch, *tensors)

    def function(given: Any) -> Any:
        return call(exact, *given.values())

    agree(out.detach().numpy(), true_value(function, inputs), dtype)
    if not out.requires_grad:
        return
    grad_out = np.random.default_rng(seed).normal(size=out.shape).astype(dtype)
    found = torch.autograd.grad(out, tensors, torch.tensor(grad_out), allow_unused=True)
    for name, gradient in zip(inputs, found, strict=True):
        actual = np.zeros_like(inputs[name]) if gradient is None else gradient.numpy()
        agree(actual, true_gradient(function, inputs, name, grad_out), dtype)


# ---- the conformance table --------------------------------------------------------------------


@pytest.mark.parametrize("operation", COVERED, ids=repr)
@given(data=st.data(), seed=seeds)
@settings(examples, max_examples=min(FEW, 20))  # derivatives are dear
def test_operations_are_torchs(operation: Operation, data: Any, seed: int) -> None:
    shapes, options = operation.case(data)
    for dtype in ("float32", "float64"):
        if operation.id != "double" and not (operation.id == "sum(dtype)" and dtype == "float32"):
            arrays = operation.arrays(shapes, dtype, seed)
            check(lambda m, *tensors: operation.call(m, *tensors, **options), arrays, seed)


def test_only_what_is_listed_is_refused() -> None:
    for id in REFUSED:
        operation = BY_ID[id]
        arrays = {str(i): np.ones(2) for i in range(len(operation.domains))}
        named: dict[str, dict[str, Any]] = {
            "norm(p=-2)": {"dim": None, "keepdim": False},
            "index assignment": {"key": 0},
        }
        options = named.get(id, {})
        with pytest.raises(NotImplementedError, match="the exact witness has no"):
            true_value(lambda given: operation.call(exact, *given.values(), **options), arrays)  # noqa: B023


# ---- ties and kinks ---------------------------------------------------------------------------

KINKS: dict[str, tuple[Callable[..., Any], list[Any]]] = {
    "relu": (lambda m, x: m.relu(x), [[-1.0, 0.0, 2.0]]),
    "abs": (lambda m, x: m.abs(x), [[-1.0, 0.0, 2.0]]),
    "leaky_relu": (lambda m, x: m.nn.functional.leaky_relu(x, 0.25), [[-1.0, 0.0, 2.0]]),
    "softplus": (lambda m, x: m.nn.functional.softplus(x), [[-800.0, 0.0, 20.0, 20.5]]),
    "clamp": (lambda m, x: m.clamp(x, -1, 2), [[-3.0, -1.0, 0.0, 2.0, 5.0]]),
    "clamp, bounds crossed": (lambda m, x: m.clamp(x, 2, -1), [[-3.0, -1.0, 0.0, 2.0, 5.0]]),
    "clamp, equal bounds": (
        lambda m, x, low, high: m.clamp(x, low, high),
        [[0.0, 1.0, 2.0, 0.0, 2.0], [1.0, 1.0, 1.0, 2.0, 2.0], [1.0, 1.0, 1.0, 3.0, 1.0]],
    ),
    "maximum": (lambda m, x, y: m.maximum(x, y), [[1.0, 2.0, 3.0], [2.0, 2.0, 2.0]]),
    "minimum": (lambda m, x, y: m.minimum(x, y), [[1.0, 2.0, 3.0], [2.0, 2.0, 2.0]]),
    "max": (lambda m, x: m.max(x), [[3.0, 1.0, 3.0, 3.0]]),
    "min": (lambda m, x: x.min(), [[3.0, 1.0, 1.0, 3.0]]),
    "max(dim)": (lambda m, x: m.max(x, 1).values, [[[3.0, 1.0, 3.0], [0.0, 2.0, 2.0]]]),
    "min(dim)": (lambda m, x: x.min(dim=0, keepdim=True)[0], [[[3.0, 1.0], [3.0, 2.0]]]),
    "amax": (lambda m, x: m.amax(x, dim=1), [[[3.0, 1.0, 3.0], [0.0, 2.0, 2.0]]]),
    "amin": (lambda m, x: m.amin(x, (0, 1)), [[[3.0, 1.0], [1.0, 2.0]]]),
    "norm": (lambda m, x: m.norm(x, dim=1), [[[0.0, 0.0], [3.0, 4.0]]]),
    "norm(p=1)": (lambda m, x: m.norm(x, 1), [[-1.0, 0.0, 2.0]]),
    "norm(p=3)": (lambda m, x: m.norm(x, 3, dim=0), [[[0.0, 0.0], [-2.0, 0.0]]]),
    "norm(p=inf)": (lambda m, x: m.norm(x, math.inf), [[-2.0, 0.0, 2.0]]),
    "std": (lambda m, x: m.std(x, dim=1), [[[2.0, 2.0], [3.0, 4.0]]]),
    "var": (lambda m, x: m.var(x, 1, unbiased=False), [[[2.0, 2.0], [3.0, 4.0]]]),
    "sign": (lambda m, x: m.sign(x) * x, [[-1.0, 0.0, 2.0]]),
    "pow(0)": (lambda m, x: x**0, [[-1.0, 0.0, 2.0]]),
    "pow(1)": (lambda m, x: x**1, [[-1.0, 0.0, 2.0]]),
    "0 ** y": (lambda m, x, y: x**y, [[0.0, 2.0, 0.0], [2.0, 0.5, 1.0]]),
    "l1_loss": (lambda m, x, y: m.nn.L1Loss()(x, y), [[1.0, 2.0], [1.0, 3.0]]),
    "huber_loss": (
        lambda m, x: m.nn.HuberLoss(reduction="sum", delta=2.0)(x, x.detach() * 0),
        [[-2.0, 0.0, 2.0, 3.0]],
    ),
    "smooth_l1_loss": (
        lambda m, x: m.nn.SmoothL1Loss(reduction="none", beta=2.0)(x, x.detach() * 0),
        [[-2.0, 0.0, 2.0, 3.0]],
    ),
    "smooth_l1_loss(0)": (
        lambda m, x: m.nn.functional.smooth_l1_loss(x, x.detach() * 0, beta=0.0),
        [[-2.0, 0.0, 2.0, 3.0]],
    ),
    "detach": (lambda m, x: x * x.detach(), [[-2.0, 3.0]]),
    "where": (lambda m, x: m.where((x > 0) & ~(x > 2) | (x == -1), x, 0), [[-1.0, 0.0, 1.0, 3.0]]),
    "sigmoid": (lambda m, x: m.sigmoid(x), [[-800.0, -30.0, 0.0, 30.0, 800.0]]),
    "argmax": (lambda m, x: x[m.argmax(x)] * x[x.argmin()], [[1.0, 3.0, 3.0, 1.0]]),
    "batched matmul": (lambda m, x, y: x @ y, [[[[1.0, 2.0]], [[3.0, 4.0]]], [[5.0], [6.0]]]),
    "indices": (lambda m, x: x[m.tensor([0, 0, 2])] * x[[1, 1, 0]], [[1.0, 2.0, 3.0]]),
}


@pytest.mark.parametrize("name", KINKS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_ties_and_kinks_are_torchs(name: str, dtype: str) -> None:
    call, values = KINKS[name]
    check(call, [np.array(value, dtype) for value in values])


def test_constants_are_torchs() -> None:
    """Those that are spaced are torch's to within their rounding."""
    makes: list[Callable[[Any], Any]] = [
        lambda m: m.linspace(-1, 2, 7),
        lambda m: m.arange(0, 1, 0.3),
        lambda m: m.arange(4) * 0.1,
        lambda m: m.tensor([[0.1, 2], [3, 4]]),
        lambda m: m.eye(2) + m.full((2, 2), 0.1) + m.ones(2) - m.zeros_like(m.ones(2)),
        lambda m: m.full_like(m.ones(2), 3.0) * m.ones_like(m.zeros(2)),
    ]
    for make in makes:
        true = true_value(lambda given: make(exact) * given["one"], {"one": np.ones((), "f4")})  # noqa: B023
        agree(make(torch).numpy(), true, "float32")


# ---- by hand ----------------------------------------------------------------------------------


def test_fractions_are_those_found_by_hand() -> None:
    """(1/3·relu(w·x + b) - 1)² at w = 1/2, x = 3, b = -1/4: the unit's output is 5/4."""
    arrays = {"w": np.array([[0.5]]), "b": np.array([-0.25])}

    def compute() -> Any:
        w, b = (exact.tensor(arrays[name]) for name in "wb")
        out = exact.nn.functional.linear(exact.tensor([[3.0]]), w, b).relu() / 3
        loss = (out - 1).square().mean()
        return loss.numbers.v.item(), [derivative(loss, by).v.item() for by in (w, b)]  # type: ignore[union-attr]

    error = Fraction(5, 12) - 1
    by_hand = error**2, [2 * error * Fraction(1, 3) * 3, 2 * error * Fraction(1, 3)]
    assert kinds.exactly("float64", compute) == by_hand


def test_slopes_are_those_of_mpmath() -> None:
    with kinds.running("50 digits", "float64"):
        for name, slope in numbers.SLOPES.items():
            function = getattr(mpmath, name, lambda x: 1 / (1 + mpmath.exp(-x)))
            for x in (0.125, 0.5, 2.5):
                at = numbers.Numbers(kinds.make(x))
                found = slope(at, numbers.elementary(name, at)).v.item()
                with mpmath.workdps(40):
                    here = mpmath.mpf(kinds.MP.nstr(found, 40))
                    assert mpmath.fabs(here - mpmath.diff(function, x)) < 1e-18, name


def test_functions_are_exact_to_many_digits() -> None:
    with kinds.running("50 digits", "float64"):
        value = exact.tensor(1.0).exp().numbers.v.item()
    with mpmath.workdps(50):
        assert mpmath.fabs(mpmath.mpf(kinds.MP.nstr(value, 50)) - mpmath.e) < 1e-48
    assert mpmath.mp.dps == 15


# ---- kinds of numbers -------------------------------------------------------------------------


def kind_of(call: Callable[..., Any], *values: Any) -> str | None:
    """In which numbers a function is computed at last."""
    used = []

    def compute() -> None:
        call(*map(exact.tensor, values)).numbers  # noqa: B018
        used.append(kinds.current().kind)

    kinds.exactly("float64", compute)
    return used[-1] if len(used) > 1 else None


def test_numbers_are_the_most_exact_that_there_is_time_for() -> None:
    assert kind_of(lambda x: x @ x, [1.0, 2.0]) == "fractions"
    assert kind_of(lambda x: x / 3, [1.0, 2.0]) == "fractions"
    assert kind_of(lambda x: x / x, [1.0, 2.0]) == "50 digits"
    assert kind_of(lambda x: x.tanh(), [1.0, 2.0]) == "50 digits"
    assert kind_of(lambda x: (x + 0.1) ** 2.5, [1.0, 2.0]) == "50 digits"
    assert kind_of(lambda x: x * x, [1.0, math.inf]) == "80 bits"
    assert kind_of(lambda x: x.log(), [1.0, 0.0]) == "80 bits"
    assert kind_of(lambda x: x @ x, np.ones((300, 300))) == "80 bits"
    assert kind_of(lambda x: x @ x, np.ones((3000, 3000))) is None

    def squared(x: Any) -> Any:
        for _ in range(60):
            x = x * x - 1.1
        return x

    assert kind_of(squared, 0.3) == "50 digits"


def test_what_is_not_finite_is_that_of_torch() -> None:
    calls: list[Callable[..., Any]] = [
        *(lambda m, x: x.log(), lambda m, x: 1 / x, lambda m, x: x * math.inf)
    ]
    for call in calls:
        x = np.array([0.0, -1.0, 2.0])
        with torch.no_grad():
            found = call(torch, torch.tensor(x)).numpy()
        true = true_value(lambda given: call(exact, given["x"]), {"x": x})  # noqa: B023
        assert true is not None
        np.testing.assert_array_equal(np.isnan(found), np.isnan(true.value))
        np.testing.assert_array_equal(np.isinf(found), np.isinf(true.value))
    # There the derivative is infinite, and the witness says nothing of it.
    assert (
        true_gradient(lambda given: given["x"].sqrt(), {"x": np.zeros(1)}, "x", np.ones(1)) is None
    )


# ---- what is refused --------------------------------------------------------------------------

Wish = Callable[[Any, Any], Any]
WISHES: dict[str, Wish] = {
    "torch.fft": lambda m, x: m.fft,
    "nn.Conv1d": lambda m, x: m.nn.Conv1d(1, 1, 3),
    "nn.functional.gelu": lambda m, x: m.nn.functional.gelu(x),
    "optim.Adam": lambda m, x: m.optim.Adam([x]),
    "Tensor.cumsum": lambda m, x: x.cumsum(0),
    "Tensor.backward": lambda m, x: x.sum().backward(),
    "operation in place": lambda m, x: x.__iadd__(1),
    "nn.ReLU with inplace": lambda m, x: m.nn.ReLU(inplace=True)(x),
    "nn.MSELoss with": lambda m, x: m.nn.MSELoss(weight=2),
    "sum with such arguments": lambda m, x: x.sum(out=x),
    "norm of order": lambda m, x: x.norm("nuc"),
    "numbers of float32": lambda m, x: x.float(),
    "tensors of float32": lambda m, x: m.zeros(2, dtype=m.float32),
    "tensors with device=cuda": lambda m, x: m.zeros(2, device="cuda"),
    "SGD with fused": lambda m, x: m.optim.SGD([x], fused=True),
    "SGD.state_dict": lambda m, x: m.optim.SGD([x]).state_dict(),
    "loss with the reduction": lambda m, x: m.nn.functional.l1_loss(x, x, reduction="batchmean"),
    "value of random numbers": lambda m, x: (m.randn(2) * x).sum().item(),
    "nn.init.uniform_ of what": lambda m, x: m.nn.init.uniform_(x),
    "Linear.state_dict": lambda m, x: m.nn.Linear(1, 1).state_dict(),
}


@pytest.mark.parametrize("name", WISHES)
def test_what_is_lacking_is_named(name: str) -> None:
    def function(given: Any) -> Any:
        return WISHES[name](exact, given["x"])

    with pytest.raises(NotImplementedError, match=f"the exact witness has no .*{name}"):
        true_value(function, {"x": np.ones(2)})


def test_random_numbers_have_no_truth() -> None:
    x = {"x": np.ones(2)}
    assert true_value(lambda given: exact.randn(2) * given["x"], x) is None
    assert (
        true_gradient(lambda given: exact.rand_like(given["x"]) * given["x"], x, "x", x["x"])
        is None
    )


# ---- wrong definitions are found --------------------------------------------------------------


def _slope(name: str, wrong: Callable[[Any, Any], Any]) -> Any:
    return lambda patch: patch.setitem(numbers.SLOPES, name, wrong)


def _defined(module: Any, name: str, wrong: Any) -> Any:
    """Definitions are bound when a tensor's methods are made; their code is replaced."""
    return lambda patch: patch.setattr(getattr(module, name), "__code__", wrong.__code__)


# The names that wrong definitions use, which stand for the same in the modules they are planted in.
Dual, F = dual.Dual, functions
gt, lt, square, sqrt, sum, where, _reduced = (
    *(F.gt, F.lt, F.square, F.sqrt, F.sum, F.where),
    losses._reduced,
)
WRONG: dict[str, tuple[Any, str]] = {
    "exp": (_slope("exp", lambda x, out: x), "exp"),
    "tanh": (_slope("tanh", lambda x, out: numbers.one() - out), "tanh"),
    "sin": (_slope("sin", lambda x, out: -numbers.elementary("cos", x)), "sin"),
    "sigmoid": (_slope("sigmoid", lambda x, out: out * out), "sigmoid"),
    "product": (_defined(Dual, "__mul__", lambda self, other: other), "mul"),
    "matrix product": (
        _defined(Dual, "__matmul__", lambda self, other: Dual(lambda: self.v @ other.v, self.d)),
        "mm",
    ),
    "quotient": (_defined(Dual, "__truediv__", lambda self, other: self * other), "div"),
    "relu": (_defined(F, "relu", lambda x: where(lt(x, 0), 0, x)), "relu"),
    "abs": (_defined(F, "abs", lambda x: where(gt(x, 0), x, -x)), "abs"),
    "maximum": (
        _defined(F, "maximum", lambda x, y: where(gt(x, y), x, y)),
        "maximum",
    ),
    "amax": (
        _defined(F, "amax", lambda x, dim, keepdim: sum(x, dim, keepdim)),
        "amax",
    ),
    "root": (_defined(F, "_root", lambda x: sqrt(x)), "norm"),
    "transpose": (_defined(shapes, "transpose", lambda x, dim0, dim1: x), "transpose"),
    "huber": (
        _defined(
            *(losses, "huber_loss"),
            lambda x, y, reduction, delta: _reduced(square(x - y) / 2, reduction),
        ),
        "huber_loss",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_definitions_are_found(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    plant, operation = WRONG[name]
    if operation in KINKS:
        call, values = KINKS[operation]
        arrays = [np.array(value) for value in values]
    else:
        call = {
            "transpose": lambda m, x, *_: m.transpose(x, 0, 1),
            "mm": lambda m, x, y: x.mm(y),
        }.get(operation) or BY_ID[operation].call
        inputs = len(BY_ID[operation].domains)
        arrays = [np.arange(1.0, 5).reshape(2, 2) / (i + 1) for i in range(inputs)]
    check(call, arrays)
    plant(monkeypatch)
    with pytest.raises(AssertionError):
        check(call, arrays)
