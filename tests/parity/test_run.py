"""The main job, in real processes, on networks small enough to wait for."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import jsonschema
import numpy as np
import pytest

from minigrad.architectures import Architecture, architecture
from parity.checks.start import first_difference
from parity.engines import Task, factory
from parity.errors import UsageError
from parity.report.document import schema, to_json
from parity.report.model import Report
from parity.run import JUDGED, Side, passed, run, train
from tests.parity import wrong_engines

MINIGRAD, TORCH = Side("minigrad", factory("minigrad")), Side("torch", factory("torch"))
EPOCHS = 40


def tasks(*names: str, dtype: str = "float32", **changes: Any) -> list[tuple[Architecture, Task]]:
    jobs = []
    for name in names:
        network = architecture(name)
        job = Task(network.sizes, EPOCHS, network.learning_rate, 30, 1, dtype, "cpu")
        jobs.append((network, replace(job, **changes)))
    return jobs


def judge(engine: Side, *names: str, against: Side = TORCH, **changes: Any) -> Report:
    settings = {"seed": 1, "dtype": "float32", "device": "cpu"}
    return run(tasks(*names, **changes), engine, against, settings, lambda *_: None)


@pytest.fixture(scope="module")
def report() -> tuple[Report, list[tuple[str, str, int, int]]]:
    calls: list[tuple[str, str, int, int]] = []
    settings = {"seed": 1, "dtype": "float32", "device": "cpu"}
    finished = run(
        tasks("1-4-1", "1-6-6-1"), MINIGRAD, TORCH, settings, lambda *call: calls.append(call)
    )
    return finished, calls


def test_engines_agree_and_the_report_is_valid(report: Any) -> None:
    document = report[0].document
    assert document["passed"] is True
    assert document["settings"] | {"engine": "minigrad", "against": "torch"} == document["settings"]
    assert document["settings"]["seed"] == 1
    content = json.loads(to_json(document))
    jsonschema.validate(content, schema())
    assert set(content["environment"]) == {"actual", "expected"}
    for entry, name, count in zip(content["architectures"], ("1-4-1", "1-6-6-1"), (13, 61), strict=True):
        assert (entry["name"], entry["parameters"], entry["epochs"]) == (name, count, EPOCHS)
        assert entry["sizes"] == [int(size) for size in name.split("-")]
        assert entry["passed"] is entry["start"]["passed"] is entry["gradients"]["passed"] is True
        assert entry["gradients"]["elements"] == count
        assert [entry[verdict] for verdict in ("steps", "trajectory", "bitwise")] == [None] * 3
        assert entry["final_mse"]["passed"] is None
        assert entry["final_mse"]["relative_difference"] < 1e-3
        assert entry["state"]["actual"] == entry["state"]["expected"]


def test_curves(report: Any) -> None:
    for name, curves in report[0].curves.items():
        entry = next(e for e in report[0].document["architectures"] if e["name"] == name)
        assert curves.losses_actual.shape == curves.losses_expected.shape == (EPOCHS,)
        assert curves.x.shape == curves.prediction_actual.shape == (30, 1)
        assert all(array.dtype == np.float64 for array in vars(curves).values())
        np.testing.assert_allclose(curves.losses_actual, curves.losses_expected, rtol=1e-3)
        for side in ("actual", "expected"):
            prediction = getattr(curves, f"prediction_{side}")
            assert np.mean((prediction - curves.y) ** 2) == pytest.approx(entry["final_mse"][side], rel=1e-5)


def test_progress(report: Any) -> None:
    calls = report[1]
    for name in ("1-4-1", "1-6-6-1"):
        for engine in ("minigrad", "torch"):
            done = [call[2] for call in calls if call[:2] == (name, engine)]
            assert done[0] == 0
            assert done[-1] == EPOCHS
            assert done == sorted(done)
    assert {call[3] for call in calls} == {EPOCHS}


def test_float64_and_torch_against_itself() -> None:
    document = judge(TORCH, "1-3-1", dtype="float64", epochs=5).document
    assert document["passed"] is True
    (entry,) = document["architectures"]
    assert entry["gradients"]["worst_budget_used"] == 0
    assert entry["gradients"]["max_ulp"] == 0
    assert entry["final_mse"]["relative_difference"] == 0


# ---- planted defects ------------------------------------------------------------------------


def test_wrong_gradient_is_reported() -> None:
    wrong = Side("wrong", wrong_engines.ScaledGradient)
    document = judge(wrong, "1-4-1").document
    assert document["passed"] is False
    (entry,) = document["architectures"]
    assert entry["passed"] is entry["gradients"]["passed"] is False
    assert entry["start"]["passed"] is True
    assert entry["gradients"]["worst_at"]["parameter"] == wrong_engines.SPOILED
    assert entry["gradients"]["worst_budget_used"] > 1
    jsonschema.validate(json.loads(to_json(document)), schema())


def test_wrong_engine_as_the_reference_is_reported_as_well() -> None:
    document = judge(MINIGRAD, "1-4-1", against=Side("wrong", wrong_engines.ScaledGradient)).document
    assert document["passed"] is False
    worst = document["architectures"][0]["gradients"]["worst_at"]
    assert worst["parameter"] == wrong_engines.SPOILED


def test_wrong_start_is_reported_and_the_rest_judged_from_the_right_one() -> None:
    document = judge(Side("wrong", wrong_engines.AnotherBit), "1-4-1").document
    (entry,) = document["architectures"]
    assert document["passed"] is entry["passed"] is entry["start"]["passed"] is False
    assert entry["start"]["data_identical"] is True
    difference = entry["start"]["first_difference"]
    assert (difference["parameter"], difference["index"]) == (wrong_engines.SPOILED, [0, 0])
    assert entry["gradients"]["passed"] is True
    assert entry["final_mse"]["relative_difference"] < 1e-3
    jsonschema.validate(json.loads(to_json(document)), schema())


def test_one_network_that_fails_fails_the_whole() -> None:
    jobs = tasks("1-1", "1-4-1", epochs=2)  # the first has no parameter for the defect
    settings = {"seed": 1, "dtype": "float32", "device": "cpu"}
    wrong = Side("wrong", wrong_engines.ScaledGradient)
    document = run(jobs, wrong, TORCH, settings, lambda *_: None).document
    assert [entry["passed"] for entry in document["architectures"]] == [True, False]
    assert document["passed"] is False


def test_missing_gradient_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match=r"engine under test .*2\.weight"):
        judge(Side("wrong", wrong_engines.MissingGradient), "1-4-1", epochs=2)


def test_diverged_run_is_reported_as_such() -> None:
    document = judge(Side("wrong", wrong_engines.Diverging), "1-4-1").document
    (entry,) = document["architectures"]
    assert entry["state"]["actual"] == "diverged" != entry["state"]["expected"]
    assert entry["gradients"]["passed"] is True  # the first ones were right
    jsonschema.validate(json.loads(to_json(document)), schema())


def test_both_diverged() -> None:
    document = judge(MINIGRAD, "1-4-1", learning_rate=50.0).document
    (entry,) = document["architectures"]
    assert entry["state"] == {"actual": "diverged", "expected": "diverged"}
    jsonschema.validate(json.loads(to_json(document)), schema())


def test_usage_errors_arrive_as_such() -> None:
    with pytest.raises(UsageError, match="nonsense"):
        judge(MINIGRAD, "1-1", device="nonsense")


# ---- train ----------------------------------------------------------------------------------


def test_train() -> None:
    jobs = tasks("1-1", "1-4-1")
    calls: list[tuple[str, str, int, int]] = []
    finished = train(jobs, MINIGRAD, lambda *call: calls.append(call))
    reference = train(jobs, TORCH, lambda *_: None)
    assert len(finished) == len(reference) == 2
    for (start, result, verdict), (torch_start, torch_result, torch_verdict) in zip(
        finished, reference, strict=True
    ):
        assert first_difference(start.parameters, torch_start.parameters) is None
        assert result.final_mse == pytest.approx(torch_result.final_mse, rel=1e-3)
        assert result.losses.shape == (EPOCHS,)
        assert verdict == torch_verdict
    assert calls[-1] == ("1-4-1", "minigrad", EPOCHS, EPOCHS)


# ---- passed ---------------------------------------------------------------------------------


def entry(**verdicts: bool | None) -> dict[str, Any]:
    return {
        name: {"passed": verdicts[name]} if name in verdicts else None for name in JUDGED
    }


@pytest.mark.parametrize(
    ("verdicts", "expected"),
    [
        ({}, False),
        ({"start": None}, False),
        (dict.fromkeys(JUDGED), False),
        ({"start": True}, True),
        ({"start": True, "final_mse": None}, True),
        ({"start": False}, False),
        ({"start": True, "gradients": False}, False),
        ({"start": None, "gradients": False}, False),
        (dict.fromkeys(JUDGED, True), True),
        *(({**dict.fromkeys(JUDGED, True), name: False}, False) for name in JUDGED),
    ],
)
def test_passed(verdicts: dict[str, bool | None], expected: bool) -> None:
    assert passed(entry(**verdicts)) is expected


def test_nothing_to_do_is_no_success() -> None:
    document = judge(MINIGRAD).document
    assert document["passed"] is False
