"""`parity.testing`: what it lets pass, what it does not, and what it says."""

import types
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
import torch

import minigrad
from parity.engines.adapters.minigrad import MinigradEngine
from parity.engines.protocol import Array
from parity.errors import UsageError
from parity.testing import (
    Check,
    assert_gradients_agree,
    checks,
    gradient_budget,
    parametrize_with_checks,
)
from tests.parity.wrong_engines import HookedEngine

SHAPES = {"x": (20, 5), "w": (5, 3), "b": (3,)}


def inputs(dtype: str = "float32") -> dict[str, Array]:
    generator = np.random.default_rng(0)
    return {name: generator.normal(size=shape).astype(dtype) for name, shape in SHAPES.items()}


def loss(x: minigrad.Tensor, w: minigrad.Tensor, b: minigrad.Tensor) -> minigrad.Tensor:
    return (((x @ w) + b).relu() ** 2).mean()


def torch_gradients(dtype: str) -> dict[str, Array]:
    leaves = {name: torch.tensor(a, requires_grad=True) for name, a in inputs(dtype).items()}
    (((leaves["x"] @ leaves["w"]) + leaves["b"]).relu() ** 2).mean().backward()  # type: ignore[no-untyped-call]
    return {name: leaf.grad.numpy() for name, leaf in leaves.items()}  # type: ignore[union-attr]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_torch_is_within_the_budget_of_any_function(dtype: str) -> None:
    budget = gradient_budget(loss, **inputs(dtype))
    expected = {name: found.value for name, found in budget.items()}
    assert_gradients_agree(torch_gradients(dtype), expected, budget)


def scaled(gradients: Mapping[str, Array]) -> dict[str, Array]:
    return {**gradients, "w": gradients["w"] * np.float32(1 + 1e-5)}


def one_element(gradients: Mapping[str, Array]) -> dict[str, Array]:
    changed = gradients["x"].copy()
    changed[3, 2] += np.float32(1e-3)
    return {**gradients, "x": changed}


def missing_number(gradients: Mapping[str, Array]) -> dict[str, Array]:
    changed = gradients["b"].copy()
    changed[1] = np.nan
    return {**gradients, "b": changed}


@pytest.mark.parametrize(
    ("defect", "said"),
    [
        (scaled, "w"),
        (one_element, r"x\[3, 2\]: actual \S+, expected \S+, allowed difference \S+: \S+ times"),
        (missing_number, r"b\[1\]: actual nan, expected"),
    ],
)
def test_a_planted_defect_is_told(
    defect: Callable[[Mapping[str, Array]], dict[str, Array]], said: str
) -> None:
    budget = gradient_budget(loss, **inputs())
    expected = torch_gradients("float32")
    with pytest.raises(AssertionError, match=said):
        assert_gradients_agree(defect(expected), expected, budget)


def test_what_shows_in_a_tensor_as_a_whole_is_told() -> None:
    """A factor so near 1 that no element is out of its budget."""
    weights = np.random.default_rng(1).normal(size=2000).astype(np.float32)
    budget = gradient_budget(lambda w: (w * w * w).sum(), w=weights)
    expected = {"w": budget["w"].value}
    assert_gradients_agree(expected, expected, budget)
    drifted = {"w": (expected["w"].astype(np.float64) * (1 + 3e-7)).astype(np.float32)}
    with pytest.raises(AssertionError, match="w as a whole: every element is within its budget"):
        assert_gradients_agree(drifted, expected, budget)


def test_other_tensors_are_refused() -> None:
    budget = gradient_budget(loss, **inputs())
    expected = torch_gradients("float32")
    with pytest.raises(ValueError, match="the engine returned"):
        assert_gradients_agree({"x": expected["x"]}, expected, budget)


def test_what_cannot_be_judged_is_refused() -> None:
    budget = gradient_budget(loss, **inputs())
    expected = torch_gradients("float32")
    with pytest.raises(ValueError, match="there is no gradients"):
        assert_gradients_agree({}, {}, budget)
    with pytest.raises(ValueError, match="no budget of w"):
        assert_gradients_agree(expected, expected, {n: b for n, b in budget.items() if n != "w"})
    huge = gradient_budget(lambda x: (x * x).sum() * 1e38, x=np.full(3, 1e20, np.float32))
    overflowed = {name: found.value for name, found in huge.items()}
    with pytest.raises(ValueError, match="beside an overflow"):
        assert_gradients_agree(overflowed, overflowed, huge)


def test_an_input_that_does_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="does not depend on 'b'"):
        gradient_budget(lambda x, b: x.sum(), x=np.ones(1), b=np.ones(1))


def test_every_check_has_a_name_of_its_own_and_every_verdict_a_check() -> None:
    names = [str(check) for check in checks()]
    assert len(set(names)) == len(names)
    assert {check.verdict for check in checks()} == {
        "start",
        "gradients",
        "steps",
        "free_steps",
        "accuracy",
        "trajectory",
        "final_mse",
        "probes",
    }
    mark = parametrize_with_checks([MinigradEngine, "minigrad"]).mark
    assert len(mark.args[1]) == 2 * len(names)
    assert [parameter.id for parameter in mark.args[1]][:1] == [f"{names[0]}-MinigradEngine"]


SOME = [
    check
    for check in checks()
    if check.architecture in ("1-8-1", "1-8-8-1") or check.verdict == "probes"
]


@pytest.mark.parametrize("check", SOME, ids=str)
def test_minigrad(check: Check) -> None:
    check("minigrad")


def test_what_a_check_does_not_judge_it_does_not_pass() -> None:
    with pytest.raises(UsageError, match="no module 'nowhere'"):
        Check("gradients", "1-2-1", "float32")("nowhere:Engine")
    with pytest.raises(UsageError, match="unknown engine 'minigard'"):
        parametrize_with_checks("minigard")
    for reference in ("torch", "parity.engines.adapters.torch:TorchEngine"):
        with pytest.raises(UsageError, match="agrees with itself"):
            Check("gradients", "1-2-1", "float32")(reference)


class Raising(MinigradEngine):
    """Raises in the middle of its training, while torch trains too."""

    def step(self) -> object:
        raise ZeroDivisionError("planted")


@pytest.mark.dear
def test_an_engine_that_raises_does_not_spoil_the_next() -> None:
    before = np.geterr()
    with pytest.raises(ZeroDivisionError, match="planted"):
        Check("gradients", "1-2-1", "float32")(Raising)
    Check("gradients", "1-2-1", "float32")(MinigradEngine)
    Check("gradients", "1-2-1", "float32")("numpy-floor")
    assert np.geterr() == before


class WithoutProbes(MinigradEngine):
    """Has no namespace."""

    namespace = None


class SpoiledProbes(MinigradEngine):
    """Is sound, but its namespace has a wrong function."""

    namespace = types.ModuleType("spoiled", "minigrad with another exp")

    def __init__(self) -> None:
        super().__init__()
        vars(self.namespace).update({**vars(minigrad), "tensor": lambda a: minigrad.tensor(a * 2)})


@pytest.mark.dear
def test_probes_are_judged_by_the_namespace() -> None:
    check = Check("probes", "1-2-1", "float32")
    with pytest.raises(pytest.skip.Exception, match="no `namespace` in torch's names"):
        check(WithoutProbes)
    with pytest.raises(AssertionError, match="SpoiledProbes and torch differ") as told:
        check(SpoiledProbes)
    assert "no verdict did" not in str(told.value)
    Check("gradients", "1-2-1", "float32")(SpoiledProbes)


def test_a_failing_check_says_where() -> None:
    said = "HookedEngine is wrong: the gradient of 2.weight"
    with pytest.raises(AssertionError, match=said) as told:
        Check("gradients", "underfit", "float32")(HookedEngine)
    assert "rule linear_backward_weight, minigrad/ops/linalg.py" in str(told.value)
    assert "found by gradients of underfit" in str(told.value)
    Check("start", "underfit", "float32")(HookedEngine)  # a verdict stands alone


class RaisesInAStep(MinigradEngine):
    """Raises in its first step."""

    def step(self) -> object:
        raise LookupError("no such step")


def test_the_judges_frames_are_not_in_a_traceback() -> None:
    with pytest.raises(LookupError) as caught:
        Check("steps", "1-8-1", "float32")(RaisesInAStep)
    files = [Path(str(entry.path)).name for entry in caught.traceback]
    assert files == ["test_testing.py", "testing.py", "test_testing.py"]


def test_equal_nans_and_swallowed_ones_are_told_apart() -> None:
    x, w = np.array([[1.5, -2]], np.float32), np.array([[0.3], [0.7]], np.float32)
    budget = gradient_budget(lambda x, w: (x @ w).sum(), x=x, w=w)
    right = {name: each.value for name, each in budget.items()}
    nan = {**right, "x": np.full_like(right["x"], np.nan)}
    with pytest.raises(AssertionError, match=r"x\[0, 0\].*are both nan.*both are wrong"):
        assert_gradients_agree(nan, nan, budget)
    with pytest.raises(AssertionError, match=r"x\[0, 0\]: expected nan is swallowed: actual is "):
        assert_gradients_agree(right, nan, budget)
    with pytest.raises(AssertionError, match=r"x\[0, 0\]: actual nan, expected "):
        assert_gradients_agree(nan, right, budget)
