"""trajectory and final MSE: correct engines stay in the envelope, and wrong ones leave it."""

import functools
import json
import math
from dataclasses import replace
from typing import Any

import jsonschema
import numpy as np
import pytest

from minigrad.architectures import architecture
from parity.checks.final_mse import check_final_mse
from parity.checks.trajectory import (
    HORIZON,
    LIMIT,
    RUNS,
    ULPS,
    check_trajectory,
    deviation,
    envelope,
    floor,
    perturbed,
    perturbed_runs,
)
from parity.documents import schema, to_json
from parity.engines.adapters.minigrad import MinigradEngine
from parity.engines.process import EngineProcess
from parity.engines.protocol import Start, Task
from parity.engines.registry import factory
from parity.engines.trainer import Run, Trainer
from tests.parity.fake_engines import ended
from tests.parity.here import Here

EPOCHS = 60
WIDTH = 1e-6
"""The envelope of the artificial runs."""


def trained(losses: Any, final_mse: float = 1.0) -> Run:
    return Run(np.array(losses, np.float64), final_mse, np.zeros((1, 1)), {})


EXPECTED = trained([4.0, 2.0, 1.0, 0.5])


def deviating(*by: float, final: float = 0.0) -> Run:
    """The expected run with losses and final MSE off by these shares."""
    return trained(EXPECTED.losses * (1 + np.array(by)), EXPECTED.final_mse * (1 + final))


def judged(actual: Run, *perturbed: Run, dtype: str = "float64") -> dict[str, Any]:
    around = perturbed or (deviating(*[WIDTH] * 4), deviating(*[-WIDTH / 2] * 4))
    verdict = check_trajectory(actual, EXPECTED, around, dtype)
    rules = schema("report")
    content = json.loads(to_json(verdict))
    jsonschema.validate(content, {"$defs": rules["$defs"], **rules["$defs"]["trajectory"]})
    return verdict


# ---- deviation ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("actual", "expected", "found"),
    [
        (2.0, 1.0, 1.0),
        (1.0, 2.0, 0.5),
        (0.0, 2.0, 1.0),
        (0.0, 0.0, 0.0),
        (-0.0, 0.0, 0.0),
        (5e-324, 0.0, math.inf),
        (1e308, 5e-324, math.inf),
        (1.7e308, -1.7e308, math.inf),
        (math.nan, 1.0, math.inf),
        (1.0, math.nan, math.inf),
        (math.inf, 1.0, math.inf),
        (1.0, math.inf, math.inf),
        (math.nan, math.inf, math.inf),
        (math.inf, -math.inf, math.inf),
        (math.nan, math.nan, 0.0),
        (math.inf, math.inf, 0.0),
    ],
)
def test_deviation(actual: float, expected: float, found: float) -> None:
    assert deviation(actual, expected) == found


# ---- perturbed starts -----------------------------------------------------------------------


def drawn(
    dtype: str, sizes: tuple[int, ...] = (1, 16, 16, 1), **changes: Any
) -> tuple[Task, Start]:
    task = replace(Task(sizes, EPOCHS, 0.01, 100, 3, dtype, "cpu"), **changes)
    return task, MinigradEngine().draw(task)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_weight_moves_by_its_ulps_in_opposite_pairs(dtype: str) -> None:
    _, start = drawn(dtype)
    first, second, third = (perturbed(start, 3, run) for run in range(3))
    assert first.x is start.x
    assert first.y is start.y
    ways = []
    for name, value in start.parameters.items():
        moved, mirrored = first.parameters[name], second.parameters[name]
        assert moved.dtype == mirrored.dtype == value.dtype
        ulps = (moved.astype(np.float64) - value) / np.spacing(np.abs(value)).astype(np.float64)
        np.testing.assert_array_equal(np.abs(ulps), ULPS)
        np.testing.assert_array_equal(
            moved.astype(np.float64) - value, value - mirrored.astype(float)
        )
        ways.append(np.sign(ulps).ravel())
    share = np.mean(np.concatenate(ways) > 0)
    assert 0.4 < share < 0.6
    weight = {other.parameters["2.weight"].tobytes() for other in (first, second, third)}
    assert len(weight) == 3
    again, elsewhere = perturbed(start, 3, 0), perturbed(start, 4, 0)
    assert again.parameters["2.weight"].tobytes() == first.parameters["2.weight"].tobytes()
    assert elsewhere.parameters["2.weight"].tobytes() != first.parameters["2.weight"].tobytes()


def test_zero_moves_to_its_neighbourhood() -> None:
    _, start = drawn("float32")
    zeros = replace(start, parameters={"0.bias": np.zeros(50, np.float32)})
    moved = perturbed(zeros, 2**64 - 1, 0).parameters["0.bias"]
    assert set(np.abs(moved)) == {np.float32(ULPS * 2.0**-149)}


# ---- the envelope and the horizon -----------------------------------------------------------


def test_the_envelope_is_a_running_maximum_over_all_runs() -> None:
    around = [deviating(1e-9, 3e-8, 0, 0), deviating(-2e-9, 0, 1e-9, -4e-8)]
    found = envelope(EXPECTED, around, "float64")
    np.testing.assert_allclose(found, [2e-9, 3e-8, 3e-8, 4e-8], rtol=1e-6)


@pytest.mark.parametrize(("dtype", "roundoff"), [("float32", 2.0**-24), ("float64", 2.0**-53)])
def test_the_envelope_has_a_floor(dtype: str, roundoff: float) -> None:
    assert floor(dtype) == 4 * roundoff
    np.testing.assert_array_equal(envelope(EXPECTED, [EXPECTED], dtype), 4 * roundoff)
    verdict = judged(EXPECTED, EXPECTED, dtype=dtype)
    assert verdict["final_spread"] == 4 * roundoff


def test_an_envelope_needs_runs() -> None:
    with pytest.raises(ValueError, match="give at least one"):
        check_trajectory(EXPECTED, EXPECTED, [], "float32")


@pytest.mark.parametrize(
    ("actual", "around", "passed", "horizon", "worst_epoch"),
    [
        # An envelope that is not a running maximum would fail the first.
        ([0, 0, 1e-6, 0], [0, 1e-6, 0, 0], True, None, 2),
        ([1e-6, 0, 0, 0], [0, 1e-6, 0, 0], False, None, 0),
        # The horizon is the first epoch beyond, and is not judged itself.
        ([0, 0, 1, 1], [0, 0, 2 * HORIZON, 0], True, 2, None),
        ([0, 1e-3, 0, 0], [0, 0, 2 * HORIZON, 0], False, 2, 1),
        ([0, 0, 0, 1], [0.99 * HORIZON, 0, 0, 0], False, None, 3),
        ([1, 1, 1, 1], [1, 0, 0, 0], True, 0, None),
    ],
)
def test_what_is_judged(
    actual: list[float],
    around: list[float],
    passed: bool,
    horizon: int | None,
    worst_epoch: int | None,
) -> None:
    verdict = judged(deviating(*actual), deviating(*around))
    assert (verdict["passed"], verdict["horizon_epoch"]) == (passed, horizon)
    assert verdict["epochs"] == (4 if horizon is None else horizon)
    assert (verdict["worst_at"] and verdict["worst_at"]["epoch"]) == worst_epoch
    if worst_epoch is None:
        assert verdict["worst_envelope_used"] == 0


@pytest.mark.parametrize("epoch", range(4))
def test_leaving_the_envelope_at_one_epoch_fails(epoch: int) -> None:
    by = np.zeros(4)
    by[epoch] = -0.99 * LIMIT * WIDTH
    inside = judged(deviating(*by))
    assert inside["passed"] is True
    assert inside["worst_envelope_used"] == pytest.approx(0.99 * LIMIT, rel=1e-6)
    by[epoch] = 1.01 * LIMIT * WIDTH
    actual = deviating(*by)
    outside = judged(actual)
    assert outside["passed"] is False
    assert outside["worst_at"] == {
        "epoch": epoch,
        "parameter": "loss",
        "index": [],
        "actual": actual.losses[epoch],
        "expected": EXPECTED.losses[epoch],
        "budget": pytest.approx(LIMIT * WIDTH * EXPECTED.losses[epoch]),
    }
    assert (outside["limit"], outside["runs"]) == (LIMIT, 2)


def test_the_roles_are_not_interchangeable() -> None:
    """Deviations are relative to the reference, and the envelope is around it."""
    twice = trained(2 * EXPECTED.losses)
    assert envelope(EXPECTED, [twice], "float64")[0] == 1
    assert envelope(twice, [EXPECTED], "float64")[0] == 0.5
    actual, expected = deviating(1e-3, 0, 0, 0), EXPECTED
    verdict = judged(actual)
    assert verdict["worst_at"]["actual"] == actual.losses[0]
    assert verdict["worst_at"]["expected"] == expected.losses[0]
    around = [deviating(*[WIDTH] * 4)]
    assert check_trajectory(expected, actual, around, "float64")["horizon_epoch"] == 0


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_losses_that_are_not_finite(value: float) -> None:
    gone = trained([4.0, 2.0, value, value])
    verdict = judged(gone)
    assert verdict["passed"] is False
    assert verdict["worst_envelope_used"] == math.inf
    assert verdict["worst_at"]["epoch"] == 2
    # The reference alone.
    verdict = check_trajectory(EXPECTED, gone, [gone], "float64")
    assert (verdict["passed"], verdict["horizon_epoch"]) == (False, None)
    # Both, in the same way and in another.
    assert check_trajectory(gone, gone, [gone], "float64")["passed"] is True
    other = trained([4.0, 2.0, -math.inf, value])
    assert check_trajectory(other, gone, [gone], "float64")["passed"] is False
    # A perturbed run alone: from there on, nothing is predictable.
    verdict = judged(deviating(0, 0, 1, 1), gone)
    assert (verdict["passed"], verdict["horizon_epoch"]) == (True, 2)


def test_losses_of_zero() -> None:
    fitted = trained([4.0, 0.0, 0.0, 0.0], 0.0)
    assert check_trajectory(fitted, fitted, [fitted], "float32")["passed"] is True
    verdict = check_trajectory(EXPECTED, fitted, [fitted], "float32")
    assert (verdict["passed"], verdict["worst_at"]["epoch"]) == (False, 1)
    assert check_trajectory(fitted, fitted, [EXPECTED], "float32")["horizon_epoch"] == 1


# ---- final MSE ------------------------------------------------------------------------------


def final(off: float, *perturbed: Run, bitwise: bool | None = None) -> dict[str, Any]:
    actual = deviating(0, 0, 0, 0, final=off)
    verdict = judged(actual, *perturbed) if perturbed else None
    said = None if bitwise is None else {"passed": bitwise}
    return check_final_mse(actual.final_mse, EXPECTED.final_mse, verdict, said)


def test_a_predictable_final_mse_is_judged_by_the_spread() -> None:
    around = [deviating(0, 0, 0, 0, final=f) for f in (1e-9, -1e-7, 0)]
    for bitwise in (None, True, False):  # which does not matter here
        inside = final(0.99 * LIMIT * 1e-7, *around, bitwise=bitwise)
        outside = final(1.01 * LIMIT * 1e-7, *around, bitwise=bitwise)
        assert (inside["passed"], outside["passed"]) == (True, False)
        assert inside["expected_spread"] == pytest.approx(1e-7, rel=1e-6)
    assert final(LIMIT * floor("float64") / 2, EXPECTED)["passed"] is True
    assert final(math.nan, *around)["passed"] is False
    assert final(-2.0, *around)["passed"] is False


@pytest.mark.parametrize("bitwise", [None, True, False])
@pytest.mark.parametrize("off", [0.0, 0.5, math.nan])
def test_what_is_not_predictable_bitwise_decides(off: float, bitwise: bool | None) -> None:
    """Beyond a horizon, or where a perturbed run ends in NaN."""
    entry = final(off, deviating(0, 0, 0, 1e-3, final=0.9), bitwise=bitwise)
    assert entry["passed"] is bitwise
    assert entry["expected_spread"] == pytest.approx(0.9)
    lost = deviating(0, 0, 0, 0, final=math.nan)
    assert final(off, lost, bitwise=bitwise)["passed"] is bitwise


def test_runs_that_all_end_in_nan_agree() -> None:
    gone = trained([4.0, math.nan], math.nan)
    verdict = check_trajectory(gone, gone, [gone], "float32")
    assert check_final_mse(math.nan, math.nan, verdict)["passed"] is True
    assert check_final_mse(1.0, math.nan, verdict)["passed"] is False
    assert check_final_mse(math.inf, math.nan, verdict)["passed"] is False


# ---- real engines ---------------------------------------------------------------------------


class SlightlyFaster(MinigradEngine):
    """minigrad with a learning rate that is off by a ten-thousandth."""

    def load(self, task: Task, start: Start) -> None:
        super().load(replace(task, learning_rate=task.learning_rate * (1 + 1e-4)), start)


@pytest.fixture(scope="module")
def reference(torch_process: EngineProcess[Trainer]) -> list[EngineProcess[Trainer]]:
    return [torch_process, Here(functools.partial(Trainer, factory("torch")), name="torch")]


def verdicts(
    processes: list[EngineProcess[Trainer]], engine: type[MinigradEngine], task: Task, start: Start
) -> tuple[dict[str, Any], dict[str, Any]]:
    expected = ended(processes[0].stream(Trainer.train, task, start))
    actual = ended(Trainer(engine).train(task, start))
    around = perturbed_runs(processes, task, start)
    verdict = check_trajectory(actual, expected, around, task.dtype)
    return verdict, check_final_mse(actual.final_mse, expected.final_mse, verdict)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("sizes", [architecture(n).sizes for n in ("underfit", "rightfit")])
def test_minigrad_stays_in_the_envelope_of_torch(
    reference: list[EngineProcess[Trainer]], sizes: tuple[int, ...], dtype: str
) -> None:
    verdict, mse = verdicts(reference, MinigradEngine, *drawn(dtype, sizes))
    assert verdict["passed"] is True
    assert verdict["runs"] == RUNS
    assert verdict["epochs"] > 5
    assert mse["passed"] in ((True, None) if dtype == "float32" else (True,))


@pytest.mark.parametrize(("dtype", "seed"), [("float32", 0), ("float64", 1), ("float64", 2)])
def test_a_learning_rate_off_by_a_ten_thousandth_fails(
    reference: list[EngineProcess[Trainer]], dtype: str, seed: int
) -> None:
    verdict, mse = verdicts(reference, SlightlyFaster, *drawn(dtype, seed=seed))
    assert verdict["passed"] is False
    assert verdict["worst_envelope_used"] > 2 * LIMIT
    assert mse["passed"] in ((False, None) if dtype == "float32" else (False,))


def test_a_run_that_diverges_predictably_passes(reference: list[EngineProcess[Trainer]]) -> None:
    verdict, mse = verdicts(reference, MinigradEngine, *drawn("float64", learning_rate=5.0))
    assert not math.isfinite(mse["expected"])
    assert verdict["passed"] is True


@pytest.mark.parametrize("processes", [1, 2])
def test_perturbed_runs_are_those_of_their_starts(
    reference: list[EngineProcess[Trainer]], processes: int
) -> None:
    task, start = drawn("float32", (1, 4, 1), epochs=30)
    calls: list[tuple[int, int]] = []
    count = 5
    found = perturbed_runs(
        reference[:processes], task, start, count, lambda *call: calls.append(call)
    )
    minigrad = Trainer(MinigradEngine)
    assert len(found) == count
    for index, one in enumerate(found):
        moved = perturbed(start, task.seed, index)
        mine = ended(minigrad.train(task, moved))
        assert one.losses.shape == (30,)
        np.testing.assert_allclose(one.losses, mine.losses, rtol=1e-5)
        np.testing.assert_allclose(one.final_mse, mine.final_mse, rtol=1e-5)
    assert len({one.parameters["0.weight"].tobytes() for one in found}) == count
    assert calls[-1] == (count * 30, count * 30)
    assert [done for done, _ in calls] == sorted(done for done, _ in calls)
