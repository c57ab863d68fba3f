"""The derived budget: correct engines keep to it, defects far below usual tolerances do not.

Every defect here is planted in the gradients of a correct engine, or in the values a step is
computed from.
"""

import functools
import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from minigrad.arrays.budgeted import BudgetedArray
from parity.checks import gradients as gradients_module
from parity.checks.budget import BudgetedStep, StepBudget, step_budget
from parity.checks.gradients import Z, compare
from parity.checks.steps import Judge, check_steps
from parity.engines.adapters.minigrad import MinigradEngine
from parity.engines.adapters.torch import TorchEngine
from parity.engines.process import EngineProcess, LocalObject
from parity.engines.protocol import Array, Start, Task
from parity.engines.trainer import Trainer
from tests.parity.fake_engines import drawn

RIGHTFIT = (1, 16, 16, 1)


def task(**changes: Any) -> Task:
    return replace(Task(RIGHTFIT, 12, 0.01, 100, 0, "float32", "cpu"), **changes)


@functools.cache
def judged(seed: int, dtype: str = "float32") -> tuple[Any, Any, StepBudget, Start]:
    """The gradients of minigrad, those of torch, the budget, and where they were computed."""
    job = task(seed=seed, dtype=dtype)
    ours, theirs = MinigradEngine(), TorchEngine()
    start = theirs.draw(job)
    found = []
    engine: Any
    for engine in (ours, theirs):
        engine.load(job, start)
        found.append(engine.loss_and_gradients()[1])
    return found[0], found[1], step_budget(job, start), start


# ---- the budget -----------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("seed", range(5))
def test_correct_engines_keep_to_it(seed: int, dtype: str) -> None:
    actual, expected, budget, _ = judged(seed, dtype)
    found = compare(actual, expected, budget.gradients)
    assert found.passed
    assert 0 < found.worst_used < 0.7
    assert found.elements == 321
    assert found.unlimited == 0
    for name, value in actual.items():
        assert np.array_equal(budget.gradients[name].value, value)


def test_updated_parameters_and_loss() -> None:
    job = task(learning_rate=0.05)
    ours, theirs = MinigradEngine(), TorchEngine()
    start = theirs.draw(job)
    budget = step_budget(job, start)
    stepped = []
    engine: Any
    for engine in (ours, theirs):
        engine.load(job, start)
        loss = float(engine.step())
        assert abs(loss - budget.loss.value) < Z * math.sqrt(2) * budget.loss.deviation
        stepped.append(engine.parameters())
    actual, expected = stepped
    assert compare(actual, expected, budget.parameters, "parameters").worst_used < 0.7
    assert np.array_equal(budget.parameters["2.weight"].value, stepped[0]["2.weight"])
    # A learning rate that is wrong by a ten-thousandth.
    ours.load(replace(job, learning_rate=0.05 * (1 + 1e-4)), start)
    ours.step()
    assert compare(ours.parameters(), expected, budget.parameters, "parameters").worst_used > 1


def test_a_budgeted_step_starts_from_exact_values_every_time() -> None:
    _, _, budget, start = judged(0)
    step = BudgetedStep(task(momentum=0.9), start)
    buffers = {name: np.ones_like(value) for name, value in start.parameters.items()}
    first = step(start.parameters, buffers)
    again = step(start.parameters, buffers)
    for name in start.parameters:
        for a, b in zip(first.parameters[name][:2], again.parameters[name][:2], strict=True):
            assert np.array_equal(a, b)
        assert np.array_equal(first.gradients[name].deviation, budget.gradients[name].deviation)
        moved = start.parameters[name] - first.parameters[name].value
        np.testing.assert_allclose(moved, 0.01 * (0.9 + budget.gradients[name].value), atol=1e-6)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("bias_first", [True, False])
def test_a_product_may_begin_with_what_is_added_to_it(dtype: Any, bias_first: bool) -> None:
    """The addmm of torch does in float64: every addition then rounds beside a large bias."""
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal((100, 512)), 1e-3 * rng.standard_normal((512, 64))
    b = 10 * rng.standard_normal(64)
    x, w, b = (value.astype(dtype) for value in (x, w, b))
    product = np.matmul(BudgetedArray(x), BudgetedArray(w))
    out: Any = (
        np.add(product, BudgetedArray(b)) if bias_first else np.add(BudgetedArray(b), product)
    )
    actual = np.repeat(b[None], 100, axis=0)
    for i in range(512):
        actual += x[:, i : i + 1] * w[i]
    fused = torch.addmm(torch.tensor(b), torch.tensor(x), torch.tensor(w)).numpy()
    for found in (actual, fused):
        error = np.abs(found.astype(np.float64) - np.asarray(out))
        assert (error / (Z * math.sqrt(2) * out.deviation)).max() < 0.7
    unit = np.finfo(dtype).eps / 2
    values = np.asarray(out).astype(np.float64)
    rounded_once = unit * np.sqrt(product.variance + values**2 / 3)
    assert (np.abs(actual - np.asarray(out)) / (Z * math.sqrt(2) * rounded_once)).max() > 5


# ---- planted defects ------------------------------------------------------------------------


def scaled(gradient: Array, start: Start) -> Array:
    return (gradient.astype(np.float64) * (1 + 1e-5)).astype(gradient.dtype)


def rounded_to_float16(gradient: Array, start: Start) -> Array:
    return gradient.astype(np.float16).astype(gradient.dtype)


def overwritten(gradient: Array, start: Start) -> Array:
    changed = gradient.copy()
    changed.flat[np.abs(changed).argmax()] *= 1 + 1e-4
    return changed


@pytest.mark.parametrize("name", ["0.weight", "0.bias", "2.weight", "2.bias", "4.weight", "4.bias"])
@pytest.mark.parametrize("defect", [scaled, rounded_to_float16, overwritten])
@pytest.mark.parametrize("seed", range(3))
def test_a_defect_in_one_gradient_is_caught(
    seed: int, defect: Callable[[Array, Start], Array], name: str
) -> None:
    actual, expected, budget, start = judged(seed)
    spoiled = {**actual, name: defect(actual[name], start)}
    assert not np.array_equal(spoiled[name], actual[name])
    found = compare(spoiled, expected, budget.gradients)
    assert found.worst_used > 1
    assert found.worst_at["parameter"] == name
    # In any of the engines.
    assert not compare(actual, {**expected, name: spoiled[name]}, budget.gradients).passed


def test_transposed_gradient_is_caught() -> None:
    actual, expected, budget, _ = judged(0)
    spoiled = {**actual, "2.weight": actual["2.weight"].T.copy()}
    assert not compare(spoiled, expected, budget.gradients).passed


@pytest.mark.parametrize("seed", range(3))
def test_a_dropped_row_is_caught(seed: int) -> None:
    _, expected, budget, start = judged(seed)
    engine = MinigradEngine()
    fewer = Start(start.x[1:], start.y[1:], start.parameters)
    engine.load(task(), fewer)
    actual = engine.loss_and_gradients()[1]
    mean = {name: (value * np.float32(0.99)) for name, value in actual.items()}
    assert not compare(mean, expected, budget.gradients).passed


def test_what_allclose_lets_through() -> None:
    actual, expected, budget, start = judged(1)
    spoiled = {**actual, "2.weight": scaled(actual["2.weight"], start)}
    for name in spoiled:
        assert np.allclose(spoiled[name], expected[name], rtol=1e-3, atol=1e-4)
    assert not compare(spoiled, expected, budget.gradients).passed


# ---- kinks ----------------------------------------------------------------------------------


def at_a_kink() -> tuple[Start, int]:
    """A start at which a ReLU's input is nothing but rounding, and which unit that is."""
    job = task()
    start = TorchEngine().draw(job)
    parameters = {name: value.copy() for name, value in start.parameters.items()}
    hidden = np.maximum(start.x @ parameters["0.weight"].T + parameters["0.bias"], 0)
    inputs = hidden @ parameters["2.weight"].T
    unit = int(np.abs(inputs[40]).argmax())
    parameters["2.bias"][unit] = -inputs[40, unit]
    return Start(start.x, start.y, parameters), unit


@pytest.mark.parametrize("direction", [-1, 1])
def test_either_choice_at_a_kink_passes_and_is_counted(direction: int) -> None:
    start, unit = at_a_kink()
    budget = step_budget(task(), start)
    assert budget.kinks >= 1
    engine = TorchEngine()
    moved = {name: value.copy() for name, value in start.parameters.items()}
    moved["2.bias"][unit] += direction * 3e-7
    engine.load(task(), Start(start.x, start.y, moved))
    expected = engine.loss_and_gradients()[1]
    values = {name: b.value for name, b in budget.gradients.items()}
    flipped = {
        choice: {
            name: b.value + choice * sum(b.shifts.values(), np.zeros(b.value.shape)).astype("f4")
            for name, b in budget.gradients.items()
        }
        for choice in (0, 1)
    }
    assert compare(flipped[1], values, budget.gradients).passed
    assert compare(flipped[1], values, budget.gradients).choices >= 1
    without = {name: b._replace(shifts={}) for name, b in budget.gradients.items()}
    assert not compare(flipped[1], values, without).passed
    # One of the two is what torch computes just beside the kink.
    close = [
        max(float(np.abs(gradients[n] - expected[n]).max()) for n in expected)
        for gradients in flipped.values()
    ]
    assert min(close) < 1e-3
    # A defect is found beside the other choice as well.
    spoiled = {**flipped[1], "2.weight": scaled(flipped[1]["2.weight"], start)}
    assert not compare(spoiled, values, budget.gradients).passed


# ---- steps ----------------------------------------------------------------------------------


def here(engine: Any) -> LocalObject[Trainer]:
    """An engine in this process, called like one in another."""
    return LocalObject(Trainer(lambda: engine))


class LateDefect(MinigradEngine):
    """minigrad, but for what is off in the step `at` on the data that it was given last."""

    def __init__(self, at: int, of: str) -> None:
        super().__init__()
        self._at, self._of, self._calls = at, of, 0

    def put_data(self, x: Array, y: Array, *more: Array) -> None:
        super().put_data(x, y)
        self._calls = 0

    def loss_and_gradients(self) -> tuple[float, dict[str, Array]]:
        loss, gradients = super().loss_and_gradients()
        self._calls += 1
        if self._calls == self._at + 1 and self._of == "gradients":
            gradients["2.weight"] = scaled(gradients["2.weight"], None)  # type: ignore[arg-type]
        if self._calls == self._at + 1 and self._of == "loss":
            loss *= 1 + 1e-5
        return loss, gradients

    def parameters(self) -> dict[str, Array]:
        parameters = super().parameters()
        if self._calls == self._at + 1 and self._of == "updated":
            parameters["0.bias"][3] *= np.float32(1 + 1e-6)
        return parameters


def steps(actual: Any, expected: Any, **changes: Any) -> dict[str, Any]:
    job = task(**changes)
    start = TorchEngine().draw(job)
    return check_steps(here(actual), here(expected), job, start)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_correct_engines_pass_every_step(dtype: str) -> None:
    done: list[tuple[int, int]] = []
    job = task(dtype=dtype)
    start = TorchEngine().draw(job)
    entry = check_steps(
        here(MinigradEngine()), here(TorchEngine()), job, start, lambda *d: done.append(d)
    )
    assert entry["passed"] is True
    assert entry["epochs"] == 12
    assert done == [(epoch, 12) for epoch in range(1, 13)]
    assert 0 < entry["worst_budget_used"] < 0.7
    assert entry["elements"] == 12 * (321 * 2 + 1 + 100)
    assert entry["worst_at"]["parameter"] in [*start.parameters, "loss"]


@pytest.mark.parametrize("of", ["loss", "gradients", "updated"])
@pytest.mark.parametrize("at", [0, 7, 11])
def test_a_defect_in_one_step_is_found_and_placed(at: int, of: str) -> None:
    entry = steps(LateDefect(at, of), TorchEngine())
    assert entry["passed"] is False
    place = entry["worst_at"]
    assert (place["epoch"], place["of"]) == (at, of)
    name = {"loss": "loss", "gradients": "2.weight", "updated": "0.bias"}[of]
    assert place["parameter"] == name
    assert steps(TorchEngine(), LateDefect(at, of))["passed"] is False


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("judges", [0, 1, 2, 3])
def test_momentum_is_given_and_judged(judges: int, dtype: str) -> None:
    """However many judges take turns: the verdict is the same."""
    job = task(momentum=0.9, dtype=dtype, epochs=5)
    start = TorchEngine().draw(job)
    buffers = {name: np.full_like(value, 0.1) for name, value in start.parameters.items()}
    sides = here(MinigradEngine()), here(TorchEngine())
    some = [LocalObject(Judge()) for _ in range(judges)]
    entry = check_steps(*sides, job, start, momentum_buffers=buffers, judges=some)
    assert entry == check_steps(*sides, job, start, momentum_buffers=buffers)
    assert entry["passed"] is True
    assert entry["first_failure"] is None
    assert entry["elements"] == 5 * (321 * 3 + 1 + 100)
    assert 0 < entry["worst_budget_used"] < 0.7
    # Without them it is another run.
    assert entry["worst_at"] != check_steps(*sides, job, start)["worst_at"]


class LateBuffer(MinigradEngine):
    """minigrad, but the buffer of one bias is off at one step."""

    def momentum_buffers(self) -> dict[str, Array]:
        buffers = super().momentum_buffers()
        self._steps = getattr(self, "_steps", -1) + 1
        if self._steps == 3:
            buffers["2.bias"][5] *= np.float32(1 + 1e-5)
        return buffers


class ForgetfulEngine(MinigradEngine):
    """minigrad, but at every step its optimiser is as new."""

    def put(self, parameters: Any, momentum_buffers: Any = {}) -> None:  # noqa: B006
        super().put(parameters)


def test_a_defect_of_momentum_is_found_and_placed() -> None:
    entry = steps(LateBuffer(), TorchEngine(), momentum=0.9)
    assert entry["passed"] is False
    place = entry["first_failure"]
    assert (place["epoch"], place["of"]) == (3, "buffers")
    assert (place["parameter"], place["index"]) == ("2.bias", [5])
    assert entry["worst_at"] == place
    entry = steps(ForgetfulEngine(), TorchEngine(), momentum=0.9)
    assert entry["first_failure"]["epoch"] == 1, "the first step needs no memory"
    assert entry["first_failure"]["of"] == "updated"


def test_the_first_failure_is_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not the worst; and one that only shows in a tensor as a whole has no element."""

    class Worsening(MinigradEngine):
        epoch = -1

        def put_data(self, x: Array, y: Array, *more: Array) -> None:
            super().put_data(x, y)
            self.epoch = -1

        def loss_and_gradients(self) -> tuple[float, dict[str, Array]]:
            self.epoch += 1
            loss, gradients = super().loss_and_gradients()
            if self.epoch >= 4:
                gradients["2.weight"] = scaled(gradients["2.weight"], None)  # type: ignore[arg-type]
            if self.epoch == 9:
                gradients["0.bias"] *= 2
            return loss, gradients

    entry = steps(Worsening(), TorchEngine())
    first = entry["first_failure"]
    assert (first["epoch"], first["of"], first["parameter"]) == (4, "gradients", "2.weight")
    assert entry["worst_at"]["epoch"] == 9
    monkeypatch.setattr(gradients_module, "Z", 1e9)
    first = steps(Worsening(), TorchEngine())["first_failure"]
    assert (first["epoch"], first["parameter"]) == (4, "2.weight")
    assert abs(first["scale"] - 1e-5) < 1e-6


def test_divergence_is_no_failure() -> None:
    entry = steps(MinigradEngine(), TorchEngine(), learning_rate=30.0, epochs=30)
    assert entry["passed"] is True
    assert entry["epochs"] == 30
    assert entry["unlimited"] > 0


def test_an_engine_that_swallows_nan_is_found() -> None:
    class Swallowing(MinigradEngine):
        def loss_and_gradients(self) -> tuple[float, dict[str, Array]]:
            loss, gradients = super().loss_and_gradients()
            return loss, {name: np.nan_to_num(g) for name, g in gradients.items()}

    entry = steps(Swallowing(), TorchEngine(), learning_rate=30.0, epochs=30)
    assert entry["passed"] is False


def test_tensors_that_are_not_the_parameters_are_refused() -> None:
    class Missing(MinigradEngine):
        def loss_and_gradients(self) -> tuple[float, dict[str, Array]]:
            loss, gradients = super().loss_and_gradients()
            del gradients["2.bias"]
            return loss, gradients

    with pytest.raises(ValueError, match=r"no 2\.bias"):
        steps(Missing(), TorchEngine())


def test_processes_of_their_own(torch_process: EngineProcess[Trainer]) -> None:
    job, theirs = task(sizes=(1, 4, 1), epochs=3), torch_process
    with EngineProcess(functools.partial(Trainer, MinigradEngine), 1, "minigrad") as ours:
        start = drawn(theirs, job)
        with EngineProcess(Judge, 1) as first, EngineProcess(Judge, 1) as second:
            entry = check_steps(ours, theirs, job, start, judges=[first, second])
        assert (entry["passed"], entry["epochs"]) == (True, 3)
        assert entry == check_steps(ours, theirs, job, start)
        # The exchange is gone, and the processes are as before.
        assert drawn(ours, job).x.shape == (100, 1)
