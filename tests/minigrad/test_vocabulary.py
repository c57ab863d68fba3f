"""Every rule stays within `minigrad.vocabulary`: it runs on an array type that refuses the rest.

It runs on budgeted arrays, too, with the values of plain arrays in every bit.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

import minigrad
from minigrad.arrays.budgeted import BudgetedArray
from minigrad.ops import RULES, Rule
from minigrad.vocabulary import ATTRIBUTES, FUNCTIONS, REDUCTIONS, UFUNCS
from tests.minigrad.agreement import minigrad_tensors
from tests.minigrad.operations import COMPARISONS, OPERATIONS, Operation

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")


class Guarded:
    """An array that knows the vocabulary and nothing else."""

    def __init__(self, array: Any) -> None:
        self._array = np.asarray(array)

    dtype = property(lambda self: self._array.dtype)
    flags = property(lambda self: self._array.flags)
    ndim = property(lambda self: self._array.ndim)
    shape = property(lambda self: self._array.shape)
    strides = property(lambda self: self._array.strides)
    mT = property(lambda self: Guarded(self._array.mT))  # noqa: N815

    def __getitem__(self, key: Any) -> Guarded:
        return Guarded(self._array[key])

    def __setitem__(self, key: Any, value: Any) -> None:
        self._array[key] = plain(value)

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        if method == "__call__":
            allowed = ufunc in UFUNCS and not options
        elif method == "reduce":
            allowed = ufunc in REDUCTIONS and set(options) <= {"axis", "keepdims", "dtype"}
            allowed = allowed and ("dtype" not in options or ufunc is np.add)
        else:
            allowed = method == "at" and ufunc is np.add
        if not allowed:
            raise AssertionError(f"{ufunc.__name__}.{method} with {set(options)} is not listed")
        result = getattr(ufunc, method)(*map(plain, inputs), **options)
        return None if result is None else Guarded(result)

    def __array_function__(self, function: Any, types: Any, inputs: Any, options: Any) -> Any:
        if function not in FUNCTIONS:
            raise AssertionError(f"{function.__name__} is not listed")
        return Guarded(function(*map(plain, inputs), **options))


def plain(value: Any) -> Any:
    """Return a value with the guarded arrays in it as ndarrays."""
    if isinstance(value, Guarded):
        return value._array
    if isinstance(value, (tuple, list)) and any(isinstance(v, Guarded) for v in value):
        return [plain(v) for v in value]
    return value


seen: set[tuple[str, int]] = set()


def run_wrapped(rule: Rule, inputs: tuple[Any, ...], options: dict[str, Any]) -> None:
    """Run a rule and its derivatives on plain arrays and on wrapped ones, and compare."""
    arrays = [np.array(x._array) if hasattr(x, "_array") else x for x in inputs]
    needs_grad = tuple(isinstance(x, np.ndarray) and x.dtype.kind == "f" for x in arrays)
    plan = rule.plan(needs_grad)
    results: list[list[Any]] = []
    for wrap in (np.asarray, Guarded, BudgetedArray):
        values = [wrap(x.copy("K")) if isinstance(x, np.ndarray) else x for x in arrays]
        out = rule.forward(*values, **options)
        saved = plan.save((out, *values), options)
        grad_out = wrap(np.ones(out.shape, out.dtype))
        gradients = []
        for position, derivative, pick in plan.derivatives:
            gradients.append(derivative(grad_out, *pick(saved)))
            seen.add((rule.name, position))
        seen.add((rule.name, -1))
        results.append([np.asarray(plain(x)) for x in (out, *gradients)])
    expected, *found = results
    for wrapped in found:
        for a, b in zip(wrapped, expected, strict=True):
            assert a.dtype == b.dtype
            np.testing.assert_array_equal(a, b)


@pytest.fixture
def spy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have every rule that is run on tensors run on wrapped arrays too."""
    apply = minigrad.Tensor._apply

    def run(self: Any, rule: Rule, *inputs: Any, **options: Any) -> Any:
        run_wrapped(rule, inputs, options)
        return apply(self, rule, *inputs, **options)

    monkeypatch.setattr(minigrad.Tensor, "_apply", run)


def exercise(operation: Operation) -> None:
    """Run an operation, its derivatives and theirs on shapes of Hypothesis's choice."""

    @hypothesis.given(data=st.data(), seed=st.integers(0, 2**32))
    @hypothesis.settings(max_examples=8, deadline=None)
    def run(data: Any, seed: int) -> None:
        shapes, options = operation.case(data)
        arrays = operation.arrays(shapes, "float32", seed)
        inputs = minigrad_tensors(arrays)
        out = operation.call(minigrad, *inputs, **options)
        grad_out = minigrad.ones_like(out)
        # Differentiating the derivatives runs the rules that only they use.
        first = minigrad.autograd.grad(
            out, inputs, grad_out.requires_grad_(), create_graph=True, allow_unused=True
        )
        total: Any = sum((g * g).sum() for g in first if g is not None)
        if getattr(total, "requires_grad", False):
            minigrad.autograd.grad(total, inputs, allow_unused=True)

    run()


@pytest.mark.usefixtures("spy")
def test_every_rule_and_derivative_runs_on_wrapped_arrays() -> None:
    seen.clear()
    x = minigrad.tensor([1.0, 2.0, 3.0])
    for name in COMPARISONS:
        getattr(x, name)(minigrad.tensor([2.0, 2.0, 2.0]))
    for name in ("any", "all", "isnan", "isinf", "isfinite", "argmax", "argmin"):
        getattr(x, name)()
    assert ((x > 1) & (x > 2) | (x > 3)).any()
    for operation in OPERATIONS:
        try:
            exercise(operation)
        except BaseException as error:
            error.add_note(f"in the operation {operation!r}")
            raise
    expected = {(rule.name, -1) for rule in RULES.values()} | {
        (rule.name, list(rule._inputs).index(name))
        for rule in RULES.values()
        for name in rule._backwards
    }
    assert expected - seen == set()


def test_what_is_not_listed_is_refused() -> None:
    x: Any = Guarded([1.0, 2.0])
    calls: list[Callable[[], Any]] = [
        lambda: np.sinh(x),
        lambda: np.sum(x),
        lambda: np.multiply.reduce(x),
        lambda: np.add(x, 1, out=x),
        lambda: np.maximum.reduce(x, dtype=np.float64),
    ]
    for call in calls:
        with pytest.raises(AssertionError):
            call()
    with pytest.raises(TypeError):
        x + 1
    for name in ("sum", "size", "T", "astype", "base"):
        assert not hasattr(x, name)


def test_guarded_has_the_listed_attributes_alone() -> None:
    own = {name for name in vars(Guarded) if not name.startswith("_")}
    assert own | {"__getitem__", "__setitem__"} == ATTRIBUTES


def test_every_word_is_used() -> None:
    assert minigrad.ops.__file__ is not None
    rules = "\n".join(path.read_text() for path in Path(minigrad.ops.__file__).parent.glob("*.py"))
    for word in UFUNCS | FUNCTIONS:
        assert f"np.{word.__name__}" in rules, f"{word.__name__} is listed, but no rule uses it"
