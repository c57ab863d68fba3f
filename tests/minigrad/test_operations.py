"""Every operation against torch: values, gradients, second-order gradients, memory layouts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import minigrad
from tests.minigrad import agreement
from tests.minigrad.agreement import as_array, gradients, minigrad_tensors, torch_tensors
from tests.minigrad.operations import BY_ID, ELEMENTWISE, EXAMPLES, OPERATIONS, Array, Operation

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")
DTYPES = ["float32", "float64"]
examples = settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
agreement.BROADCASTING[:] = ELEMENTWISE


def grad_out_like(out: Array, seed: int) -> Array:
    return np.asarray(np.random.default_rng(seed).normal(size=out.shape)).astype(out.dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("operation", OPERATIONS, ids=str)
@given(data=st.data(), seed=st.integers(0, 2**32))
@examples
def test_value_and_gradients(operation: Operation, dtype: str, data: Any, seed: int) -> None:
    shapes, options = operation.case(data)
    arrays = operation.arrays(shapes, dtype, seed)
    before = [x.copy() for x in arrays]
    ours, theirs = minigrad_tensors(arrays), torch_tensors(arrays)
    actual = operation.call(minigrad, *ours, **options)
    expected = operation.call(torch, *theirs, **options)
    agreement.check_value(operation, as_array(actual), as_array(expected), arrays, options)
    assert actual.requires_grad == expected.requires_grad
    grad_out = grad_out_like(as_array(expected), seed)
    found = gradients(minigrad, actual, ours, grad_out)
    wanted = gradients(torch, expected, theirs, grad_out)
    magnitudes = agreement.terms(operation, arrays, options, grad_out)
    combined = max([grad_out.size, *(x.size for x in arrays)])
    for i, (f, w) in enumerate(zip(found, wanted, strict=True)):
        # What does not matter has no gradient in torch, or one of zeros.
        if f is None or w is None:
            assert all(g is None or not as_array(g).any() for g in (f, w))
        else:
            agreement.check_gradient(i, as_array(f), as_array(w), magnitudes[i], combined)
    for x, original in zip(arrays, before, strict=True):
        assert x.tobytes() == original.tobytes(), "an input was changed"


@pytest.mark.parametrize("operation", OPERATIONS, ids=str)
@given(data=st.data(), seed=st.integers(0, 2**32))
@examples
def test_second_order_gradients(operation: Operation, data: Any, seed: int) -> None:
    shapes, options = operation.case(data)
    arrays = operation.arrays(shapes, "float64", seed)
    results = []
    for m, inputs in ((minigrad, minigrad_tensors(arrays)), (torch, torch_tensors(arrays))):
        out = operation.call(m, *inputs, **options)
        grad_out: Any = m.tensor(grad_out_like(as_array(out), seed), requires_grad=True)
        first = m.autograd.grad(out, inputs, grad_out, create_graph=True, allow_unused=True)
        # Squared, so that even a gradient that is linear has something to differentiate.
        total = sum(((g * g).sum() for g in first if g is not None), m.zeros((), dtype=m.float64))
        if not total.requires_grad:
            results.append([None] * (len(inputs) + 1))
            continue
        results.append(m.autograd.grad(total, [*inputs, grad_out], allow_unused=True))
    for f, w in zip(*results, strict=True):
        actual, expected = (0.0 if g is None else as_array(g) for g in (f, w))
        scale = max(1.0, float(np.max(np.abs(expected), initial=0)))
        np.testing.assert_allclose(actual, expected, rtol=1e-9, atol=1e-11 * scale)


def non_contiguous(x: Array) -> Array:
    return np.repeat(x, 2, axis=-1)[..., ::2] if x.ndim else x


def column_major(x: Array) -> Array:
    return np.asfortranarray(x)


def backwards(x: Array) -> Array:
    return np.ascontiguousarray(x[(slice(None, None, -1),) * x.ndim])[
        (slice(None, None, -1),) * x.ndim
    ]


def read_only(x: Array) -> Array:
    x = x.copy()
    x.flags.writeable = False
    return x


@pytest.mark.parametrize("layout", [non_contiguous, column_major, backwards, read_only])
@pytest.mark.parametrize("operation", [o for o in OPERATIONS if o.id != "view"], ids=str)
@given(data=st.data(), seed=st.integers(0, 2**32))
@settings(examples, max_examples=max(EXAMPLES // 5, 3))
def test_memory_layouts(operation: Operation, layout: Any, data: Any, seed: int) -> None:
    shapes, options = operation.case(data)
    arrays = [x.copy() for x in operation.arrays(shapes, "float64", seed)]
    laid_out = [layout(x) for x in arrays]
    results = []
    for inputs in (minigrad_tensors(laid_out), minigrad_tensors(arrays)):
        out = operation.call(minigrad, *inputs, **options)
        found = gradients(minigrad, out, inputs, grad_out_like(as_array(out), seed))
        results.append([as_array(g) for g in (out, *found) if g is not None])
    for actual, expected in zip(*results, strict=True):
        scale = max(1.0, float(np.max(np.abs(expected), initial=0)))
        np.testing.assert_allclose(actual, expected, rtol=1e-12, atol=1e-13 * scale)
    for x, original in zip(laid_out, arrays, strict=True):
        np.testing.assert_array_equal(x, original)


SPECIAL = [
    0.0, -0.0, 1.0, -1.0, 0.5, 2.0, 3.0, -2.0, -3.0, np.inf, -np.inf, np.nan,
    1e-40, -1e-40, 1.2e-38, 3e38, -3e38, 87.5, -87.5, 88.8, -88.8, 104.0, -104.0, 17.0, -17.0,
]  # fmt: skip
# What is special about each: (id, value or gradient) and why minigrad differs from torch there.
SPECIAL_DIFFERENCES: dict[str, str] = {}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("grad_out", [1.0, 0.0, np.inf, np.nan])
@pytest.mark.parametrize("operation", ELEMENTWISE, ids=str)
def test_special_values(operation: Operation, grad_out: float, dtype: str) -> None:
    special = np.array(SPECIAL, dtype)
    arrays = [special]
    if len(operation.domains) == 2:
        arrays = [np.repeat(special, special.size), np.tile(special, special.size)]
    ours, theirs = minigrad_tensors(arrays), torch_tensors(arrays)
    actual = operation.call(minigrad, *ours)
    expected = operation.call(torch, *theirs)
    compare_special(operation.id, as_array(actual), as_array(expected), arrays)
    wide = np.full(as_array(expected).shape, grad_out, dtype)
    found = gradients(minigrad, actual, ours, wide)
    wanted = gradients(torch, expected, theirs, wide)
    for i, (f, w) in enumerate(zip(found, wanted, strict=True)):
        compare_special(f"{operation.id} by {i}", as_array(f), as_array(w), arrays)


def compare_special(what: str, actual: Array, expected: Array, arrays: list[Array]) -> None:
    """Compare classes exactly, finite values to a few ulp or the smallest of numbers."""
    tiny = np.finfo(expected.dtype).smallest_normal * np.finfo(expected.dtype).eps
    with np.errstate(invalid="ignore"):
        near = np.abs(actual - expected) <= 16 * tiny
        relative = np.abs(actual - expected) <= 1e-5 * np.abs(expected)
    close = (agreement.ulp_distance(actual, expected) <= 8) | near | relative
    signs = (np.signbit(actual) == np.signbit(expected)) | (actual != 0) | np.isnan(expected)
    wrong = ~(close & signs)
    if wrong.any():
        rows = [
            f"at {[x[i] for x in arrays]}: actual {actual[i]}, expected {expected[i]}"
            for i in np.flatnonzero(wrong)
        ]
        pytest.fail(f"{what}: {len(rows)} differences\n" + "\n".join(rows[:8]))


def test_table_names_each_once() -> None:
    assert len(BY_ID) == len(OPERATIONS)
