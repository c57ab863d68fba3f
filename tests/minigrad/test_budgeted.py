"""Budgeted arrays: the values of plain arrays, and deviations that real errors keep to."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import minigrad
from minigrad import nn, optim
from minigrad.arrays.budgeted import BudgetedArray
from minigrad.arrays.budgeted.kinks import FOLLOWED, NEAR, counting_kinks
from minigrad.arrays.budgeted.matrix_products import product_of_variances
from minigrad.arrays.budgeted.summation import LONG, copies
from minigrad.arrays.conversion import budgeted
from minigrad.vocabulary import FUNCTIONS, REDUCTIONS, UFUNCS

Array = np.ndarray[Any, np.dtype[Any]]
U = 2.0**-24

array: Any = BudgetedArray  # whose results are taken to be what they are

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")


def plain(x: Any) -> Array:
    return np.asarray(x)


# ---- deviations -----------------------------------------------------------------------------

# Each call with the intervals its inputs are from.
CALLS: dict[str, tuple[Callable[..., Any], list[tuple[float, float]]]] = {
    "absolute": (np.absolute, [(-3, 3)]),
    "add": (np.add, [(-3, 3), (-3, 3)]),
    "divide": (np.divide, [(-3, 3), (0.5, 3)]),
    "exp": (np.exp, [(-3, 3)]),
    "log": (np.log, [(1.5, 9)]),
    "log1p": (np.log1p, [(0.5, 8)]),
    "maximum": (np.maximum, [(-3, 3), (-3, 3)]),
    "minimum": (np.minimum, [(-3, 3), (-3, 3)]),
    "multiply": (np.multiply, [(-3, 3), (-3, 3)]),
    "negative": (np.negative, [(-3, 3)]),
    "positive": (np.positive, [(-3, 3)]),
    "power": (np.power, [(0.5, 3), (-2, 2)]),
    "sin": (np.sin, [(-3, 3)]),
    "cos": (np.cos, [(-3, 3)]),
    "sqrt": (np.sqrt, [(0.5, 3)]),
    "square": (np.square, [(-3, 3)]),
    "subtract": (np.subtract, [(-3, 3), (-3, 3)]),
    "tanh": (np.tanh, [(-2, 2)]),
    "matmul": (np.matmul, [(-3, 3), (-3, 3)]),
    "matmul of positive": (np.matmul, [(0, 3), (0, 3)]),
    "matmul, transposed": (lambda x, y: np.matmul(x.mT, y), [(-3, 3), (-3, 3)]),
    "add.reduce": (lambda x: np.add.reduce(x, axis=0), [(-3, 3)]),
    "add.reduce of positive": (lambda x: np.add.reduce(x, axis=1, keepdims=True), [(0, 3)]),
    "add.reduce, all": (lambda x: np.add.reduce(x, axis=None), [(-3, 3)]),
    "maximum.reduce": (lambda x: np.maximum.reduce(x, axis=1), [(-3, 3)]),
    "minimum.reduce": (lambda x: np.minimum.reduce(x, axis=0), [(-3, 3)]),
    "reshape": (lambda x: np.reshape(x, (-1,)), [(-3, 3)]),
    "transpose": (lambda x: np.transpose(x, (1, 0)), [(-3, 3)]),
    "broadcast_to": (lambda x: np.broadcast_to(x, (2, *x.shape)), [(-3, 3)]),
    "concatenate": (lambda x, y: np.concatenate([x, y], axis=1), [(-3, 3), (-3, 3)]),
    "copy": (np.copy, [(-3, 3)]),
    "where": (lambda x, y: np.where(np.arange(x.shape[1]) % 2 == 0, x, y), [(-3, 3), (-3, 3)]),
    "getitem": (lambda x: x[1:, ::2], [(-3, 3)]),
    "astype": (lambda x: np.astype(x, np.float64), [(-3, 3)]),
}
ROUNDED = ["add", "divide", "exp", "log", "log1p", "multiply", "power", "sqrt", "square"]
ROUNDED += ["sin", "cos", "subtract", "tanh"]
ROUNDED += [name for name in CALLS if name.startswith(("matmul", "add.reduce"))]


def inputs(rng: np.random.Generator, intervals: list[tuple[float, float]], side: int) -> list[Any]:
    return [rng.uniform(*interval, (side, side)).astype(np.float32) for interval in intervals]


def ratios(out: Any, exact: Array) -> Array:
    error = np.abs(plain(out).astype(np.float64) - exact)
    return np.asarray(error / np.maximum(out.deviation, 1e-300))


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("side", [7, 40, 300])
def test_own_rounding_is_of_the_size_of_the_deviation(name: str, side: int) -> None:
    call, intervals = CALLS[name]
    arrays = inputs(np.random.default_rng(side), intervals, side)
    out = call(*map(array, arrays))
    exact = call(*(each.astype(np.float64) for each in arrays))
    assert np.array_equal(plain(out), call(*arrays))
    if name in ROUNDED:
        found = ratios(out, exact)
        assert found.max() < 5
        assert out.size == 1 or np.sqrt(np.square(found).mean()) > 0.015
    else:
        assert not out.variance.any()
        assert np.array_equal(plain(out), exact)
    assert not out.slack.any()


@pytest.mark.parametrize(
    ("name", "which"),
    [(name, i) for name, (_, inputs) in CALLS.items() for i in range(len(inputs))],
)
def test_errors_of_inputs_pass_on(name: str, which: int) -> None:
    """Errors that are known, a thousand roundoffs large, against the predicted deviation."""
    call, intervals = CALLS[name]
    rng = np.random.default_rng(5)
    arrays = inputs(rng, intervals, 60)
    variance = np.square(rng.uniform(500, 2000, arrays[which].shape))
    values: list[Any] = [array(each) for each in arrays]
    values[which] = array(arrays[which], variance)
    out = call(*values)
    true = [each.astype(np.float64) for each in arrays]
    errors = []
    for _ in range(1 if out.size > 100 else 400):
        moved = list(true)
        moved[which] = true[which] + rng.standard_normal((60, 60)) * np.sqrt(variance) * U
        errors.append(ratios(out, call(*moved)))
    # A choice in doubt takes the larger error of two; there are few of those here.
    size = np.sqrt(np.square(np.array(errors))[np.array(errors) < 1e6].mean())
    lower = 0.9
    if name in ("maximum", "minimum", "where", "concatenate"):
        lower = 0.5  # half is of the exact input
    elif name == "matmul of positive":
        lower = 0.1  # the errors might be common to all terms, and are not: see the next test
    assert lower < size < 1.1


@pytest.mark.parametrize("side", ["left", "right"])
def test_an_error_that_is_common_to_a_vector_does_not_average_out(side: str) -> None:
    rng = np.random.default_rng(3)
    gradients, weights = (rng.uniform(0, 3, (40, 40)).astype(np.float32) for _ in range(2))
    relative = 1000.0  # in roundoffs
    inexact = array(gradients, np.square(gradients.astype(np.float64) * relative))
    exact = gradients.astype(np.float64)
    moved = exact * (1 + rng.standard_normal((40, 1)) * relative * U)
    if side == "left":
        out, true = np.matmul(inexact, weights), moved @ weights
    else:
        out, true = np.matmul(weights, inexact.mT), weights @ moved.T
    assert 0.7 < np.sqrt(np.square(ratios(out, true)).mean()) < 1.3


def test_every_word_of_the_vocabulary_is_tested_here() -> None:
    words = " ".join([*CALLS, "zeros_like", "sign", "logical_and", *DIVISIONS, *COMPARISON_UFUNCS])
    for word in UFUNCS | FUNCTIONS:
        assert word.__name__ in words
    for word in REDUCTIONS:
        assert f"{word.__name__}.reduce" in words


DIVISIONS = ["floor_divide", "remainder"]


@pytest.mark.parametrize("name", DIVISIONS)
def test_what_is_rounded_to_an_integer_must_be_exact(name: str) -> None:
    """There the quotient jumps: no error of it can be bounded."""
    divide, x, y = getattr(np, name), np.array([7.5, -7.5], "f4"), np.array([2, 2], "f4")
    assert np.array_equal(plain(divide(array(x), array(y))), divide(x, y))
    for variances in ([np.ones(2), None], [None, np.ones(2)]):
        operands = [array(z, variance) for z, variance in zip((x, y), variances, strict=True)]
        with pytest.raises(TypeError, match=f"{name}: inexact values have no budget"):
            divide(*operands)


COMPARISON_UFUNCS = ["equal", "not_equal", "less", "less_equal", "greater", "greater_equal"]


def test_scattered_sums() -> None:
    rng = np.random.default_rng(1)
    values = rng.uniform(0, 1, 2000).astype(np.float32)
    key = rng.integers(0, 10, 2000)
    out: Any = np.zeros_like(array(np.ones(10, np.float32)))
    assert not out.variance.any()
    np.add.at(out, key, array(values, np.full(2000, 1e6)))
    exact, moved = np.zeros(10), np.zeros(10)
    np.add.at(exact, key, values.astype(np.float64))
    np.add.at(moved, key, values + rng.standard_normal(2000) * 1e3 * U)
    assert 0.3 < np.sqrt(np.square(ratios(out, moved)).mean()) < 1.5
    once: Any = array(np.zeros(10, np.float32))
    np.add.at(once, np.arange(3), array(values[:3]))
    assert not once.variance.any()  # nothing was rounded
    once = array(np.full(3, 5, np.float32))
    np.add.at(once, np.array([0, 0, 1]), array(values[:3]))
    squares = np.square([[5, values[0], values[1]], [5, values[2], 0]]).sum(axis=1)
    expected = [3, 2] * (squares + np.square(plain(once)[:2], dtype=float) * (1 / 3 + 1 / 64))
    np.testing.assert_allclose(once.variance, [*expected, 0], rtol=1e-6)
    np.add.at(once, np.array([2, 2]), array(values[:2], None, np.array([4.0, 5.0])))
    assert once.slack.tolist() == [0, 0, 9]


def test_narrowing_rounds_and_widening_changes_the_unit() -> None:
    wide = np.random.default_rng(2).uniform(1, 2, 1000)
    narrow: Any = np.astype(array(wide), np.float32)
    assert 0.3 < np.sqrt(np.square(ratios(narrow, wide)).mean()) < 1.5
    back: Any = np.astype(narrow, np.float64)
    np.testing.assert_allclose(back.deviation, narrow.deviation)
    mixed = np.add(narrow, array(wide))  # a float32 error among float64 values
    np.testing.assert_allclose(mixed.deviation, narrow.deviation, rtol=1e-6)
    with pytest.raises(TypeError, match="compare them instead"):
        np.astype(narrow, np.int64)


def test_numbers_that_the_dtype_lacks_are_inexact() -> None:
    x = array(np.zeros(3, np.float32))
    np.testing.assert_allclose(np.add(x, 0.5).variance, 0.5**2 / 3)
    np.testing.assert_allclose(np.add(x, 0.1).variance, 2 * 0.1**2 / 3, rtol=1e-6)


def test_where_a_derivative_is_zero_or_infinite() -> None:
    x = array(np.zeros(2, np.float32), np.array([0.0, 1e6]))
    assert np.power(x, 0.5).variance[0] == 0
    np.testing.assert_allclose(np.square(x).deviation, [0, NEAR * (1e3 * U) ** 2])
    assert np.sqrt(x).deviation.tolist() == [0, np.sqrt(1e3 * U)]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_tiny_and_huge_values_keep_their_variance(dtype: Any) -> None:
    for scale in (1e-30, 1e-18, 1.0, 1e15):
        x = array(np.full((4, 4), scale, dtype))
        out = np.add.reduce(np.matmul(x, np.ones((4, 4), dtype)), axis=0)
        assert np.isfinite(out.deviation).all()
        unit = float(np.finfo(dtype).eps) / 2
        assert (out.deviation > 0.3 * unit * plain(out)).all()
        assert (out.deviation < 10 * unit * plain(out)).all()


def of_layer(rng: np.random.Generator, rows: int, copies: int) -> Any:
    """What a layer returns, (rows·copies, 5), for data of which each row occurs `copies` times."""
    x = np.repeat(rng.uniform(-1, 1, (rows, 30)), copies, axis=0).astype(np.float32)
    return np.matmul(array(x), rng.uniform(-1, 1, (30, 5)).astype(np.float32))


def test_equal_rows_have_equal_errors() -> None:
    """A sum over rows that are copies of one another errs by as many times the error of one.

    Two layers' outputs are multiplied as for the gradient of a weight. That one of them has
    different rows takes nothing from the error that all rows of the other have in common.
    """
    rng = np.random.default_rng(0)
    n, relative = 200, 1000.0  # the error of every row, in roundoffs
    weight, others = rng.uniform(1, 2, (30, 1)).astype(np.float32), rng.uniform(1, 2, (n, 30))
    rows = np.repeat(rng.uniform(1, 2, (1, 30)), n, axis=0).astype(np.float32)
    moved = rows.astype(np.float64) * (1 + relative * U) @ weight
    equal: Any = np.matmul(array(rows, np.square(rows.astype(np.float64) * relative)), weight)
    different: Any = np.matmul(array(others.astype(np.float32)), weight)
    exact = plain(different).astype(np.float64)
    for out, true in (
        (np.add.reduce(equal, axis=0), moved.sum(axis=0)),
        (np.add.reduce(equal, axis=None), moved.sum()),
        (np.matmul(equal.mT, different), moved.T @ exact),
        (np.matmul(different.mT, equal), exact.T @ moved),
    ):
        np.testing.assert_allclose(ratios(out, true), 1, atol=0.05)


def repeats(x: Any) -> Any:
    return x._budgeted.repeats


def test_repeats_are_found_and_passed_on() -> None:
    rng = np.random.default_rng(0)
    different = of_layer(rng, 200, 1)
    for out, count in ((different, 1), (of_layer(rng, 1, 200), 200), (of_layer(rng, 50, 4), 4)):
        assert repeats(out) == (-2, count)
        assert repeats(out.mT) == repeats(np.transpose(out, (1, 0))) == (-1, count)
    out = BudgetedArray.of(different._budgeted._replace(repeats=(-2, 7.0)))
    weight = rng.uniform(-1, 1, (5, 5)).astype(np.float32)
    for result in (np.square(out), np.maximum(out, 0), np.multiply(different, out)):
        assert repeats(result) == (-2, 7)
    assert repeats(np.matmul(out, weight)) == (-2, 7)
    assert repeats(np.matmul(out, 0 * weight)) == (-2, 200)  # they have become equal
    assert copies(np.array([[1.0], [2.0], [2.0], [2.0]])) == (1**2 + 3**2) / 4


def test_variances_are_the_documented_ones() -> None:
    """Those of sums, whose real errors are often much smaller, in the formulas of docstrings."""
    rng = np.random.default_rng(0)
    x, y = of_layer(rng, 6, 4), of_layer(rng, 24, 1)

    def expected(x: Any, y: Any, copies: float) -> Any:
        """σ² = m·Σ(xᵢ²·σ²(yᵢ) + yᵢ²·σ²(xᵢ)) + n·(Σ(xᵢ·yᵢ)² + v²/3 + m·v²/64)."""
        n, a, b = x.shape[1], plain(x).astype(np.float64), plain(y).astype(np.float64)
        inputs = copies * (a**2 @ y.variance + x.variance @ b**2)
        return inputs + n * (a**2 @ b**2 + (a @ b) ** 2 * (1 / 3 + copies / 64))

    ones = array(np.ones((1, 24), np.float32))
    cases: list[tuple[Any, Any]] = [
        (np.matmul(x.mT, y), expected(x.mT, y, 4)),
        (np.matmul(y.mT, x), expected(y.mT, x, 4)),
        (np.matmul(y.mT, y), expected(y.mT, y, 1)),
        (np.matmul(ones, x), expected(ones, x, 4)),
        (np.add.reduce(x, axis=0, keepdims=True), expected(ones, x, 4)),
        (np.add.reduce(x, axis=1), expected(x, array(np.ones((5, 1), np.float32)), 1)[:, 0]),
    ]
    for out, variance in cases:
        np.testing.assert_allclose(out.variance, variance, rtol=1e-4)
    column, row = array(plain(y)[:, :1]), array(plain(y)[:1])
    outer: Any = np.matmul(column, row)
    np.testing.assert_allclose(outer.variance, plain(outer).astype(np.float64) ** 2 / 3, rtol=1e-5)
    tanh: Any = np.tanh(column)
    np.testing.assert_allclose(tanh.variance, 4 * plain(tanh).astype(np.float64) ** 2)
    bias = rng.uniform(10, 20, 5).astype(np.float32)
    biased: list[Any] = [np.add(y, bias), np.add(bias, y)]
    for moved in biased:  # a bias may be one of the 30 terms
        own = (plain(moved).astype(np.float64) ** 2 + 30 * bias.astype(np.float64) ** 2) / 3
        np.testing.assert_allclose(moved.variance, y.variance + own, rtol=1e-5)


def test_equal_terms_are_rounded_alike() -> None:
    """In sums, also where they differ by less than the sum can tell, and in products.

    The terms of a product are equal because one factor's are, or by the sizes of both.
    """
    rng = np.random.default_rng(0)
    n, ratio = 1000, []
    one, varied = np.ones(n, np.float32), rng.uniform(1, 2, n).astype(np.float32)
    for term in rng.uniform(1, 2, 100).astype(np.float32):
        equal = np.full(n, term, np.float32)
        near = equal * (1 + rng.uniform(0, 1e-5, n)).astype(np.float32)
        found = []
        for left, right in (
            ([one], [equal, varied]),
            ([one, varied], [equal]),
            ([varied], [term / varied]),
            ([one], [near]),
        ):
            out = np.matmul(array(np.stack(left)), array(np.stack(right, axis=1)))
            exact = np.multiply(left[0], right[0], dtype=np.float64).sum()
            error = abs(np.add.accumulate(left[0] * right[0])[-1] - exact)
            found.append(error / out.deviation[0, 0])
        found.append(error / np.add.reduce(array(near[:, None]), axis=0).deviation[0])
        ratio.append(found)
    worst = np.max(ratio, axis=0)
    assert (worst > 1).all()
    assert (worst < 2.5).all()


def test_partial_sums_that_are_large_and_cancel_are_seen() -> None:
    terms = np.linspace(-1, 1, 8 * LONG).astype(np.float32)[:, None]
    ordered = np.add.reduce(array(terms), axis=0).deviation
    mixed = np.add.reduce(array(np.random.default_rng(0).permutation(terms)), axis=0).deviation
    assert ordered > 5 * mixed
    both = np.stack([terms[:, 0], np.random.default_rng(0).permutation(terms)[:, 0]])
    found = np.add.reduce(array(both), axis=1).deviation
    np.testing.assert_allclose(found, [ordered[0], mixed[0]], rtol=1e-6)
    summed = np.add.accumulate(terms, axis=0)[-1]
    assert abs(summed - terms.astype(np.float64).sum()) < 5 * ordered
    one = np.ones((1, 8 * LONG), np.float32)
    as_product = np.matmul(array(one), array(terms)).deviation
    assert as_product.ravel() == pytest.approx(ordered, rel=0.3)


def test_products_of_variances_lose_nothing() -> None:
    rng = np.random.default_rng(0)
    for spread in (1, 20, 60):
        x, y = (10.0 ** rng.uniform(-spread, spread, (20, 20)) for _ in range(2))
        x[:, 3] = y[5] = 0
        found, exact = product_of_variances(x, y, np.dtype(np.float32)), x @ y
        np.testing.assert_allclose(found, exact, rtol=1e-5)
    x, y = np.array([[1, 1e-25, 0]]), np.array([[0], [1e-25], [1]])
    np.testing.assert_allclose(product_of_variances(x, y, np.dtype(np.float32)), x @ y)


# ---- values ---------------------------------------------------------------------------------


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_training_has_the_same_bits(momentum: float) -> None:
    minigrad.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 2))
    twin = nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 2))
    twin.load_state_dict(model.state_dict())
    budgeted(twin)
    x, y = minigrad.randn(20, 3), minigrad.randn(20, 2)
    networks = [(model, x, y), (twin, budgeted(x), budgeted(y))]
    optimizers = [
        optim.SGD(m.parameters(), lr=0.05, momentum=momentum, weight_decay=0.01)
        for m, _, _ in networks
    ]
    for _ in range(5):
        for (network, inputs, targets), optimizer in zip(networks, optimizers, strict=True):
            optimizer.zero_grad()
            nn.MSELoss()(network(inputs), targets).backward()
            optimizer.step()
    for (name, expected), actual in zip(model.named_parameters(), twin.parameters(), strict=True):
        assert np.array_equal(plain(actual._array), plain(expected._array)), name
        found: Any = actual._array
        assert isinstance(found, BudgetedArray)
        assert (found.deviation > 0).any()


def test_writing() -> None:
    x = array(np.zeros((2, 3), np.float32))
    inexact = array(np.ones(3, np.float32), np.full(3, 9.0))
    with pytest.raises(TypeError, match="view of an exact array"):
        x[0][...] = inexact
    x[1] = inexact
    assert x.variance.tolist() == [[0, 0, 0], [9, 9, 9]]
    x[1, :2] = 5.0
    assert x.variance.tolist() == [[0, 0, 0], [0, 0, 9]]
    x[1][...] = inexact
    assert x.variance.tolist() == [[0, 0, 0], [9, 9, 9]]
    x[...] = 0.0
    assert not x.variance.any()
    assert inexact.variance.tolist() == [9, 9, 9]
    y = np.negative(inexact)
    y[0] = 0.0
    assert inexact.variance.tolist() == [9, 9, 9]  # not shared


# ---- kinks ----------------------------------------------------------------------------------


def near_zero(*multiples: float) -> Any:
    """Values that are so many times their own deviation."""
    values = np.array(multiples) * U * 100
    return array(values.astype(np.float32), np.full(len(multiples), 1e4))


def test_a_relu_slightly_below_zero_is_in_doubt() -> None:
    x = near_zero(-2 * NEAR, -0.5 * NEAR, 0.0, 0.5 * NEAR, 2 * NEAR)
    out: Any = np.maximum(0, x)
    assert not out.slack.any()  # it is continuous
    assert (out.variance > 0).tolist() == [False, True, True, True, True]
    gradient = array(np.array([5, 6, 7, 8, 9], np.float32))
    with counting_kinks() as kinks:
        passed: Any = np.where(out, gradient, 0)
    assert kinks.count == 3
    assert plain(passed).tolist() == [0, 0, 0, 8, 9]
    assert passed.slack.tolist() == [0, 6, 7, 8, 0]
    assert sorted(float(shift.sum()) for shift in passed.shifts.values()) == [-8, 6, 7]


def test_dead_and_exact_values_are_not_in_doubt() -> None:
    dead: Any = np.maximum(0, array(np.array([-1, -2], np.float32), np.ones(2)))
    with counting_kinks() as kinks:
        for x in (dead, array(np.zeros(2, np.float32))):
            np.less_equal(x, 0)
            np.sign(x)
        inexact = near_zero(0.1, 3)
        assert np.equal(inexact, inexact)._budgeted.exact
        assert np.less_equal(inexact, inexact)._budgeted.exact
        for name in COMPARISON_UFUNCS:
            assert getattr(np, name)(array(np.ones(2)), array(np.ones(2)))._budgeted.exact
    assert kinks.count == 0


def test_shifts_are_what_the_other_choice_gives() -> None:
    """A network at a kink, against the same network with its input moved across."""
    minigrad.manual_seed(1)
    model = nn.Sequential(nn.Linear(1, 6), nn.ReLU(), nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 1))
    x, y = minigrad.tensor([[0.5], [-1.0], [2.0]]), minigrad.tensor([[1.0], [2.0], [-1.0]])
    first = model[0]
    with minigrad.no_grad():
        at_zero = int(np.argmax(np.abs(plain(first.weight._array))[:, 0]))
        first.bias[at_zero] = -0.5 * first.weight[at_zero, 0].item()

    def gradients(network: Any, x: Any) -> dict[str, Any]:
        network.zero_grad()
        nn.MSELoss()(network(x), budgeted(y) if network is twin else y).backward()
        return {name: p.grad._array for name, p in network.named_parameters()}

    twin = nn.Sequential(nn.Linear(1, 6), nn.ReLU(), nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 1))
    twin.load_state_dict(model.state_dict())
    budgeted(twin)
    with counting_kinks() as kinks:
        found = gradients(twin, budgeted(x))
    assert kinks.count == 1
    assert plain(twin[1](twin[0](budgeted(x)))._array)[0, at_zero] == 0
    sign = math.copysign(1e-6, first.weight[at_zero, 0].item())
    beside = {}
    for direction in (-1, 1):
        moved = minigrad.tensor([[0.5 + direction * sign], [-1.0], [2.0]])
        beside[direction] = gradients(model, moved)
    for name, each in found.items():
        (shift,) = each.shifts.values() if each.shifts else (np.zeros(each.shape),)
        other = beside[1][name] - beside[-1][name]
        np.testing.assert_allclose(shift, other, atol=2e-4)
    assert np.abs(found["0.weight"].slack).max() > 0.01


def test_sign_and_masks_jump() -> None:
    x = near_zero(0.5, -0.5, 0.0, 100)
    assert np.sign(x).slack.tolist() == [2, 2, 1, 0]
    assert not np.absolute(x).slack.any()
    mask: Any = np.greater(x, 0)
    assert np.multiply(mask, 3.0).slack.tolist() == [3, 3, 3, 0]
    total: Any = np.add.reduce(mask, axis=0, dtype=np.dtype(np.float32))
    assert (float(plain(total)), float(total.slack)) == (2, 3)
    sure = array(np.array([True, False, True, True]))
    assert np.logical_and(mask, sure).slack.tolist() == [1, 0, 1, 0]
    assert np.logical_and(mask, mask).slack.tolist() == [1, 1, 1, 0]


def test_slack_passes_on_linearly_through_absolute_values() -> None:
    slack = np.array([[0.0, 2.0], [1.0, 0.0]])
    x = array(np.array([[1, -1], [2, 3]], np.float32), None, slack)
    y = np.array([[1, -4], [-2, 5]], np.float32)
    np.testing.assert_allclose(np.matmul(x, y).slack, slack @ np.abs(y))
    np.testing.assert_allclose(np.matmul(y, x).slack, np.abs(y) @ slack)
    both = np.abs(plain(x)) @ slack + slack @ np.abs(plain(x)) + slack @ slack
    np.testing.assert_allclose(np.matmul(x, x).slack, both)
    np.testing.assert_allclose(np.multiply(x, y).slack, slack * np.abs(y))
    np.testing.assert_allclose(np.multiply(x, x).slack, 2 * slack * np.abs(plain(x)) + slack**2)
    np.testing.assert_allclose(np.add.reduce(x, axis=0).slack, slack.sum(axis=0))
    np.testing.assert_allclose(np.subtract(y, x).slack, slack)
    z = array(np.zeros((2, 2), np.float32), None, np.full((2, 2), 1.5))
    mask: Any = np.less_equal(x, z)
    assert mask.slack.tolist() == [[1, 1], [1, 0]]
    assert np.less(array(np.ones(1), None, np.ones(1)), 0).slack.tolist() == [1]
    assert np.maximum(x, z).slack.tolist() == [[1.5, 2], [1.5, 0]]
    # In doubt: the slack of what is chosen, that of the jump to the other value, and the jump.
    expected = [[1.5 + 1.5 + 1, 2 + 3.5 + 1], [1.5 + 2.5 + 2, 1.5]]
    assert np.where(mask, x, z).slack.tolist() == expected


def test_shifts_cancel_where_they_should() -> None:
    x = near_zero(0.5)
    chosen: Any = np.where(np.greater(x, 0), array(np.array([2.0], np.float32)), 0.0)
    assert chosen.slack.tolist() == [2]
    assert np.subtract(chosen, chosen).slack.tolist() == [0]
    assert np.add(chosen, chosen).slack.tolist() == [4]


def test_what_the_other_choice_gives_is_rounded_too() -> None:
    chosen: Any = np.where(
        np.greater(near_zero(-0.5, 100), 0), array(np.array([2, 1], np.float32)), 0.0
    )
    assert plain(chosen).tolist() == [0, 1]
    total: Any = np.add.reduce(chosen, axis=0)
    np.testing.assert_allclose(total.variance, 2 * (2**2 + 1 + 1 / 3 + 1 / 64))


def test_of_many_kinks_the_largest_are_followed() -> None:
    n = FOLLOWED + 5
    x = near_zero(*[0.5] * n)
    values = np.arange(1, n + 1).astype(np.float32)
    chosen: Any = np.where(np.greater(x, 0), array(values), 0.0)
    assert len(chosen.shifts) == FOLLOWED
    assert chosen.slack.tolist() == values.tolist()
    assert chosen.unfollowed_slack.tolist() == [*range(1, 6), *[0] * FOLLOWED]


def test_ties_of_an_extremum() -> None:
    x = array(np.array([3, 1, 3 + 1e-6], np.float32), np.full(3, 100.0))
    out: Any = np.maximum.reduce(x, axis=0, keepdims=True)
    with counting_kinks() as kinks:
        tied: Any = np.equal(x, out)
    assert plain(tied).tolist() == [False, False, True]
    assert tied.slack.tolist() == [1, 0, 0]
    assert kinks.count == 1
    slack = np.array([0.5, 2.0])
    assert np.maximum.reduce(array(np.array([10, 0], np.float32), None, slack)).slack == 0.5
    infinite = array(np.array([np.inf, 0], np.float32), np.array([4.0, 9.0]))
    assert np.maximum.reduce(infinite).variance == 4


# ---- overflow -------------------------------------------------------------------------------


def test_where_the_order_decides_whether_a_sum_overflows_anything_goes() -> None:
    largest = float(np.finfo(np.float32).max)
    x = np.array([[0.9, 0.9, -0.9], [0.1, 0.1, 0.1], [np.inf, 0, 0]], np.float32)
    x[:2] *= largest
    for out in (np.add.reduce(array(x), axis=1), np.matmul(array(x), np.ones((3, 1), np.float32))):
        assert np.isinf(out.slack).ravel().tolist() == [True, False, False]


def test_a_sum_is_in_doubt_only_if_its_terms_can_overflow() -> None:
    """√(n·Σtᵢ²) may be far above Σ|tᵢ|, which no partial sum exceeds."""
    x = np.zeros((2, 400), np.float32)
    x[:, 0] = np.finfo(np.float32).max * np.array([0.4, 0.6])
    for out in (
        np.add.reduce(array(x), axis=1),
        np.matmul(array(x), np.ones((400, 1), np.float32)),
    ):
        assert np.isinf(out.slack).ravel().tolist() == [False, True]


def test_a_relu_beside_an_overflow_is_in_doubt_only_if_its_sign_is() -> None:
    x = np.array([[0.9, 0.9, -0.1], [-0.9, -0.9, 0.1], [0.9, 0.9, -0.9], [-0.9, -0.9, 0.9]])
    x, one = (x * np.finfo(np.float32).max).astype(np.float32), np.ones(1, np.float32)
    with counting_kinks() as kinks:
        out: Any = np.maximum(0, np.add(np.matmul(array(x), np.ones((3, 1), np.float32)), one))
        np.where(out, one, 0)
    assert kinks.count == 2
    assert np.isinf(out.slack).ravel().tolist() == [True, False, True, True]


def test_the_sign_of_an_overflow_is_in_doubt_if_the_slack_of_its_terms_can_change_it() -> None:
    """A term may be NaN; here the sum overflows on one side of 0, and torch's is NaN."""
    largest = float(np.finfo(np.float32).max)
    x, ones = np.array([[-0.9, -0.9, 0.1]]) * largest, np.ones((3, 1), np.float32)
    for share, certain in ((0.0, True), (0.01, True), (0.9, False), (np.inf, False)):
        slack = np.array([[0, 0, share * largest]])
        doubtful: Any = np.matmul(BudgetedArray(x.astype(np.float32), slack=slack), ones)
        bias = BudgetedArray(np.zeros(1, np.float32), slack=slack[0, 2:])
        added: Any = np.add(np.matmul(array(x.astype(np.float32)), ones), bias)
        for total in (doubtful, added):
            assert np.isinf(np.maximum(0, total).slack).item() is not certain


def test_beside_an_overflow_every_comparison_is_in_doubt() -> None:
    nan = np.array([np.nan])
    for x in (array(nan, None, np.array([np.inf])), array(np.ones(1), nan)):
        assert np.less(x, 0).slack.tolist() == [1]
    assert np.less(array(nan, np.ones(1)), 0)._budgeted.exact


def test_a_nan_that_is_certain_leaves_no_slack() -> None:
    """What becomes of values beside an overflow does not matter where a NaN comes in, too."""
    doubtful = BudgetedArray(np.array([[0, 1]], np.float32), slack=np.array([[np.inf, 0]]))
    nan = np.array([[np.nan], [1]], np.float32)
    results: tuple[Any, ...] = (
        np.matmul(doubtful, nan),
        np.add(doubtful, nan.T)[:, :1],
        np.multiply(nan.T, doubtful)[:, :1],
        np.add.reduce(np.multiply(doubtful, nan.T), axis=1),
    )
    for found in results:
        assert np.isnan(found._array).all()
        assert not found.slack.any()
    uncertain: Any = np.matmul(doubtful, np.ones((2, 1), np.float32))
    assert np.isinf(uncertain.slack).all(), "without a NaN it is in doubt"
    infinite = np.full(1, np.inf, np.float32)
    of_doubt: Any = np.subtract(BudgetedArray(infinite, slack=np.array([np.inf])), infinite)
    assert not np.equal(of_doubt.slack, 0).any(), "this NaN comes of what is in doubt"
