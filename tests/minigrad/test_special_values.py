"""NaN, infinities, subnormals, negative zero, ties and kinks: every operation as in torch."""

import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import minigrad
from tests.minigrad import agreement
from tests.minigrad.agreement import as_array, gradients, minigrad_tensors, torch_tensors
from tests.minigrad.operations import (
    COMPARISONS,
    ELEMENTWISE,
    FEW,
    OPERATIONS,
    Array,
    Operation,
    examples,
    seeds,
)

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")

SPECIAL = [
    0.0, -0.0, 1.0, -1.0, 0.5, 2.0, 3.0, -2.0, -3.0, np.inf, -np.inf, np.nan,
    1e-40, -1e-40, 1.2e-38, 3e38, -3e38, 87.5, -87.5, 88.8, -88.8, 104.0, -104.0, 17.0, -17.0,
]  # fmt: skip
FLOAT64 = [1e-310, -1e-310, 2.3e-308, 1.7e308, -1.7e308, 709.5, 709.9, -709.9, 745.2, -745.2]
"""Those of float32 are subnormal, overflow or saturate there; these do so in float64."""
SUBNORMAL = {"float32": 1e-40, "float64": 1e-310}

OPPOSITE_ZEROS = (
    lambda *xs: np.sum([x == 0 for x in xs], 0) > 1,
    "of zeros of opposite sign either is returned, by NumPy and torch alike, depending on which "
    "vector instruction an element comes under",
)
FUSED = (
    lambda x, y: np.abs(y) > 1e38,
    "torch fuses x + 3·y into one rounding, so that 3·y cannot overflow on the way",
)
DIFFERENCES: dict[str, tuple[Callable[..., Array], str]] = {
    "add(alpha)": FUSED,
    "remainder": (
        lambda x, y: np.isinf(x / y) & np.isfinite(x) & (y != 0),
        "torch answers NaN where x / y overflows",
    ),
    **dict.fromkeys(("clamp(min)", "clamp(max)"), OPPOSITE_ZEROS),
    "maximum": OPPOSITE_ZEROS,
    "minimum": OPPOSITE_ZEROS,
}
"""Where the value of an operation may differ from torch's in float32, and why."""

GRAD_OUTS = [1.0, 0.0, np.inf, np.nan]
each_dtype = pytest.mark.parametrize("dtype", ["float32", "float64"])


def grid(inputs: int, dtype: str) -> list[Array]:
    """Every combination of special values."""
    special = np.array(SPECIAL + (FLOAT64 if dtype == "float64" else []), dtype)
    return [np.array(x.ravel()) for x in np.meshgrid(*[special] * inputs, indexing="ij")]


@each_dtype
@pytest.mark.parametrize("operation", ELEMENTWISE, ids=repr)
def test_elementwise(operation: Operation, dtype: str) -> None:
    arrays = grid(len(operation.domains), dtype)
    ours, theirs = minigrad_tensors(arrays), torch_tensors(arrays)
    actual, expected = operation.call(minigrad, *ours), operation.call(torch, *theirs)
    excused = np.zeros(arrays[0].shape, bool)
    if operation.id in DIFFERENCES:
        excused = DIFFERENCES[operation.id][0](*arrays)
    wrong = differing(as_array(actual), as_array(expected))
    if operation.id in DIFFERENCES and DIFFERENCES[operation.id] is FUSED and dtype == "float32":
        assert wrong[excused].any(), "the difference is no more: remove it"
    wrong &= ~excused
    assert not wrong.any(), report("value", wrong, actual, expected, arrays)
    slack: Any = 0.0
    if operation.gradient_terms is not None:  # which cancel near saturation
        unit = agreement.GRADIENT_UNITS * agreement.unit_roundoff(arrays[0])
        slack = unit * operation.gradient_terms(arrays[0], as_array(expected))
    for what, f, w in by_grad_out(actual, ours, expected, theirs):
        wrong = differing(as_array(f), as_array(w), slack)
        assert not wrong.any(), report(what, wrong, f, w, arrays)


def by_grad_out(
    actual: Any, ours: list[Any], expected: Any, theirs: list[Any]
) -> Iterator[tuple[str, Any, Any]]:
    """Yield which gradient it is, and both engines' gradients, for each incoming gradient."""
    for grad_out in GRAD_OUTS:
        wide = np.full(as_array(expected).shape, grad_out, as_array(expected).dtype)
        found = gradients(minigrad, actual, ours, wide, retain_graph=True)
        wanted = gradients(torch, expected, theirs, wide, retain_graph=True)
        for i, (f, w) in enumerate(zip(found, wanted, strict=True)):
            yield f"gradient by {i} where grad_out is {grad_out}", f, w


@each_dtype
@pytest.mark.parametrize("operation", [o for o in OPERATIONS if not o.elementwise], ids=repr)
@given(data=st.data(), seed=seeds)
@settings(examples, max_examples=2 * FEW)
def test_operations_that_are_not_elementwise(
    operation: Operation, dtype: str, data: Any, seed: int
) -> None:
    """Signs of zeros aside where sums are made: libraries begin these with 0 or the first term."""
    shapes, options = operation.case(data)
    arrays = operation.arrays(shapes, dtype, seed)
    subnormal = SUBNORMAL[dtype]
    special = [np.nan, np.inf, -np.inf, 0.0, -0.0, subnormal, -subnormal]
    rng = np.random.default_rng(seed)
    for x in arrays:
        x[...] = np.where(rng.random(x.shape) < 0.4, rng.choice(special, x.shape), x)
    agreement.check(operation, arrays, options, seed)


@each_dtype
@pytest.mark.parametrize("name", ["sum", "mean", "amax", "amin"])
def test_reductions(name: str, dtype: str) -> None:
    arrays = [np.stack(grid(2, dtype), axis=-1)]
    ours, theirs = minigrad_tensors(arrays), torch_tensors(arrays)
    actual, expected = getattr(ours[0], name)(-1), getattr(theirs[0], name)(-1)
    wrong = differing(as_array(actual), as_array(expected))
    if name in ("amax", "amin"):
        wrong &= ~OPPOSITE_ZEROS[0](*arrays[0].T)
    assert not wrong.any(), report("value", wrong, actual, expected, list(arrays[0].T))
    for what, f, w in by_grad_out(actual, ours, expected, theirs):
        wrong = np.asarray(differing(as_array(f), as_array(w)).any(-1))
        assert not wrong.any(), report(what, wrong, f, w, list(arrays[0].T))


@each_dtype
@pytest.mark.parametrize("name", COMPARISONS)
def test_comparisons(name: str, dtype: str) -> None:
    arrays = grid(2, dtype)
    actual = getattr(minigrad, name)(*minigrad_tensors(arrays))
    expected = getattr(torch, name)(*torch_tensors(arrays))
    assert not actual.requires_grad
    assert actual.dtype == minigrad.bool
    np.testing.assert_array_equal(as_array(actual), as_array(expected))


def differing(actual: Array, expected: Array, slack: Any = 0.0) -> Array:
    """Compare classes and signs of zero exactly, numbers to 8 ulp or a few subnormals.

    Beyond 1e30 and below 1e-30 the functions themselves magnify rounding, hence a relative 1e-5.
    """
    assert actual.dtype == expected.dtype
    tiny = np.finfo(expected.dtype).smallest_subnormal
    error = np.abs(actual - expected)
    size = np.abs(expected)
    extreme = (np.isfinite(size) & (size > 1e30)) | (size < 1e-30)
    close = agreement.ulp_distance(actual, expected) <= 8
    close |= (error <= 16 * tiny + slack) | (extreme & (error <= 1e-5 * size))
    signs = (np.signbit(actual) == np.signbit(expected)) | (actual != 0) | np.isnan(expected)
    return np.asarray(~(close & signs))


def report(what: str, wrong: Array, actual: Any, expected: Any, arrays: list[Array]) -> str:
    rows = [
        f"at {[float(x[i]) for x in arrays]}: actual {as_array(actual)[i]}, "
        f"expected {as_array(expected)[i]}"
        for i in np.flatnonzero(wrong)
    ]
    return f"{what}: {len(rows)} differences\n" + "\n".join(rows[:8])


@pytest.mark.parametrize(
    ("actual", "expected"),
    [(0.0, -0.0), (np.nan, 0.0), (np.inf, -np.inf), (np.inf, 3e38), (1.0, 1.00001)],
)
def test_differences_are_found(actual: float, expected: float) -> None:
    pair = np.array([actual], np.float32), np.array([expected], np.float32)
    assert differing(*pair).all()
    assert not differing(pair[0], pair[0].copy()).any()


SPREADS = ["ones(2, 3).var(())", "eye(3).std((), keepdim=True)", "ones(3, 0).var(0)",
           "ones(0, 2).std(0)", "ones(0).var()", "eye(2).var(0, correction=2)",
           "full((1, 2), 1e30).norm(dim=0)", "tensor([1e30, 2]).std()"]  # fmt: skip


@pytest.mark.parametrize("expression", SPREADS)
def test_spreads_of_all_or_too_little_are_torchs(expression: str) -> None:
    found = []
    for T in (minigrad, torch):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            out = eval(f"T.{expression}", {"T": T})
        warned = [each for each in caught if each.category is UserWarning]
        found.append((str(out.tolist()), out.shape, len(warned)))
    assert found[0] == found[1]


@pytest.mark.filterwarnings("ignore::UserWarning")  # nothing is left to divide by
@pytest.mark.parametrize("name", ["var", "std"])
@pytest.mark.parametrize("axes", [{}, {"dim": 0}, {"dim": (0, 1)}, {"dim": 1}])
def test_gradients_of_spreads_are_torchs_whatever_is_left(name: str, axes: dict[str, Any]) -> None:
    numbers = (1.0, 3.0, np.inf, np.nan)
    some = [np.array([a, b]).reshape(2, 1) for a in numbers for b in numbers]
    some += [np.array(a).reshape(shape) for a in numbers for shape in ((1, 1), ())]
    for values in [*some, np.ones((0, 1))]:
        for correction in range(-1, 4):
            if not values.ndim and axes not in ({}, {"dim": 0}):
                continue
            found = []
            for T in (minigrad, torch):
                x: Any = T.tensor(values.copy(), requires_grad=True)
                out = getattr(x, name)(**axes, correction=correction)
                out.sum().backward()
                found.append(str((out.tolist(), x.grad.tolist())))
            assert found[0] == found[1], (values, correction)
