"""Every operation against torch: values, gradients, second-order gradients, memory layouts."""

import contextlib
import dataclasses
import itertools
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import Phase, assume, given, settings
from hypothesis import strategies as st

import minigrad
from minigrad.autograd import gradcheck, gradgradcheck
from minigrad.ops import RULE_OF, Rule, elementwise
from tests.minigrad import agreement
from tests.minigrad.agreement import minigrad_tensors
from tests.minigrad.operations import (
    BY_ID,
    FEW,
    OPERATIONS,
    Array,
    Operation,
    examples,
    seeds,
)
from tests.minigrad.shapes import Draw, named_twice, same

# NumPy warns of overflow and invalid values where torch is silent; both are asked for here.
pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")
DTYPES = ["float32", "float64"]
each_operation = pytest.mark.parametrize("operation", OPERATIONS, ids=repr)


@each_operation
@given(data=st.data(), seed=seeds)
@examples
def test_value_and_gradients(operation: Operation, data: Any, seed: int) -> None:
    """In both dtypes, and in float64 the gradients of the gradients."""
    shapes, options = operation.case(data)
    for dtype in DTYPES:
        arrays = operation.arrays(shapes, dtype, seed)
        agreement.check(operation, arrays, options, seed)
    agreement.check_second_order(operation, arrays, options, seed)


@each_operation
@given(data=st.data(), seed=seeds)
@settings(examples, max_examples=FEW)
def test_gradients_are_those_of_finite_differences(
    operation: Operation, data: Any, seed: int
) -> None:
    shapes, options = operation.case(data)
    if operation.id == "index assignment":
        # Of several values for one element all but one are lost; torch leaves their gradients open.
        assume(not named_twice(shapes[0], options["key"]))
    # No ties: where a function jumps, or has a kink, there is no derivative to be found.
    arrays = operation.arrays(shapes, "float64", seed, round=0)
    if operation.id == "norm(p=-inf)":
        # Beside 0, a step to either side ends where another magnitude is the smallest.
        assume(np.abs(arrays[0]).min(initial=1) > 0.1)
    if operation.gradient_terms is not None:
        # Where the terms of the derivative cancel it moves in steps of their rounding, and its
        # differences are of these; `test_value_and_gradients` judges it there.
        arrays = [np.asarray(np.clip(array, -4, 4)) for array in arrays]
    inputs = minigrad_tensors(arrays)

    def call(*tensors: Any) -> Any:
        return operation.call(minigrad, *tensors, **options)

    assert gradcheck(call, inputs)
    if call(*inputs).requires_grad:
        assert gradgradcheck(call, inputs)


# ---- shapes and layouts ------------------------------------------------------------------------


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


LAYOUTS = [non_contiguous, column_major, backwards, read_only]


# `view` refuses what is laid out so that it would have to be copied.
@pytest.mark.parametrize("operation", [o for o in OPERATIONS if o.id != "view"], ids=repr)
@given(data=st.data(), seed=seeds)
@settings(examples, max_examples=FEW)
def test_memory_layouts(operation: Operation, data: Any, seed: int) -> None:
    shapes, options = operation.case(data)
    assume(any(max(shape, default=0) > 1 for shape in shapes))
    for dtype, layout in itertools.product(DTYPES, LAYOUTS):
        laid_out = [layout(x) for x in operation.arrays(shapes, dtype, seed)]
        if any(not (x.flags.c_contiguous and x.flags.writeable) for x in laid_out):
            agreement.check(operation, laid_out, options, seed)


NEVER = {
    "no elements": {*("iteration", "max", "min", "var", "std")},
    "no axes": {
        *("T", "mT", "cat", "iteration", "matmul", "mm", "linear", "linear(no bias)"),
        *("dot", "mv", "outer", "var", "std"),
    },
}
"""Operations that are not defined for such inputs."""


class Enough(Exception):
    """Ends the drawing."""


@cache
def conditions(case: Draw, enough: frozenset[str]) -> set[str]:
    """Return what is special about the shapes that are drawn, until these conditions are met.

    They come in the order of Hypothesis's own, which is the same at every run here: what is
    missing will be rare in any other run.
    """
    seen: set[str] = set()

    @given(data=st.data())
    @settings(examples, max_examples=60, derandomize=True, phases=[Phase.generate], database=None)
    def draw(data: Any) -> None:
        shapes, _ = case(data)
        found = {
            "no elements": any(0 in shape for shape in shapes),
            "no axes": () in shapes,
            "broadcast": len(set(shapes)) > 1,
        }
        seen.update(condition for condition, holds in found.items() if holds)
        if seen >= enough:
            raise Enough

    with contextlib.suppress(Enough):
        draw()
    return seen


def missing(operation: Operation) -> set[str]:
    """Return the conditions that an operation is never tested under, and should be."""
    expected = {"no elements", "no axes"}
    if len(operation.domains) > 1 and operation.elementwise:
        expected.add("broadcast")
    seen = conditions(operation.case, frozenset(expected))
    never = {condition for condition, ids in NEVER.items() if operation.id in ids}
    assert not never & seen, "listed in NEVER, but given"
    return expected - never - seen


@each_operation
def test_every_condition_is_met(operation: Operation) -> None:
    assert missing(operation) == set()


def test_a_condition_that_is_not_met_is_found() -> None:
    add = BY_ID["add"]
    assert missing(dataclasses.replace(add, case=lambda data: ([(2, 3)] * 2, {}))) == {
        *("no elements", "no axes", "broadcast"),
    }
    assert missing(dataclasses.replace(add, case=lambda data: ([(0,), ()], {}))) == set()
    with pytest.raises(AssertionError, match="NEVER"):
        missing(dataclasses.replace(BY_ID["T"], case=same(1)))


# ---- the checks themselves: each of these defects has to be found ------------------------------


def mul(x: Any, y: Any) -> Any:
    return np.multiply(x, y)


def mul_backward_x(grad_out: Any, y: Any) -> Any:
    return np.multiply(grad_out, y)


def mul_backward_y(grad_out: Any, x: Any) -> Any:
    return np.multiply(grad_out, x)


def slightly_large(grad_out: Any, x: Any) -> Any:
    return np.multiply(np.multiply(grad_out, x), 1 + 1e-5)


def lost(x: Any, y: Any) -> Any:
    return np.multiply(np.multiply(x, y), np.nan)


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


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("forward", "by_y", "words"),
    [
        (mul, slightly_large, "gradient of input 1: .* elements differ"),
        (five_ulp, mul_backward_y, "value: .* elements differ"),
        (overwriting, mul_backward_y, "an input was changed|elements differ"),
        (wide, mul_backward_y, "float.* against float"),
        (transposing, mul_backward_y, r"\(3, 2\) against \(2, 3\)"),
        (lost, mul_backward_y, "6 of 6 elements differ"),
    ],
)
def test_defects_are_found(
    forward: Any, by_y: Any, words: str, dtype: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(monkeypatch, forward, by_y)
    operation = BY_ID["mul"]
    if forward is lost:  # NaN is not within the bound of a sum
        operation = dataclasses.replace(operation, magnitude=lambda m, x, y: x * y)
    arrays = operation.arrays([(2, 3), (2, 3)], dtype, 1)
    with pytest.raises(AssertionError, match=words):
        agreement.check(operation, arrays, {}, 1)


def in_memory_order(x: Any, y: Any) -> Any:
    memory = x if x.base is None else x.base
    return np.multiply(memory.ravel("K")[: x.size].reshape(x.shape), y)


def test_a_rule_that_depends_on_strides_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch, in_memory_order, mul_backward_y)
    operation = BY_ID["mul"]
    arrays = operation.arrays([(2, 3), (2, 3)], "float64", 1)
    agreement.check(operation, arrays, {}, 1)
    for layout in (non_contiguous, column_major, backwards):
        with pytest.raises(AssertionError):
            agreement.check(operation, [layout(x) for x in arrays], {}, 1)


def test_a_rule_that_writes_to_its_input_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch, overwriting, mul_backward_y)
    operation = BY_ID["mul"]
    arrays = operation.arrays([(2, 3), (2, 3)], "float64", 1)
    with pytest.raises(RuntimeError) as caught:
        agreement.check(operation, [read_only(x) for x in arrays], {}, 1)
    assert "read-only" in str(caught.value.__cause__)


@pytest.mark.parametrize("dtype", DTYPES)
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
    operation = BY_ID["mul"]
    arrays = operation.arrays([(2, 3), (2, 3)], "float64", 1)
    plant(monkeypatch, mul, mul_backward_y)
    agreement.check_second_order(operation, arrays, {}, 1)
    plant(monkeypatch, mul, detached)
    agreement.check(operation, arrays, {}, 1)
    with pytest.raises(AssertionError):
        agreement.check_second_order(operation, arrays, {}, 1)


def plant(monkeypatch: pytest.MonkeyPatch, forward: Any, by_y: Any) -> None:
    """Put another rule in the place of `mul`."""
    for function, name in ((forward, "mul"), (by_y, "mul_backward_y")):
        monkeypatch.setattr(function, "__name__", name)
    monkeypatch.setitem(RULE_OF, elementwise.mul, Rule(forward, mul_backward_x, by_y))


def test_the_table_names_each_operation_once() -> None:
    assert len(BY_ID) == len(OPERATIONS)
