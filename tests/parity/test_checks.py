"""Every check with correct engines and with planted defects."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from parity.checks.final_mse import check_final_mse
from parity.checks.gradients import (
    BUDGET_IN_ROUNDOFFS,
    budget,
    budget_used,
    check_gradients,
    ulp_distance,
)
from parity.checks.start import check_start, first_difference
from parity.checks.state import state
from parity.engines import ENGINES, Engine, Start, Task, factory
from parity.engines.minigrad import MinigradEngine
from parity.engines.torch import TorchEngine
from parity.engines.trainer import Run, Trainer
from parity.errors import UsageError
from parity.report.document import to_json

Array = NDArray[Any]
DTYPES = pytest.mark.parametrize("dtype", ["float32", "float64"])


def task(sizes: tuple[int, ...] = (1, 5, 4, 1), dtype: str = "float32", **changes: Any) -> Task:
    settings = {"epochs": 30, "learning_rate": 0.01, "samples": 20, "seed": 3, "device": "cpu"}
    return Task(sizes=sizes, dtype=dtype, **{**settings, **changes})


def start(dtype: str = "float32") -> Start:
    rng = np.random.default_rng(0)
    shapes = {"0.weight": (4, 1), "0.bias": (4,), "2.weight": (1, 4), "2.bias": (1,)}
    return Start(
        x=np.linspace(-1, 1, 6, dtype=dtype).reshape(-1, 1),
        y=rng.standard_normal((6, 1)).astype(dtype),
        parameters={name: rng.standard_normal(s).astype(dtype) for name, s in shapes.items()},
    )


def flip(array: Array, index: tuple[int, ...], bit: int) -> None:
    array.view(f"u{array.itemsize}")[index] ^= 1 << bit


# ---- start ----------------------------------------------------------------------------------


@DTYPES
def test_the_same_start_passes(dtype: str) -> None:
    entry = check_start(start(dtype), start(dtype))
    assert entry == {
        "passed": True,
        "data_identical": True,
        "parameters_identical": True,
        "first_difference": None,
    }


@DTYPES
@pytest.mark.parametrize("name", ["0.weight", "0.bias", "2.weight", "2.bias"])
@pytest.mark.parametrize("bit", [0, 7, -1])
def test_one_bit_in_one_parameter_is_found(name: str, bit: int, dtype: str) -> None:
    actual = start(dtype)
    parameter = actual.parameters[name]
    index = tuple(n - 1 for n in parameter.shape)
    flip(parameter, index, bit % (8 * parameter.itemsize))
    entry = check_start(actual, start(dtype))
    assert (entry["passed"], entry["data_identical"], entry["parameters_identical"]) == (
        False,
        True,
        False,
    )
    found = entry["first_difference"]
    assert (found["parameter"], tuple(found["index"])) == (name, index)
    assert float.fromhex(found["actual"]) == float(parameter[index])
    assert float.fromhex(found["expected"]) == float(start(dtype).parameters[name][index])


@pytest.mark.parametrize("name", ["x", "y"])
def test_one_bit_in_the_data_is_found(name: str) -> None:
    actual = start()
    flip(getattr(actual, name), (2, 0), 0)
    entry = check_start(actual, start())
    assert (entry["passed"], entry["data_identical"], entry["parameters_identical"]) == (
        False,
        False,
        True,
    )
    assert (entry["first_difference"]["parameter"], entry["first_difference"]["index"]) == (
        name,
        [2, 0],
    )


@DTYPES
def test_the_sign_of_zero_counts(dtype: str) -> None:
    zero = {"w": np.zeros(3, dtype)}
    signed = {"w": np.array([0.0, -0.0, 0.0], dtype)}
    found = first_difference(signed, zero)
    assert found is not None
    assert found["index"] == [1]
    assert found["actual"] == "-0x0.0p+0"
    assert first_difference(signed, {"w": signed["w"].copy()}) is None


@DTYPES
def test_nan_equals_itself_and_its_payload_counts(dtype: str) -> None:
    nan = np.full(2, math.nan, dtype)
    other = nan.copy()
    assert first_difference({"w": nan}, {"w": other}) is None
    flip(other, (1,), 0)
    assert np.isnan(other).all()
    found = first_difference({"w": nan}, {"w": other})
    assert found is not None
    assert found["index"] == [1]


def test_the_first_difference_is_named() -> None:
    actual = start()
    flip(actual.parameters["2.bias"], (0,), 0)
    flip(actual.parameters["0.bias"], (3,), 0)
    flip(actual.parameters["0.bias"], (1,), 0)
    found = check_start(actual, start())["first_difference"]
    assert (found["parameter"], found["index"]) == ("0.bias", [1])


def changed(parameters: dict[str, Array], change: str) -> dict[str, Array]:
    if change == "missing":
        return {name: value for name, value in parameters.items() if name != "2.weight"}
    if change == "extra":
        return {**parameters, "4.weight": np.zeros((1, 1), np.float32)}
    array = parameters["2.weight"]
    return {
        **parameters,
        "2.weight": {"transposed": array.T, "dtype": array.astype("f8"), "flat": array[0]}[change],
    }


@pytest.mark.parametrize("change", ["missing", "extra", "transposed", "dtype", "flat"])
def test_tensors_that_do_not_correspond_are_found(change: str) -> None:
    spoiled = replace(start(), parameters=changed(start().parameters, change))
    for actual, expected in ((spoiled, start()), (start(), spoiled)):
        entry = check_start(actual, expected)
        assert entry["passed"] is entry["parameters_identical"] is False
        name = "4.weight" if change == "extra" else "2.weight"
        assert entry["first_difference"]["parameter"] == name
        assert entry["first_difference"]["problem"]


def test_layout_in_memory_does_not_count() -> None:
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    assert first_difference({"w": np.asfortranarray(array)}, {"w": array}) is None
    assert first_difference({"w": array[:, ::-1][:, ::-1]}, {"w": array}) is None


# ---- gradients ------------------------------------------------------------------------------


def gradients(dtype: str = "float32") -> dict[str, Array]:
    return start(dtype).parameters


def units(dtype: str, count: float) -> float:
    return float(np.finfo(dtype).eps) / 2 * count


@DTYPES
def test_equal_gradients_pass(dtype: str) -> None:
    entry = check_gradients(gradients(dtype), gradients(dtype))
    assert entry["passed"] is True
    assert entry["elements"] == 13
    assert entry["worst_budget_used"] == 0
    assert entry["max_ulp"] == 0
    assert entry["kinks"] is None


@DTYPES
def test_budget_used_is_the_share_of_the_tensors_budget(dtype: str) -> None:
    actual = gradients(dtype)
    largest = float(np.abs(actual["0.bias"]).max())
    allowed = units(dtype, BUDGET_IN_ROUNDOFFS) * largest
    assert budget(actual["0.bias"]) == pytest.approx(allowed)
    actual["0.bias"][2] += 0.5 * allowed
    entry = check_gradients(actual, gradients(dtype))
    assert entry["passed"] is True
    assert entry["worst_budget_used"] == pytest.approx(0.5, abs=0.02)
    assert (entry["worst_at"]["parameter"], entry["worst_at"]["index"]) == ("0.bias", [2])
    assert entry["max_ulp"] >= 1
    actual["0.bias"][2] += 0.6 * allowed
    entry = check_gradients(actual, gradients(dtype))
    assert entry["passed"] is False
    assert entry["worst_budget_used"] == pytest.approx(1.1, abs=0.02)
    assert float.fromhex(entry["worst_at"]["actual"]) == float(actual["0.bias"][2])
    assert float.fromhex(entry["worst_at"]["expected"]) == float(gradients(dtype)["0.bias"][2])
    assert entry["worst_at"]["budget"] == pytest.approx(allowed)


@DTYPES
@pytest.mark.parametrize("name", ["0.weight", "0.bias", "2.weight", "2.bias"])
@pytest.mark.parametrize("factor", [1 + 1e-3, 1 - 1e-4, -1.0, 0.0, 2.0])
def test_a_factor_in_one_gradient_is_found(name: str, factor: float, dtype: str) -> None:
    actual = gradients(dtype)
    actual[name] = (actual[name] * factor).astype(dtype)
    entry = check_gradients(actual, gradients(dtype))
    assert entry["passed"] is False
    assert entry["worst_budget_used"] > 1
    assert entry["worst_at"]["parameter"] == name


@DTYPES
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("side", ["actual", "expected", "both", "opposite"])
def test_values_that_are_not_finite(value: float, side: str, dtype: str) -> None:
    actual, expected = gradients(dtype), gradients(dtype)
    if side != "expected":
        actual["2.weight"][0, 1] = value
    if side != "actual":
        expected["2.weight"][0, 1] = 1.0 if side == "actual" else value
    if side == "opposite":
        expected["2.weight"][0, 1] = math.inf if value != math.inf else -math.inf
        if value == -math.inf:
            expected["2.weight"][0, 1] = math.nan
    entry = check_gradients(actual, expected)
    assert entry["passed"] is (side == "both")
    if side != "both":
        assert (entry["worst_at"]["parameter"], entry["worst_at"]["index"]) == ("2.weight", [0, 1])
        assert json.loads(to_json(entry))["worst_budget_used"] is None
    # A defect elsewhere is not hidden by a value that agrees.
    actual["0.bias"][0] *= 1.01
    assert check_gradients(actual, expected)["passed"] is False


def test_a_finite_difference_beside_values_that_are_not_is_found() -> None:
    actual, expected = gradients(), gradients()
    actual["2.weight"][0, 1] = expected["2.weight"][0, 1] = math.inf
    actual["2.weight"][0, 2] *= 1.01
    entry = check_gradients(actual, expected)
    assert entry["passed"] is False
    assert entry["worst_at"]["index"] == [0, 2]


def test_all_zero_tensors() -> None:
    zeros = {name: np.zeros_like(value) for name, value in gradients().items()}
    assert check_gradients(zeros, zeros)["passed"] is True
    assert check_gradients({n: -v for n, v in zeros.items()}, zeros)["passed"] is True
    tiny = {**zeros, "0.bias": np.full(4, 1e-30, np.float32)}
    assert check_gradients(tiny, zeros)["passed"] is False
    assert check_gradients(zeros, tiny)["passed"] is False
    assert check_gradients(zeros, gradients())["passed"] is False


def test_all_nan_tensors_agree_with_themselves_alone() -> None:
    nan = {name: np.full_like(value, math.nan) for name, value in gradients().items()}
    assert check_gradients(nan, nan)["passed"] is True
    assert check_gradients(gradients(), nan)["passed"] is False
    assert check_gradients(nan, gradients())["passed"] is False


@pytest.mark.parametrize("change", ["missing", "extra", "transposed", "dtype", "flat"])
def test_gradients_that_do_not_correspond_are_refused(change: str) -> None:
    with pytest.raises(ValueError, match=r"engine under test .* 2\.weight \[1, 4\] float32"):
        check_gradients(changed(gradients(), change), gradients())


def test_each_element_is_judged_by_its_own_tensor() -> None:
    expected = {"large": np.array([1e6, 1.0], np.float32), "small": np.array([1.0], np.float32)}
    actual = {"large": np.array([1e6, 1.5], np.float32), "small": np.array([1.0], np.float32)}
    assert check_gradients(actual, expected)["passed"] is True
    actual = {"large": expected["large"], "small": np.array([1.5], np.float32)}
    assert check_gradients(actual, expected)["passed"] is False


@DTYPES
def test_ulps_are_counted(dtype: str) -> None:
    kind = np.dtype(dtype).type
    one = kind(1)
    up, down = np.nextafter(one, kind(2)), np.nextafter(one, kind(0))
    tiny = np.nextafter(kind(0), one)
    cases = [(one, one, 0), (up, one, 1), (up, down, 2), (kind(2), one, 2 ** np.finfo(kind).nmant)]
    cases += [(tiny, -tiny, 2), (kind(0), -kind(0), 0), (tiny, kind(-0.0), 1)]
    for actual, expected, distance in cases:
        for a, b in ((actual, expected), (-actual, -expected), (expected, actual)):
            assert ulp_distance(np.array([a]), np.array([b])).tolist() == [distance]
    nan = np.array([math.nan], dtype)
    assert ulp_distance(nan, nan.copy()).tolist() == [0]


def test_budget_used_of_every_element() -> None:
    expected = np.array([2.0, -1.0, 0.0, math.inf, math.nan])
    unit = units("float64", BUDGET_IN_ROUNDOFFS) * 2
    actual = expected + np.array([unit, -unit / 2, unit / 4, 0, 0])
    np.testing.assert_allclose(budget_used(actual, expected), [1, 0.5, 0.25, 0, 0], rtol=0.02)


# ---- final MSE ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("actual", "expected", "difference"),
    [(2.0, 2.0, 0.0), (2.2, 2.0, 0.1), (1.0, 2.0, 0.5), (0.0, 0.0, 0.0), (1.0, 0.0, math.inf)],
)
def test_final_mse_is_shown_and_not_judged(
    actual: float, expected: float, difference: float
) -> None:
    entry = check_final_mse(actual, expected)
    assert entry["passed"] is None
    assert entry["relative_difference"] == pytest.approx(difference)
    assert (entry["actual"], entry["expected"]) == (actual, expected)
    assert entry["expected_spread"] is None


def test_final_mse_that_is_not_finite_has_no_finite_difference() -> None:
    for actual, expected in (
        (math.nan, 1.0),
        (1.0, math.nan),
        (math.nan, math.nan),
        (math.inf, 1.0),
    ):
        assert not math.isfinite(check_final_mse(actual, expected)["relative_difference"])
        assert check_final_mse(actual, expected)["passed"] is None


# ---- state ----------------------------------------------------------------------------------


def finished(**changes: Any) -> Run:
    parameters = {
        "0.weight": np.array([[1.0], [-1.0]]),
        "0.bias": np.zeros(2),
        "2.weight": np.array([[1.0, 1.0]]),
        "2.bias": np.zeros(1),
    }
    x = DATA.x
    run = Run(np.array([2.0, 1.0]), 0.5, np.abs(x), parameters)
    for name in list(changes):
        if name in parameters:
            parameters[name] = changes.pop(name)
    return replace(run, **changes)


DATA = Start(np.linspace(-2, 2, 9).reshape(-1, 1), np.linspace(-2, 2, 9).reshape(-1, 1) ** 2, {})


def test_state_of_a_trained_network() -> None:
    assert state(finished(), DATA) == "trained"


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("where", ["losses", "final_mse", "prediction", "0.bias", "2.weight"])
def test_anything_that_is_not_finite_has_diverged(where: str, value: float) -> None:
    run = finished()
    if where == "final_mse":
        run = replace(run, final_mse=value)
    elif where in run.parameters:
        run.parameters[where].flat[-1] = value
    else:
        getattr(run, where).flat[-1] = value
    assert state(run, DATA) == "diverged"


def test_constant_prediction_is_dead() -> None:
    assert state(finished(prediction=np.full((9, 1), 3.0)), DATA) == "dead"
    nearly = np.full((9, 1), 3.0)
    nearly[4] = 4.0
    assert state(finished(prediction=nearly), DATA) == "trained"


def test_network_with_a_silent_layer_is_dead() -> None:
    off = finished(**{"0.weight": np.zeros((2, 1)), "0.bias": np.array([-1.0, -2.0])})
    assert state(off, DATA) == "dead"
    half = finished(**{"0.bias": np.array([0.0, -9.0])})
    assert state(half, DATA) == "trained"


def test_the_last_layer_has_no_relu() -> None:
    assert state(finished(**{"2.weight": np.array([[-1.0, -1.0]])}), DATA) == "trained"


# ---- engines --------------------------------------------------------------------------------


def test_known_engines() -> None:
    assert {"minigrad", "torch"} <= set(ENGINES)
    for name in ("minigrad", "torch"):
        assert ENGINES[name].missing() == []
    assert type(factory("minigrad")()) is MinigradEngine
    with pytest.raises(UsageError, match=r"unknown engine 'nonsense'.*minigrad"):
        factory("nonsense")


def test_engine_that_lacks_something_says_what(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ENGINES, "minigrad", replace(ENGINES["minigrad"], needs=("not_there",)))
    with pytest.raises(UsageError, match="not_there"):
        factory("minigrad")


@pytest.fixture
def engines() -> Any:
    before = np.geterr()
    import torch

    yield MinigradEngine(), TorchEngine()
    np.seterr(**before)
    torch.use_deterministic_algorithms(False)


@DTYPES
@pytest.mark.parametrize("sizes", [(1, 1), (1, 1, 1), (1, 5, 4, 1), (1, 16, 16, 1)])
def test_engines_agree(sizes: tuple[int, ...], dtype: str, engines: Any) -> None:
    job = task(sizes, dtype)
    ours, theirs = engines
    drawn, reference = ours.draw(job), theirs.draw(job)
    assert check_start(drawn, reference)["passed"] is True
    assert drawn.x.shape == drawn.y.shape == (20, 1)
    assert drawn.x.dtype == np.dtype(dtype)
    for engine in engines:
        engine.load(job, reference)
    for _ in range(3):
        (loss, actual), (expected_loss, expected) = (e.loss_and_gradients() for e in engines)
        assert loss == pytest.approx(expected_loss, rel=units(dtype, 64))
        entry = check_gradients(actual, expected)
        assert entry["passed"] is True
        assert entry["elements"] == sum(v.size for v in expected.values()) > 1
        assert entry["worst_budget_used"] < 0.5
        for engine in engines:
            engine.step()
        for name, value in theirs.parameters().items():
            np.testing.assert_allclose(
                ours.parameters()[name], value, rtol=0, atol=units(dtype, 1e3)
            )
    np.testing.assert_allclose(ours.predict(), theirs.predict(), atol=units(dtype, 1e4))


@pytest.mark.parametrize("which", [0, 1])
def test_what_an_engine_promises(which: int, engines: Any) -> None:
    engine: Engine = engines[which]
    job = task()
    first, again = engine.draw(job), engine.draw(job)
    assert check_start(first, again)["passed"] is True
    assert check_start(engine.draw(replace(job, seed=4)), first)["passed"] is False
    engine.load(job, first)
    loss, gradients_before = engine.loss_and_gradients()
    parameters = engine.parameters()
    repeated_loss, gradients_again = engine.loss_and_gradients()
    assert loss == repeated_loss  # no parameter has changed, and no gradient is left over
    assert check_gradients(gradients_again, gradients_before)["worst_budget_used"] == 0
    assert first_difference(parameters, first.parameters) is None
    loss_of_step = engine.step()
    engine.synchronize()
    assert float(loss_of_step) == loss  # type: ignore[arg-type]
    assert first_difference(parameters, first.parameters) is None  # copies
    stepped = engine.parameters()
    for name, value in parameters.items():
        expected = value - np.float32(job.learning_rate) * gradients_before[name]
        np.testing.assert_allclose(stepped[name], expected, rtol=1e-5, atol=1e-7)
    prediction = engine.predict()
    assert prediction.shape == (20, 1)
    new_loss, _ = engine.loss_and_gradients()
    assert float(np.mean((prediction - first.y) ** 2)) == pytest.approx(new_loss, rel=1e-5)
    assert first_difference({"y": engine.draw(job).y}, {"y": first.y}) is None


@pytest.mark.parametrize("name", ["minigrad", "torch"])
def test_trainer(name: str, engines: Any) -> None:
    trainer = Trainer(factory(name))
    job = task(epochs=7)
    drawn = trainer.draw(job)
    loss, _ = trainer.loss_and_gradients(job, drawn)
    steps = trainer.train(job, drawn)
    done = []
    while True:
        try:
            done.append(next(steps))
        except StopIteration as stop:
            run = stop.value
            break
    assert done[-1] == 7
    assert done == sorted(done)
    assert run.losses.shape == (7,)
    assert run.losses.dtype == np.float64
    assert run.losses[0] == loss
    assert run.final_mse < run.losses[-1] < run.losses[0]
    assert run.prediction.shape == (20, 1)
    assert list(run.parameters) == list(drawn.parameters)
    assert "versions" in trainer.environment() or trainer.environment()


def test_device_that_is_not_there_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="nonsense"):
        TorchEngine().draw(task(device="nonsense"))
