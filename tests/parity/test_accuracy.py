"""accuracy: a defect that widens its own budget is caught, and no right engine is failed."""

from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from parity import Engine
from parity.checks import accuracy, plain
from parity.checks.accuracy import LIMIT, check_accuracy, describe_accuracy
from parity.checks.steps import check_steps
from parity.checks.witness import Witness
from parity.checks.words import element
from parity.engines.adapters.minigrad import (
    MinigradCapturedEngine,
    MinigradEngine,
    MinigradReproducibleEngine,
)
from parity.engines.process import EngineProcess, LocalObject
from parity.engines.protocol import Array, Start, Task
from parity.engines.trainer import Trainer
from parity.evidence.detection.defect import Defect, planted
from tests.minigrad.operations import FUZZ
from tests.parity import odd_engines, stateful_engines


def name(engine: type[Engine]) -> str:
    return f"{engine.__module__.rpartition('.')[2]}-{engine.__name__}"


# The exact steps take half a minute: an ordinary run has time for one size, dtype and engine of
# each kind, `make fuzz` for all.
DTYPES = ("float32", "float64") if FUZZ else ("float32",)

UNSTABLE = Defect(
    "unstable-mean-squared-error",
    "minigrad/ops/loss.py",
    "mse_loss",
    "squares = np.square(np.subtract(x, y))",
    "twice = np.multiply(np.multiply(x, y), 2)\n"
    "squares = np.add(np.subtract(np.square(x), twice), np.square(y))",
)
HALF = Defect(
    "half-precision-by-splitting",
    "minigrad/ops/linalg.py",
    "linear",
    "return np.add(np.matmul(x, weight.mT), bias)",
    "large = np.multiply(weight, 8193)  # Veltkamp's splitting: 11 of float32's 24 bits are left\n"
    "weight = np.subtract(large, np.subtract(large, weight))\n"
    "return np.add(np.matmul(x, weight.mT), bias)",
)


class HalfBackward(stateful_engines.Plain):
    """Wrong: what its backward pass reads of the weights has half precision."""

    def weights(self) -> list[Array]:
        return [weight.astype(np.float16).astype(weight.dtype) for weight in super().weights()]


class OneByOne(stateful_engines.Plain):
    """Right: it adds the terms of loss and biases one after the other."""

    def backward(self) -> tuple[float, stateful_engines.Arrays]:
        _, gradients = super().backward()
        error = self.forward()[-1] - self.y
        grad = 2 * error / error.size
        gradients[list(gradients)[-1]] = np.cumsum(grad, axis=0)[-1]
        return float(np.cumsum(error**2)[-1] / error.dtype.type(error.size)), gradients


class SwallowsAll(stateful_engines.Plain):
    """Wrong: its gradients are NaN."""

    def backward(self) -> tuple[float, stateful_engines.Arrays]:
        loss, gradients = super().backward()
        return loss, {name: gradient * np.nan for name, gradient in gradients.items()}


def local(engine: type[Engine]) -> EngineProcess[Trainer]:
    return LocalObject(Trainer(engine), engine.__name__)


def task_of(**changes: Any) -> Task:
    return replace(Task((1, 8, 8, 1), 3, 0.01, 40, 0, "float32", "cpu"), **changes)


def judged(
    actual: type[Engine],
    expected: type[Engine] = stateful_engines.Plain,
    start: Start | None = None,
    **changes: Any,
) -> dict[str, Any]:
    task = task_of(**changes)
    start = start or MinigradEngine().draw(task)
    sides = local(actual), local(expected)
    trained, _ = sides[1].call(Trainer.state_before, task, start, task.epochs)
    found = check_accuracy(*sides, task, start, trained)
    assert found is not None
    return found


# ---- the truth ----------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize("sizes", [(2, 3, 2, 1), (1, 1), (1, 4, 2)][: 3 if FUZZ else 1])
def test_the_plain_step_is_the_exact_one(
    sizes: tuple[int, ...], momentum: float, dtype: str
) -> None:
    task = task_of(sizes=sizes, momentum=momentum, dtype=dtype, samples=5)
    rng = np.random.default_rng(len(sizes))

    def drawn(*shape: int) -> Array:
        return rng.standard_normal(shape).astype(dtype)

    parameters: dict[str, Array] = {}
    for i, (inputs, outputs) in enumerate(pairwise(sizes)):
        parameters |= {f"{2 * i}.weight": drawn(outputs, inputs), f"{2 * i}.bias": drawn(outputs)}
    start = Start(drawn(5, sizes[0]), drawn(5, sizes[-1]), parameters)
    for buffers in ({}, {name: drawn(*array.shape) for name, array in parameters.items()}):
        given = buffers if momentum else {}
        exact = Witness(task, start, given).step()
        kind = plain.wider(dtype)
        assert exact is not None
        assert kind is not None
        found = plain.step(task, start, kind, given)
        exact = {of: arrays for of, arrays in exact.items() if of != "buffers" or momentum}
        assert found.keys() == exact.keys()
        for of, arrays in exact.items():
            assert arrays.keys() == found[of].keys()
            for name, true in arrays.items():
                np.testing.assert_array_equal(found[of][name].astype(dtype), true, f"{of} {name}")


def test_samples_are_left_out_where_the_truth_would_take_too_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    task = task_of(sizes=(1, 10, 1))
    start = MinigradEngine().draw(replace(task, samples=9))
    start = replace(start, x=np.arange(9.0, dtype=np.float32)[:, None])
    for products, kept in ((1e9, range(9)), (60, [0, 4, 8]), (1, [0])):
        monkeypatch.setitem(accuracy.MOST_PRODUCTS, np.float64, products)
        found = accuracy._beside_prediction(task, start)
        assert found.x[:, 0].tolist() == list(kept)
        assert len(found.y) == len(found.x)


# ---- right engines ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "engine",
    [
        *(*stateful_engines.RIGHT, *odd_engines.AWKWARD, OneByOne),
        *(MinigradEngine, MinigradCapturedEngine, MinigradReproducibleEngine),
    ],
    ids=name,
)
def test_a_right_engine_passes(engine: type[Engine]) -> None:
    for found in (judged(engine), judged(engine, dtype="float64", momentum=0.9, samples=15)):
        assert found["passed"] is True, found
        assert found["worst_ratio"] < LIMIT / 3
        assert found["steps"] == 3 * accuracy.STATES


def test_what_does_not_train_is_judged_at_its_start() -> None:
    found = judged(MinigradEngine, learning_rate=1e30)
    assert (found["passed"], found["steps"]) == (True, 2 * accuracy.STATES)


def test_where_all_is_zero_nothing_is_judged() -> None:
    drawn = MinigradEngine().draw(task_of())
    zero = {name: np.zeros_like(array) for name, array in drawn.parameters.items()}
    found = judged(MinigradEngine, start=replace(drawn, parameters=zero), epochs=0)
    assert (found["passed"], found["worst_ratio"], found["worst_at"]) == (None, None, None)
    assert "all that there is is zero, or not finite" in describe_accuracy(found, {}, {})


# ---- wrong engines ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "engine", [MinigradEngine, MinigradCapturedEngine][: 2 if FUZZ else 1], ids=name
)
@pytest.mark.parametrize("defect", [UNSTABLE, HALF], ids=lambda defect: defect.name)
@pytest.mark.parametrize("sizes", [(1, 8, 8, 1), (1, 1, 1)][: 2 if FUZZ else 1])
def test_a_defect_that_widens_its_own_budget_is_caught_by_accuracy_alone(
    sizes: tuple[int, ...], defect: Defect, engine: type[Engine]
) -> None:
    with planted(defect):
        task = task_of(sizes=sizes, samples=100)
        start = MinigradEngine().draw(task)
        sides = local(engine), local(stateful_engines.Plain)
        assert check_steps(*sides, task, start)["passed"] is True
        found = judged(engine, sizes=sizes, samples=100)
        assert (found["passed"], found["wrong"]) == (False, "actual")
        assert found["worst_ratio"] > 2 * LIMIT
        if defect is UNSTABLE:
            assert found["worst_at"]["of"] == found["worst_at"]["tensor"] == "loss"
        reverse = judged(stateful_engines.Plain, engine, sizes=sizes, samples=100)
        assert (reverse["passed"], reverse["wrong"]) == (False, "expected")


def test_half_precision_backward_is_caught_and_both_engines_may_be_wrong() -> None:
    found = judged(HalfBackward)
    assert (found["passed"], found["wrong"]) == (False, "actual")
    at = found["worst_at"]
    assert (at["of"], at["tensor"].partition(".")[0]) in {("gradients", "0"), ("gradients", "2")}
    assert at["roundings"]["actual"] > 100 * at["roundings"]["plain"]
    settings = {"engine": "ours", "against": "theirs"}
    said = describe_accuracy(found, {}, settings)
    assert f"times what rounding makes, at {element(at)}; limit 16; in roundings ours " in said
    both = judged(HalfBackward, HalfBackward)
    assert (both["passed"], both["wrong"]) == (False, "both")


def test_nan_where_the_truth_is_finite_fails() -> None:
    found = judged(SwallowsAll)
    assert (found["passed"], found["wrong"], found["worst_ratio"]) == (False, "actual", np.inf)
