"""Reproducible arrays: exact slices, no order, no threads, and the engine running on them."""

import hashlib
import itertools
import math
import operator
import os
import subprocess
import sys
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

import minigrad
from minigrad import nn, optim
from minigrad.arrays.conversion import reproducible
from minigrad.arrays.reproducible import slices, sums
from minigrad.arrays.reproducible.array import REFUSED, ReproducibleArray
from minigrad.arrays.reproducible.slices import FORMATS, Slices, Splits
from minigrad.vocabulary import FUNCTIONS, UFUNCS

Array = np.ndarray[Any, np.dtype[Any]]
DTYPES = [np.float32, np.float64]
ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")


def matmul(x: Array, y: Array) -> Array:
    product: Array = np.asarray(np.matmul(ReproducibleArray(x), ReproducibleArray(y)))
    return product


def total(x: Array, **options: Any) -> Array:
    return np.asarray(np.add.reduce(ReproducibleArray(x), **options))


def matrix(rng: np.random.Generator, shape: tuple[int, int], dtype: Any, span: int = 0) -> Array:
    """Normal values times powers of two, the rows' and columns' from 2^-span to 2^span."""
    rows = rng.integers(-span, span + 1, (shape[0], 1))
    columns = rng.integers(-span, span + 1, (1, shape[1]))
    values: Array = np.ldexp(rng.standard_normal(shape), rows + columns).astype(dtype)
    return values


def rational(x: Array) -> list[list[Fraction]]:
    return [[Fraction(float(v)) for v in row] for row in x]


def rational_product(x: Array, y: Array) -> list[list[Fraction]]:
    columns = list(zip(*rational(y), strict=True))
    return [
        [sum((a * b for a, b in zip(row, column, strict=True)), Fraction(0)) for column in columns]
        for row in rational(x)
    ]


def bits(x: Array) -> bytes:
    x = np.ascontiguousarray(np.where(np.isnan(x), x.dtype.type(np.nan), x))
    found: bytes = x.tobytes()
    return found


def units(part: Array) -> tuple[Array, int]:
    """A slice as integers and the exponent of their unit."""
    mantissas, exponents = np.frexp(part)
    integers = np.ldexp(mantissas, 53).astype(np.int64)
    lowest_bits = np.log2(np.where(integers == 0, 2.0**60, integers & -integers)).astype(int)
    unit = int(np.min(exponents - 53 + lowest_bits))
    return np.ldexp(part, -unit).astype(np.int64), unit


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("terms", [2, 3, 64, 65, 100, 512, 513, 4096, 100_000])
def test_products_of_slices_are_exact(terms: int, dtype: Any) -> None:
    """In integer arithmetic; the worst case is met, where all elements are as large as can be."""
    rng = np.random.default_rng(terms)
    top = 2 ** slices.slice_width(terms)
    worst = rng.integers(top - min(top // 2, 8), top, (2, terms)).astype(dtype)
    for x in (matrix(rng, (2, terms), dtype), worst):
        for y in (matrix(rng, (2, terms), dtype, span=3), worst):
            left, right = Splits(x).along(1), Splits(y.T).along(0)
            for a, b in itertools.product(left.parts, right.parts):
                (m, unit_m), (n, unit_n) = units(a), units(b)
                exact = (m.astype(object) if terms < 100 else m) @ n
                assert np.array_equal(np.ldexp(a @ b, -unit_m - unit_n), exact.astype(np.float64))
                assert int(np.abs(m) @ np.abs(n)[:, 0] @ [1, 0]) <= 2**53
                fractions = rational_product(a[:1, :40], b[:40, :1])[0][0]
                assert Fraction(float((a[:1, :40] @ b[:40, :1])[0, 0])) == fractions


def test_one_bit_more_is_not_exact(monkeypatch: pytest.MonkeyPatch) -> None:
    """The test above fails then."""
    width = slices.slice_width
    monkeypatch.setattr(slices, "slice_width", lambda length: width(length) + 1)
    with pytest.raises(AssertionError):
        test_products_of_slices_are_exact(4096, np.float32)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("span", [0, 4, 12, 28])
@pytest.mark.parametrize("terms", [1, 2, 17, 100, 3000])
def test_error_bound(terms: int, span: int, dtype: Any) -> None:
    rng = np.random.default_rng([terms, span])
    x, y = matrix(rng, (3, terms), dtype, span), matrix(rng, (terms, 3), dtype, span)
    actual, exact = matmul(x, y), rational_product(x, y)
    u = Fraction(1, 2 ** FORMATS[np.dtype(dtype)].precision)
    for i, j in itertools.product(range(3), range(3)):
        scale = Fraction(float(np.abs(x[i]).max())) * Fraction(float(np.abs(y[:, j]).max()))
        error = abs(Fraction(float(actual[i, j])) - exact[i][j])
        assert error <= u * abs(exact[i][j]) + 5 * terms * u * scale
        if span == 0:
            part = 16 if dtype is np.float32 else 3
            assert error <= u * abs(exact[i][j]) + terms * u * scale / part


@pytest.mark.parametrize("dtype", DTYPES)
def test_positive_terms_are_faithfully_rounded(dtype: Any) -> None:
    """Without cancellation the result is one of the exact value's two neighbours."""
    rng = np.random.default_rng(0)
    x, y = (np.abs(matrix(rng, s, dtype)) + 1 for s in ((5, 200), (200, 5)))
    actual, exact = matmul(x, y), rational_product(x, y)
    for i, j in itertools.product(range(5), range(5)):
        below, above = (Fraction(float(np.nextafter(actual[i, j], dtype(e)))) for e in (0, np.inf))
        assert below < exact[i][j] < above
    sums = total(x, axis=1)
    for row, value in zip(rational(x), sums, strict=True):
        assert Fraction(float(np.nextafter(value, dtype(0)))) < sum(row)
        assert sum(row) < Fraction(float(np.nextafter(value, dtype(np.inf))))


def specified_slices(x: Array) -> tuple[list[tuple[int, list[list[Fraction]]]], int, int]:
    """For each row its exponent and, divided by two to that power, its slices; width and span."""
    precision, most = (24, 20) if x.dtype == np.float32 else (53, 8)
    width = (53 - math.ceil(math.log2(max(x.shape)))) // 2
    exponents = [math.frexp(float(np.abs(row).max()))[1] for row in x]
    span = max(exponents) - min(e for row, e in zip(x, exponents, strict=True) if row.any())
    if span <= most:
        exponents = [max(exponents)] * len(x)
    found = []
    for row, exponent in zip(rational(x), exponents, strict=True):
        rest, parts = [value / Fraction(2) ** exponent for value in row], []
        for number in range(math.ceil((precision + most) / (width + 1))):
            unit = Fraction(2) ** (-width - number * (width + 1))
            parts.append([round(value / unit) * unit for value in rest])  # half to even
            rest = [value - part for value, part in zip(rest, parts[-1], strict=True)]
        found.append((exponent, parts))
    return found, width, span if span <= most else 0


def specified_pairs(left: int, right: int, steps: tuple[int, int], worth: int) -> Any:
    """The slices that are multiplied, as (i, j), in the order in which the products are added."""
    pairs = itertools.product(range(left), range(right))
    used = [(i, j) for i, j in pairs if i * steps[0] + j * steps[1] < worth]
    return sorted(used, key=lambda pair: (-sum(pair), pair[0]))


@pytest.mark.parametrize("dtype", DTYPES)
def test_products_and_sums_are_the_specified_ones(dtype: Any) -> None:
    """In every bit, in rational arithmetic: (1) to (6) of what is pinned down."""
    rng = np.random.default_rng(0)
    precision, most = (24, 20) if dtype is np.float32 else (53, 8)
    for terms, left_span, right_span, shift in (
        *((4, 0, 0, 0), (32, 0, 0, 0), (65, 0, 0, 0), (128, 0, 0, 0), (7, most, 0, 0)),
        *((7, 0, most, 0), (7, most, most, 0), (7, most + 1, 0, 0), (7, 0, most + 1, 0)),
        (7, 100, 0, 0),
        *(((7, 0, 0, -700), (7, most + 1, 0, -700)) if dtype is np.float64 else ()),
    ):
        x, y = rng.uniform(0.5, 1, (6, terms)), rng.uniform(-1, -0.5, (terms, 3))
        x[1], y[:, 1] = np.ldexp(x[1], -left_span), np.ldexp(y[:, 1], -right_span)
        x[2] = 0
        x, y = np.ldexp(x, shift).astype(dtype), np.ldexp(y, min(shift + 450, 0)).astype(dtype)
        (rows, w, row_span), (columns, v, column_span) = map(specified_slices, (x, y.T))
        found = Splits(x).along(1)
        assert (found.width, found.span, len(found.parts)) == (w, row_span, len(rows[0][1]))
        assert np.any(found.shift) == (shift != 0)
        expected, sums_of_x = np.zeros((6, 3), dtype), np.zeros(6, dtype)
        for i, (e, left) in enumerate(rows):
            value = 0.0
            for part in reversed(left):
                value += float(sum(part))
            sums_of_x[i] = float(Fraction(value) * Fraction(2) ** e)
            for j, (f, right) in enumerate(columns):
                value = 0.0
                for a, b in specified_pairs(
                    len(left), len(right), (w + 1, v + 1), precision + 8 + row_span + column_span
                ):
                    value += float(sum(map(operator.mul, left[a], right[b]), Fraction(0)))
                expected[i, j] = float(Fraction(value) * Fraction(2) ** (e + f))
        expected += dtype(0)  # no negative zeros
        assert bits(total(x, axis=1)) == bits(sums_of_x)
        assert bits(matmul(x, y)) == bits(expected)
        a, b = (ReproducibleArray(np.ascontiguousarray(z.T)).mT for z in (x, y))
        assert bits(np.asarray(np.matmul(a, b))) == bits(expected)
        a = ReproducibleArray(x)
        for factor in (a, a.mT.mT):
            assert bits(np.asarray(np.matmul(factor, y))) == bits(expected)
    some, others = (Slices([x] * 3, 23, 0, span) for span in (8, 3))
    pairs = list(sums.pairs(some, others, 53))
    assert pairs == [(0, 2), (1, 1), (2, 0), (0, 1), (1, 0), (0, 0)]
    assert pairs == specified_pairs(3, 3, (24, 24), 53 + 8 + 8 + 3)
    column, row = (rng.standard_normal(shape).astype(dtype) for shape in ((100, 1), (1, 100)))
    assert bits(matmul(column, row)) == bits(column * row)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("span", [0, 5, 28])
def test_order_does_not_matter(span: int, dtype: Any) -> None:
    rng = np.random.default_rng(span)
    x, y = matrix(rng, (20, 700), dtype, span), matrix(rng, (700, 30), dtype, span)
    expected, expected_sum = matmul(x, y), total(x, axis=1)
    plain_differs = False
    for _ in range(5):
        order = rng.permutation(700)
        assert bits(matmul(x[:, order], y[order])) == bits(expected)
        assert bits(total(x[:, order], axis=1)) == bits(expected_sum)
        plain_differs |= bits(np.matmul(x[:, order], y[order])) != bits(np.matmul(x, y))
    assert plain_differs


PRODUCTS_DIGEST = """
import hashlib, numpy as np, os
from minigrad.arrays.reproducible import ReproducibleArray as R
rng = np.random.default_rng(0)
total = hashlib.sha256()
for dtype in ("float32", "float64"):
    x, y = (rng.standard_normal(s).astype(dtype) for s in ((300, 700), (700, 310)))
    for a, b in ((x, y), (x.T, x), (y.T, x.T)):
        total.update(np.asarray(np.matmul(R(a), R(b))).tobytes())
    total.update(np.asarray(np.add.reduce(R(x), axis=None)).tobytes())
print(total.hexdigest())
"""


def test_threads_and_kernels_do_not_matter() -> None:
    found = set()
    for settings in (
        {"OPENBLAS_NUM_THREADS": "1"},
        {"OPENBLAS_NUM_THREADS": "2"},
        {"OPENBLAS_NUM_THREADS": "1", "OPENBLAS_CORETYPE": "Nehalem"},  # no fused multiply-add
    ):
        done = subprocess.run(
            [sys.executable, "-c", PRODUCTS_DIGEST],
            cwd=ROOT,
            env={**os.environ, **settings},
            check=True,
            capture_output=True,
            text=True,
        )
        found.add(done.stdout)
    assert len(found) == 1
    assert len(found.pop().strip()) == 64


@pytest.mark.parametrize("dtype", DTYPES)
@hypothesis.given(data=st.data())
def test_not_finite_elements_have_their_class(dtype: Any, data: st.DataObject) -> None:
    values = st.sampled_from([0.0, -0.0, 1.0, -2.5, np.inf, -np.inf, np.nan, 3e38, -3e38])
    n, k, m = (data.draw(st.integers(1, 4)) for _ in range(3))
    x, y = (
        np.array(data.draw(st.lists(values, min_size=a * b, max_size=a * b)), dtype).reshape(a, b)
        for a, b in ((n, k), (k, m))
    )
    # Larger exponents than the dtype's, so that finite terms cannot overflow.
    terms = x.astype(np.longdouble)[:, :, None] * y.astype(np.longdouble)[None]
    expected = terms.sum(axis=1)
    actual = matmul(x, y)
    special = ~np.isfinite(expected)
    assert bits(actual[special]) == bits(expected[special].astype(dtype))
    sums = x.astype(np.longdouble).sum(axis=0)
    special = ~np.isfinite(sums)
    assert bits(total(x, axis=0)[special]) == bits(sums[special].astype(dtype))
    assert np.isfinite(np.where(special, 0, total(x / 8, axis=0))).all()


@pytest.mark.parametrize("dtype", DTYPES)
def test_ends_of_the_range(dtype: Any) -> None:
    tiny, huge = np.finfo(dtype).smallest_subnormal, np.finfo(dtype).max
    one = np.ones((2, 1), dtype)
    assert total(np.full((2, 2), tiny, dtype), axis=1).tolist() == [2 * float(tiny)] * 2
    assert matmul(np.full((1, 2), tiny, dtype), one).tolist() == [[2 * float(tiny)]]
    assert matmul(np.full((1, 2), huge, dtype), one).tolist() == [[np.inf]]
    assert matmul(np.array([[huge, -huge]], dtype), 4 * one).tolist() == [[0.0]]
    near = np.array([[huge, huge]], dtype)
    assert matmul(near, np.array([[tiny], [tiny]], dtype)) == 2 * (float(huge) * float(tiny))
    for zeros in (
        matmul(-0.0 * one.T, one),
        total(-0.0 * one, axis=None),
        matmul(-0.0 * one, one[:1]),
        matmul(np.array([[-tiny, 0]], dtype), np.array([[tiny], [0]], dtype)),
    ):
        assert not np.signbit(zeros).any()
    assert matmul(np.ones((2, 0), dtype), np.ones((0, 3), dtype)).tolist() == [[0] * 3] * 2
    assert matmul(np.ones((0, 2), dtype), np.ones((2, 3), dtype)).shape == (0, 3)
    assert total(np.ones((0, 2), dtype), axis=0).tolist() == [0, 0]


def test_sums_along_any_axes() -> None:
    x = np.random.default_rng(0).standard_normal((2, 3, 4, 5)).astype(np.float32)
    for count in range(5):
        for axis in itertools.combinations(range(4), count):
            for keepdims in (False, True):
                expected = x.astype(np.float64).sum(axis=axis, keepdims=keepdims)
                actual = total(x, axis=axis, keepdims=keepdims)
                assert actual.dtype == np.float32
                np.testing.assert_allclose(actual, expected, rtol=1e-6, atol=1e-6)
    assert total(x, axis=-1).shape == (2, 3, 4)
    assert total(x, axis=None).shape == ()
    assert total(x > 0, axis=None, dtype=np.float32) == np.count_nonzero(x > 0)


def test_stacked_matrices_are_products_of_each() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((2, 1, 3, 4)), rng.standard_normal((5, 4, 2))
    actual = matmul(x, y)
    assert actual.shape == (2, 5, 3, 2)
    for i, j in itertools.product(range(2), range(5)):
        assert bits(actual[i, j]) == bits(matmul(x[i, 0], y[j]))


def test_repeated_indices_add_in_any_order() -> None:
    values = np.array([1, 2.0**-24, 2.0**-24, -3, np.inf], np.float32)
    for order in itertools.permutations(range(5)):
        out = ReproducibleArray(np.zeros(3, np.float32))
        np.add.at(out, np.array([0, 0, 0, 1, 2])[list(order)], values[list(order)])
        assert out.tolist() == [1 + 2.0**-23, -3, np.inf]
    for row in np.random.default_rng(0).uniform(0.5, 1, (20, 30)):
        out = ReproducibleArray(np.zeros(1))
        np.add.at(out, np.zeros(30, int), row)
        assert out.item() == total(row[None], axis=1)[0]


# ---- what is kept between calls -----------------------------------------------------------------

WRITES: list[Callable[[Any], Any]] = [
    lambda x: np.multiply(x, 3, out=x),
    lambda x: np.matmul(x, x, out=x),
    lambda x: x.__setitem__((0, 0), 9),
    lambda x: x[1:].__setitem__(..., 9),
    lambda x: x.mT.__setitem__((0, 1), 9),
    lambda x: np.reshape(x, (9,)).__setitem__(3, 9),
    lambda x: np.transpose(x, (1, 0)).__setitem__((1, 2), 9),
    lambda x: np.add.at(x, (0, 1), np.float32(4)),
    lambda x: np.copyto(x, 7),
]


@pytest.mark.parametrize("write", WRITES)
def test_a_split_is_discarded_when_the_array_changes(write: Any) -> None:
    x = ReproducibleArray(np.random.default_rng(0).standard_normal((3, 3)).astype(np.float32))
    transposed = x.mT
    before = np.asarray(np.matmul(x, x)), np.asarray(np.matmul(transposed, x))
    write(x)
    for factor, old in ((x, before[0]), (transposed, before[1])):
        actual = np.asarray(np.matmul(factor, x))
        assert bits(actual) == bits(matmul(np.array(factor), np.array(x)))
        assert bits(actual) != bits(old)


def test_an_array_is_split_once(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Any] = []
    split = Splits._split

    def counted(splits: Splits, exponent: Any) -> Any:
        made.append(exponent)
        return split(splits, exponent)

    monkeypatch.setattr(Splits, "_split", counted)
    x = ReproducibleArray(np.random.default_rng(0).standard_normal((4, 4)))
    np.matmul(x, x)
    np.matmul(x.mT, x)
    np.add.reduce(x, axis=0)
    np.matmul(x, x.mT)
    assert len(made) == 1


# ---- the vocabulary -----------------------------------------------------------------------------


@pytest.mark.parametrize("ufunc", sorted(REFUSED, key=str))
def test_refused(ufunc: np.ufunc) -> None:
    x = ReproducibleArray(np.ones(2))
    with pytest.raises(TypeError, match=f"{ufunc.__name__}: .*differ from machine to machine"):
        ufunc(*[x] * ufunc.nin)


def test_every_ufunc_is_answered_or_refused() -> None:
    assert REFUSED < UFUNCS
    x, y = np.array([[1.5, -2.0], [0.0, 3.0]]), np.array([[2.0, 2.0], [-1.0, np.nan]])
    for ufunc in UFUNCS - REFUSED - {np.matmul}:
        inputs = (x, y)[: ufunc.nin]
        actual = ufunc(*map(ReproducibleArray, inputs))
        assert isinstance(actual, ReproducibleArray)
        assert bits(np.array(actual)) == bits(ufunc(*inputs))


def test_every_function_is_answered() -> None:
    x = ReproducibleArray(np.arange(6.0).reshape(2, 3))
    arguments: dict[Any, tuple[Any, ...]] = {
        np.astype: (x, np.float32),
        np.broadcast_to: (x, (4, 2, 3)),
        np.concatenate: ([x, x],),
        np.reshape: (x, (3, 2)),
        np.transpose: (x, (1, 0)),
        np.where: (np.greater(x, 2), x, 0),
    }
    functions: list[Any] = sorted(FUNCTIONS, key=str)
    for function in functions:
        assert isinstance(function(*arguments.get(function, (x,))), ReproducibleArray)


@pytest.mark.parametrize(
    "call",
    [lambda x: np.matmul(x, np.ones(2)), lambda x: np.add.reduce(np.astype(x, np.float16))],
)
def test_products_of_vectors_and_sums_in_other_dtypes_are_refused(call: Any) -> None:
    with pytest.raises(TypeError, match="a ReproducibleArray sums and multiplies matrices"):
        call(ReproducibleArray(np.ones((2, 2))))


# ---- the engine on it ---------------------------------------------------------------------------


def trained(dtype: str, permutation: Any = None) -> tuple[list[bytes], Any]:
    """Train on points that may come in another order."""
    minigrad.manual_seed(0)
    model = nn.Sequential(nn.Linear(2, 9, dtype=dtype), nn.ReLU(), nn.Linear(9, 1, dtype=dtype))
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((50, 2)).astype(dtype), rng.standard_normal((50, 1)).astype(dtype)
    if permutation is not None:
        x, y = x[permutation], y[permutation]
    reproducible(model)
    inputs, targets = (reproducible(minigrad.tensor(v)) for v in (x, y))
    optimizer = optim.SGD(model.parameters(), lr=0.05)
    losses = []
    for _ in range(50):
        optimizer.zero_grad()
        loss = nn.MSELoss()(model(inputs), targets)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    for parameter in model.parameters():
        assert parameter.grad is not None
        for array in (parameter._array, parameter.grad._array):
            assert isinstance(array, ReproducibleArray)
    return [bits(np.asarray(p.detach())) for p in model.parameters()], losses


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_training_does_not_depend_on_the_order_of_the_points(dtype: str) -> None:
    expected, losses = trained(dtype)
    actual, permuted_losses = trained(dtype, np.random.default_rng(1).permutation(50))
    assert losses[-1] < losses[0]
    assert actual == expected
    assert permuted_losses == losses


def test_bits_are_pinned() -> None:
    """The same on every machine for all time: a change of these is a change of the arithmetic."""
    found = hashlib.sha256()
    for dtype in DTYPES:
        rng = np.random.Generator(np.random.PCG64(7))
        for span in (0, 3, 7, 28):
            x, y = (
                np.ldexp(
                    rng.integers(-(2**52), 2**52, s) * 2.0**-52, rng.integers(-span, span + 1, s)
                )
                for s in ((30, 70), (70, 40))
            )
            found.update(bits(matmul(x.astype(dtype), y.astype(dtype))))
            found.update(bits(total(x.astype(dtype), axis=0)))
    assert found.hexdigest() == ("551732c368b2f5b2132a1d41d8a989439b0bd6d4db877cc07a9686c59be20d33")
