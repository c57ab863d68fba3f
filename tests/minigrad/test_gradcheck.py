"""gradcheck and gradgradcheck: true rules pass, every planted mistake is found, kinks are told."""

import functools
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import minigrad
from minigrad import nn, tape
from minigrad.autograd import gradcheck, gradgradcheck
from minigrad.autograd.gradcheck import GradcheckError, KinkWarning, compare
from minigrad.autograd.gradcheck.differences import slopes
from minigrad.ops import RULES, Rule
from tests.minigrad.operations import OPERATIONS

Array = Any


def apply(rule: Rule, *xs: Any, **options: Any) -> Any:
    return xs[0]._apply(rule, *xs, **options)


def normal(*shape: int, seed: int = 0) -> Any:
    values = np.random.default_rng([seed, *shape]).normal(size=shape)
    return minigrad.tensor(values, requires_grad=True)


def positive(*shape: int) -> Any:
    return (normal(*shape).abs() + 0.25).detach().requires_grad_()


KEY = (slice(None), np.array([0, 2, 0]))
MASK = minigrad.tensor([[True, False, True], [False, True, True]])

# For every rule that has derivatives its inputs and options, at a generic point.
POINTS: dict[str, tuple[list[Any], dict[str, Any]]] = {
    **{
        name: ([normal(2, 3), normal(3, seed=1)], {})
        for name in ("add", "sub", "mul", "div", "maximum", "minimum", "squared_error", "fill")
    },
    **{
        operation.id: ([normal(2, 3) if operation.domains[0][0] < 0 else positive(2, 3)], {})
        for operation in OPERATIONS
        if operation.id in RULES and operation.elementwise and len(operation.domains) == 1
    },
    "sign": ([normal(2, 3)], {}),
    "clamp": ([normal(2, 3), normal(3) - 1, normal(2, 1) + 1], {}),
    "remainder": ([normal(2, 3), positive(3)], {}),
    "floor_divide": ([normal(2, 3), positive(3)], {}),
    "pow": ([positive(2, 3), normal(3)], {}),
    "reciprocal": ([positive(2, 3)], {}),
    "scale": ([normal(2, 3)], {"factor": 1.5}),
    "power": ([positive(2, 3)], {"exponent": 2.5}),
    "where": ([MASK, normal(2, 3), normal(3, seed=1)], {}),
    "leaky_relu": ([normal(2, 3)], {"negative_slope": 0.2}),
    "softplus": ([normal(2, 3)], {"beta": 1.5, "threshold": 1.0}),
    "astype": ([normal(2, 3)], {"dtype": minigrad.float64}),
    "sum": ([normal(2, 3)], {"axis": (1,)}),
    "mean": ([normal(2, 3)], {"axis": (0,), "keepdims": True}),
    "amax": ([normal(2, 3)], {"axis": (1,)}),
    "amin": ([normal(2, 3)], {"axis": None}),
    "max": ([normal(2, 3)], {}),
    "min": ([normal(2, 3)], {}),
    "pick": ([normal(2, 3), minigrad.tensor([2, 0])], {"axis": 1}),
    "var": ([normal(2, 3)], {"axis": (1,), "correction": 1}),
    "std": ([normal(2, 3)], {"axis": None, "correction": 0}),
    "norm": ([normal(2, 3)], {"axis": (0,), "p": 2.5}),
    "alias": ([normal(2, 3)], {"shape": (1, 2, 3)}),
    "reshape": ([normal(2, 3)], {"shape": (3, 2)}),
    "permute": ([normal(2, 3, 2)], {"axes": (2, 0, 1)}),
    "expand": ([normal(2, 1)], {"shape": (3, 2, 2)}),
    "cat": ([normal(2, 3), normal(2, 1), normal(2, 2)], {"axis": 1}),
    "dot": ([normal(3), normal(3, seed=1)], {}),
    "mv": ([normal(2, 3), normal(3)], {}),
    "matmul": ([normal(2, 2, 3), normal(3, 2)], {}),
    "linear": ([normal(4, 3), normal(2, 3), normal(2)], {}),
    "part": ([normal(2, 3)], {"key": (1, slice(1, None))}),
    "index": ([normal(2, 3)], {"indices": KEY}),
    "scatter": ([normal(2, 3)], {"shape": (2, 4), "indices": KEY}),
    "index_put": ([normal(2, 3), normal(2, 2)], {"indices": (slice(None), np.array([2, 0]))}),
    "mse_loss": ([normal(2, 3), normal(2, 3, seed=1)], {}),
    "huber_loss": ([normal(2, 3), normal(2, 3, seed=1)], {"delta": 0.8}),
    "smooth_l1_loss": ([normal(2, 3), normal(2, 3, seed=1)], {"beta": 0.8}),
}  # fmt: skip

DERIVATIVES = [(name, of) for name, rule in RULES.items() for of in rule._backwards]


def test_every_rule_with_a_derivative_is_here() -> None:
    assert set(POINTS) == {name for name, _ in DERIVATIVES}


@pytest.mark.parametrize("name", POINTS)
def test_true_derivatives_pass(name: str) -> None:
    inputs, options = POINTS[name]

    def function(*xs: Any) -> Any:
        return apply(RULES[name], *xs, **options)

    report = compare(function, inputs)
    assert report.passed, report
    assert not report.kinks
    assert report.elements > 0
    assert gradcheck(function, inputs)
    assert gradgradcheck(function, inputs)


# ---- planted mistakes ------------------------------------------------------------------------


def slightly_large(derivative: Callable[..., Array]) -> Callable[..., Array]:
    return lambda grad_out, *saved: np.multiply(derivative(grad_out, *saved), 1 + 1e-6)


def wrong_sign(derivative: Callable[..., Array]) -> Callable[..., Array]:
    return lambda grad_out, *saved: np.negative(derivative(grad_out, *saved))


def one_missing(derivative: Callable[..., Array]) -> Callable[..., Array]:
    def wrong(grad_out: Array, *saved: Any) -> Array:
        grad = np.array(derivative(grad_out, *saved))
        grad[np.unravel_index(np.argmax(np.abs(grad)), grad.shape)] = 0
        return grad

    return wrong


def extra_term(derivative: Callable[..., Array]) -> Callable[..., Array]:
    def wrong(grad_out: Array, *saved: Any) -> Array:
        grad = derivative(grad_out, *saved)
        return np.add(grad, 1e-6 * np.max(np.abs(grad_out)) * np.ones(grad.shape))

    return wrong


def not_linear(derivative: Callable[..., Array]) -> Callable[..., Array]:
    return lambda grad_out, *saved: derivative(grad_out * np.abs(grad_out), *saved)


def blind_to_grad_out(derivative: Callable[..., Array]) -> Callable[..., Array]:
    return lambda grad_out, *saved: derivative(np.ones_like(grad_out), *saved)


def planted(name: str, of: str, mistake: Callable[..., Any]) -> Rule:
    """A rule with a mistake in one of its derivatives."""
    true: dict[str, Any] = RULES[name]._backwards
    wrong: Any = functools.wraps(true[of])(mistake(true[of]))  # the same name and parameters
    return Rule(RULES[name].forward, *({**true, of: wrong}.values()))


MISTAKES = [slightly_large, wrong_sign, one_missing, extra_term, not_linear, blind_to_grad_out]


@pytest.mark.parametrize(("name", "of"), DERIVATIVES)
def test_mistakes_are_found(name: str, of: str) -> None:
    inputs, options = POINTS[name]
    if of == "condition":  # by a number, as in the derivative of relu: a mask has no derivative
        inputs = [normal(2, 3, seed=2), *inputs[1:]]

    def passes(mistake: Callable[..., Any]) -> bool:
        rule = planted(name, of, mistake)
        return gradcheck(lambda *xs: apply(rule, *xs, **options), inputs, raise_exception=False)

    assert passes(lambda derivative: lambda *arguments: derivative(*arguments))
    # No factor changes a derivative of 0.
    is_zero = (name, of) in {("sign", "x"), ("fill", "x"), ("where", "condition")}
    is_zero |= name == "floor_divide"
    found = [extra_term] if is_zero else MISTAKES
    assert [mistake.__name__ for mistake in found if passes(mistake)] == []


CURVED = ["div", "exp", "log", "mse_loss", "mul", "pow", "power", "reciprocal", "sigmoid", "sqrt"]
CURVED += ["squared_error", "tanh", "matmul"]


def detached(derivative: Callable[..., Array]) -> Callable[..., Array]:
    def wrong(grad_out: Array, *saved: Any) -> Array:
        plain = [x.detach() if isinstance(x, minigrad.Tensor) else x for x in saved]
        return derivative(grad_out, *plain)

    return wrong


def slightly_curved(derivative: Callable[..., Array]) -> Callable[..., Array]:
    """The same value, with a derivative that is slightly large."""

    def wrong(grad_out: Array, *saved: Any) -> Array:
        grad = derivative(grad_out, *saved)
        recorded = isinstance(grad, minigrad.Tensor)
        return grad + 1e-6 * (grad - grad.detach()) if recorded else grad

    return wrong


@pytest.mark.parametrize("mistake", [detached, slightly_curved])
@pytest.mark.parametrize(("name", "of"), [d for d in DERIVATIVES if d[0] in CURVED])
def test_a_wrong_second_derivative_is_found(
    name: str, of: str, mistake: Callable[..., Any]
) -> None:
    inputs, options = POINTS[name]
    rule = planted(name, of, mistake)
    assert gradcheck(lambda *xs: apply(rule, *xs, **options), inputs)
    with pytest.raises(GradcheckError, match="mismatch"):
        gradgradcheck(lambda *xs: apply(rule, *xs, **options), inputs)


def test_gradient_overwritten_where_it_should_be_added_up(monkeypatch: pytest.MonkeyPatch) -> None:
    def overwrite(gradients: Any, node: Any, grad: Any) -> None:
        gradients[node] = grad

    x = normal(3)
    assert gradcheck(lambda x: x * x.tanh() + x, x)
    monkeypatch.setattr(tape, "_accumulate", overwrite)
    assert not gradcheck(lambda x: x * x.tanh() + x, x, raise_exception=False)


def test_repeated_index_overwritten() -> None:
    def overwrite(derivative: Callable[..., Array]) -> Callable[..., Array]:
        def wrong(grad_out: Array, x_shape: Any, indices: Any) -> Array:
            out = np.zeros(x_shape)
            out[indices] = grad_out
            return out

        return wrong

    inputs, options = POINTS["index"]
    rule = planted("index", "x", overwrite)
    assert not gradcheck(lambda x: apply(rule, x, **options), inputs, raise_exception=False)


def test_broadcasting_not_undone(monkeypatch: pytest.MonkeyPatch) -> None:
    def first_row(grad: Array, shape: tuple[int, ...]) -> Array:
        while grad.ndim > len(shape):
            grad = grad[0]
        return grad

    x, y = normal(2, 3), normal(3)
    assert gradcheck(lambda x, y: x * y, (x, y))
    monkeypatch.setattr(tape, "unbroadcast", first_row)
    assert not gradcheck(lambda x, y: x * y, (x, y), raise_exception=False)


# ---- what the report says --------------------------------------------------------------------


def test_the_worst_element_is_named() -> None:
    def wrong(derivative: Callable[..., Array]) -> Callable[..., Array]:
        def factors(grad_out: Array, *saved: Any) -> Array:
            return derivative(grad_out, *saved) * np.array([[1, 1, 1 + 1e-5], [1, 1.5, 1]])

        return factors

    rule = planted("mul", "y", wrong)
    x, y = normal(2, 3), normal(2, 3, seed=1)
    report = compare(lambda x, y: (x + 0, apply(rule, x, y)), (x, y))
    assert report.failed == 2
    assert report.elements == 2 * 12 * 6
    worst = report.worst
    assert worst is not None
    assert (worst.input, worst.input_index) == (1, (1, 1))
    assert (worst.output, worst.output_index) == (1, (1, 1))
    true = x[1, 1].item()
    assert worst.analytical == pytest.approx(1.5 * true, rel=1e-12)
    assert worst.numerical == pytest.approx(true, rel=1e-9)
    assert worst.used > 1e6
    with pytest.raises(GradcheckError) as caught:
        gradcheck(lambda x, y: (x + 0, apply(rule, x, y)), (x, y))
    for part in ("2 of 144", "output 1[1, 1] by input 1[1, 1]", repr(worst.analytical)):
        assert part in str(caught.value)
    assert repr(worst.numerical) in str(caught.value)
    assert f"tolerance {worst.tolerance:.3g}" in str(caught.value)


def test_inputs_are_counted_as_they_are_given() -> None:
    x = normal(2)

    def function(number: float, plain: Any, x: Any) -> Any:
        return number * plain * x.detach() * x

    report = compare(function, [2.0, minigrad.ones(2), x])
    assert report.worst is not None
    assert report.worst.input == 2


def test_inputs_are_left_as_they_were() -> None:
    x = normal(3)
    before = x.tolist()

    def fails(x: Any) -> Any:
        if x.tolist() != before:
            raise KeyError
        return x * 2

    gradcheck(lambda x: x * x, x)
    with pytest.raises(KeyError):
        gradcheck(fails, x)
    assert x.tolist() == before
    assert x.grad is None


# ---- kinks, jumps, ends of domains -----------------------------------------------------------


@pytest.mark.parametrize(
    ("function", "point"),
    [
        (lambda x: x.relu(), [0.0, 1.0]),
        (lambda x: x.abs(), [0.0, -2.0]),
        (lambda x: minigrad.maximum(x[0], x[1]), [1.5, 1.5]),
        (lambda x: minigrad.minimum(x[0], x[1]), [-0.5, -0.5]),
        (lambda x: x.amax(), [2.0, 2.0, 1.0]),
        (lambda x: x.amin(), [2.0, 2.0, 2.0]),
        (lambda x: (x.relu() * 3 + x.exp()).tanh(), [0.0]),
        (lambda x: (x - 1000.0).abs() * 1e-3 + x, [1000.0]),
    ],
)
def test_kinks_are_told_and_pass(function: Any, point: list[float]) -> None:
    x = minigrad.tensor(point, dtype=minigrad.float64, requires_grad=True)
    with pytest.warns(KinkWarning, match="at a kink"):
        assert gradcheck(function, x)


@pytest.mark.parametrize("distance", [1e-1, 1e-3, 1e-6])
def test_a_kink_nearby_is_none(distance: float) -> None:
    x = minigrad.tensor([distance, -distance], dtype=minigrad.float64, requires_grad=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert gradcheck(lambda x: x.relu() + x.abs() * x.exp(), x)


def test_a_derivative_outside_the_slopes_at_a_kink_is_wrong() -> None:
    rule = planted("relu", "x", lambda d: lambda grad_out, out: np.multiply(grad_out, 1 + 1e-5))
    x = minigrad.zeros(1, dtype=minigrad.float64, requires_grad=True)
    with pytest.raises(GradcheckError, match=r"slopes are 0\.0 on the left and 1\.0 on the right"):
        gradcheck(lambda x: apply(rule, x), x)


@pytest.mark.parametrize(
    "function",
    [
        lambda x: minigrad.where(x > 0, x + 1, x),
        lambda x: minigrad.where(x == 0, x + 1, x),
        lambda x: x.abs().sqrt(),
        lambda x: x**1.5,
        lambda x: x + minigrad.rand(1, dtype=minigrad.float64),
    ],
    ids=["jump", "isolated", "cusp", "end of the domain", "random"],
)
def test_where_there_is_no_derivative_nothing_passes(function: Any) -> None:
    minigrad.manual_seed(1)  # one seed in thirty looks like a kink
    x = minigrad.zeros(1, dtype=minigrad.float64, requires_grad=True)
    assert not gradcheck(function, x, raise_exception=False)
    if function(x).requires_grad and not np.isnan(function(x).item()):
        report = compare(function, x)
        assert not report.passed
        assert "settle" in str(report) or "wrong" in str(report)


def test_a_gradient_that_cancels_at_kinks_is_wrong() -> None:
    # relu(x) - relu(-x) is x, with the derivative 1; engines give 0 at 0 (Kakade and Lee 2018).
    x = minigrad.zeros(1, dtype=minigrad.float64, requires_grad=True)
    with pytest.raises(GradcheckError, match=r"analytical 0\.0, numerical 1\.0"):
        gradcheck(lambda x: x.relu() - (-x).relu(), x)


# ---- arguments -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("inputs", "function", "words"),
    [
        ("x.float()", "x * 2", "an input is float32.*three.*double"),
        ("x", "x.float()", "an output is float32"),
        ("x.detach()", "x * 2", "requires_grad=True"),
        ("3.0", "x", "requires_grad=True"),
        ("x[:1].expand(3)", "x * 2", "read-only"),
    ],
)
def test_what_is_refused(inputs: str, function: str, words: str) -> None:
    point = eval(inputs, {"x": normal(3)})
    with pytest.raises(ValueError, match=words):
        gradcheck(lambda x: eval(function, {"x": x}), point)


def test_an_output_that_needs_no_gradient_must_not_depend_on_the_inputs() -> None:
    x = normal(3)
    assert gradcheck(lambda x: (x * 2, minigrad.ones(2).double()), x)
    assert gradcheck(lambda x: minigrad.ones(2).double(), x)
    with pytest.raises(GradcheckError):
        gradcheck(lambda x: (x * 2, x.detach() * 2), x)


def test_tolerances_and_steps_may_be_given() -> None:
    rule = planted("tanh", "x", lambda d: lambda *a: np.multiply(d(*a), 1 + 1e-4))
    x = normal(3)
    assert not gradcheck(lambda x: apply(rule, x), x, raise_exception=False)
    assert gradcheck(lambda x: apply(rule, x), x, rtol=1e-3)
    assert gradcheck(lambda x: apply(rule, x), x, atol=1e-3)
    assert not gradcheck(lambda x: apply(rule, x), x, atol=1e-6, rtol=1e-6, raise_exception=False)
    assert gradcheck(lambda x: x.tanh(), x, eps=1e-3)


def test_steps_stay_within_what_is_given() -> None:
    seen: list[float] = []

    def function(x: Any) -> Any:
        seen.append(x.item())
        return x * x

    x = minigrad.ones(1, dtype=minigrad.float64, requires_grad=True)
    gradcheck(function, x, eps=1e-3)
    assert 0 < max(abs(value - 1) for value in seen) <= 1e-3 * (1 + 1e-12)


@pytest.mark.parametrize("x", [1e-6, 1e-3, 1.0, 1e3, 1e6])
@pytest.mark.parametrize(
    ("f", "slope"),
    [
        (np.log, lambda x: 1 / x),
        (np.sqrt, lambda x: 0.5 / np.sqrt(x)),
        (lambda x: 1 / x, lambda x: -1 / x**2),
        (lambda x: np.tanh(x + 1), lambda x: 1 / np.cosh(np.minimum(x + 1, 300)) ** 2),
        (np.sin, np.cos),
        (lambda x: x * x, lambda x: 2 * x),
    ],
)
def test_slopes_are_accurate_and_know_how_accurate(f: Any, slope: Any, x: float) -> None:
    with np.errstate(all="ignore"):
        found = slopes(lambda t: np.array([f(np.float64(t))]), x)
    true = float(slope(x))
    assert abs(found.value[0] - true) <= 10 * found.error[0]
    assert found.error[0] <= 1e-7 * max(abs(true), found.scale)
    assert not found.kink[0]


def test_a_networks_parameters_are_varied_in_place() -> None:
    minigrad.manual_seed(0)
    model = nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 1)).double()
    x = normal(4, 2)
    loss = nn.MSELoss()

    def function(*_: Any) -> Any:
        return loss(model(x), minigrad.ones(4, 1).double())

    parameters = tuple(model.parameters())
    assert gradcheck(function, (x, *parameters))
    assert gradgradcheck(function, (x, *parameters))
    report = compare(function, parameters)
    assert report.elements == sum(p.numel() for p in parameters)


def test_second_derivatives_in_given_directions() -> None:
    x = normal(3)
    vector = minigrad.ones(3, dtype=minigrad.float64)
    assert gradgradcheck(lambda x: x.exp(), x, vector)
    assert gradgradcheck(lambda x: (x.exp(), x.sum()), x, (vector, minigrad.ones(()).double()))
    assert not vector.requires_grad
