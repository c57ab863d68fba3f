"""Every operation against torch: values, gradients, second-order gradients, memory layouts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import minigrad
from minigrad.ops import RULES, Rule
from tests.minigrad import agreement
from tests.minigrad.agreement import as_array, gradients, minigrad_tensors
from tests.minigrad.operations import BY_ID, EXAMPLES, OPERATIONS, Array, Operation

# NumPy warns of overflow and invalid values where torch is silent; both are asked for here.
pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")
examples = settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
seeds = st.integers(0, 2**32)
each_operation = pytest.mark.parametrize("operation", OPERATIONS, ids=repr)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@each_operation
@given(data=st.data(), seed=seeds)
@examples
def test_value_and_gradients(operation: Operation, dtype: str, data: Any, seed: int) -> None:
    shapes, options = operation.case(data)
    agreement.check(operation, operation.arrays(shapes, dtype, seed), options, seed)


@each_operation
@given(data=st.data(), seed=seeds)
@examples
def test_second_order_gradients(operation: Operation, data: Any, seed: int) -> None:
    shapes, options = operation.case(data)
    arrays = operation.arrays(shapes, "float64", seed)
    agreement.check_second_order(operation, arrays, options, seed)


def non_contiguous(x: Array) -> Array:
    return np.repeat(x, 2, axis=-1)[..., ::2] if x.ndim else x


def column_major(x: Array) -> Array:
    return np.asfortranarray(x) if x.ndim else x


def backwards(x: Array) -> Array:
    reverse = (slice(None, None, -1),) * x.ndim
    return x[reverse].copy()[reverse] if x.ndim else x


def read_only(x: Array) -> Array:
    x = x.copy()
    x.flags.writeable = False
    return x


@pytest.mark.parametrize("layout", [non_contiguous, column_major, backwards, read_only])
@pytest.mark.parametrize("operation", [o for o in OPERATIONS if o.id != "view"], ids=repr)
@given(data=st.data(), seed=seeds)
@settings(examples, max_examples=max(EXAMPLES // 5, 3))
def test_memory_layouts(operation: Operation, layout: Any, data: Any, seed: int) -> None:
    shapes, options = operation.case(data)
    arrays = operation.arrays(shapes, "float64", seed)
    laid_out = [layout(x) for x in arrays]
    results = []
    for inputs in (minigrad_tensors(laid_out), minigrad_tensors(arrays)):
        out = operation.call(minigrad, *inputs, **options)
        found = gradients(minigrad, out, inputs, agreement.normal_like(as_array(out), seed))
        results.append([as_array(g) for g in (out, *found) if g is not None])
    for actual, expected in zip(*results, strict=True):
        scale = max(1.0, float(np.max(np.abs(expected), initial=0)))
        np.testing.assert_allclose(actual, expected, rtol=1e-12, atol=1e-13 * scale)
    for x, original in zip(laid_out, arrays, strict=True):
        np.testing.assert_array_equal(x, original)


# ---- the checks themselves: each of these defects has to be found ------------------------------


def mul(x: Any, y: Any) -> Any:
    return np.multiply(x, y)


def mul_backward_x(grad_out: Any, y: Any) -> Any:
    return np.multiply(grad_out, y)


def mul_backward_y(grad_out: Any, x: Any) -> Any:
    return np.multiply(grad_out, x)


def slightly_large(grad_out: Any, x: Any) -> Any:
    return np.multiply(np.multiply(grad_out, x), 1 + 1e-5)


def detached(grad_out: Any, x: Any) -> Any:
    return np.multiply(grad_out, np.asarray(getattr(x, "_array", x)))


def five_ulp(x: Any, y: Any) -> Any:
    return np.multiply(np.multiply(x, y), 1 + 6 * np.finfo(x.dtype).eps)


def overwriting(x: Any, y: Any) -> Any:
    out = np.multiply(x, y)
    x[...] = out
    return out


def wide(x: Any, y: Any) -> Any:
    return np.multiply(x, y).astype(np.float64 if x.dtype == np.float32 else np.float32)


def transposing(x: Any, y: Any) -> Any:
    return np.multiply(x, y).T


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("forward", "by_y"),
    [
        (mul, slightly_large),
        (five_ulp, mul_backward_y),
        (overwriting, mul_backward_y),
        (wide, mul_backward_y),
        (transposing, mul_backward_y),
    ],
)
def test_defects_are_found(
    forward: Any, by_y: Any, dtype: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(monkeypatch, forward, by_y)
    operation = BY_ID["mul"]
    arrays = operation.arrays([(2, 3), (2, 3)], dtype, 1)
    with pytest.raises(AssertionError):
        agreement.check(operation, arrays, {}, 1)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_ulp_distance(dtype: str) -> None:
    one, tiny = np.array([1.0], dtype), np.finfo(dtype).smallest_subnormal
    x, distances = one, []
    for _ in range(3):
        distances.append(float(agreement.ulp_distance(x, one)[0]))
        x = np.nextafter(x, np.array(2, dtype))
    assert distances == [0, 1, 2]
    assert agreement.ulp_distance(np.array([tiny], dtype), np.array([-tiny], dtype))[0] == 3
    assert agreement.ulp_distance(one * np.nan, one * np.nan)[0] == 0
    assert agreement.ulp_distance(one * np.nan, one)[0] == np.inf
    assert agreement.ulp_distance(one * np.inf, one)[0] == np.inf


def test_a_derivative_that_cuts_the_graph_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch, mul, detached)
    operation = BY_ID["mul"]
    arrays = operation.arrays([(2, 3), (2, 3)], "float64", 1)
    agreement.check(operation, arrays, {}, 1)
    with pytest.raises(AssertionError):
        agreement.check_second_order(operation, arrays, {}, 1)


def test_the_true_rule_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch, mul, mul_backward_y)
    operation = BY_ID["mul"]
    arrays = operation.arrays([(2, 3), (2, 3)], "float64", 1)
    agreement.check(operation, arrays, {}, 1)
    agreement.check_second_order(operation, arrays, {}, 1)


def plant(monkeypatch: pytest.MonkeyPatch, forward: Any, by_y: Any) -> None:
    """Put another rule in the place of `mul`."""
    for function, name in ((forward, "mul"), (by_y, "mul_backward_y")):
        monkeypatch.setattr(function, "__name__", name)
    monkeypatch.setitem(RULES, "mul", Rule(forward, mul_backward_x, by_y))


def test_the_table_names_each_operation_once() -> None:
    assert len(BY_ID) == len(OPERATIONS)
