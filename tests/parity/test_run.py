"""The main job, on networks small enough to wait for."""

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest

from minigrad.architectures import Architecture, architecture
from parity import processes
from parity import run as main_job
from parity.checks.verdicts import VERDICTS, passed
from parity.cli.run import expected_s
from parity.documents import schema, to_json
from parity.engines.adapters.minigrad import MinigradEngine
from parity.engines.protocol import Start, Task
from parity.engines.registry import factory
from parity.errors import UsageError
from parity.processes import Processes, Side, prepared
from parity.report import Report
from parity.report.findings import findings
from parity.report.html import to_html
from parity.run import run, run_on
from tests.parity import wrong_engines
from tests.parity.here import Here
from tests.parity.sweeping import RefusingEngine

MINIGRAD, TORCH = Side("minigrad", factory("minigrad")), Side("torch", factory("torch"))
FLOOR = Side("numpy-floor", factory("numpy-floor"))
WRONG = Side("wrong", wrong_engines.WrongEngine)
SETTINGS = {"seed": 1, "dtype": "float32", "device": "cpu"}
EPOCHS = 40


def tasks(*names: str, dtype: str = "float32", **changes: Any) -> list[tuple[Architecture, Task]]:
    jobs = []
    for name in names:
        network = architecture(name)
        job = Task(network.sizes, EPOCHS, network.learning_rate, 30, 1, dtype, "cpu")
        jobs.append((network, replace(job, **changes)))
    return jobs


@pytest.fixture(scope="module")
def report() -> tuple[Report, list[tuple[str, str, int, int]]]:
    """Correct engines: float32, float64, and one run that diverges on both."""
    calls: list[tuple[str, str, int, int]] = []
    jobs = [
        *tasks("1-4-1"),
        *tasks("1-6-6-1", dtype="float64"),
        *tasks("1-5-1", learning_rate=50.0),
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(processes, "EngineProcess", Here)
        finished = run(jobs, MINIGRAD, TORCH, SETTINGS, lambda *call: calls.append(call))
    return finished, calls


def test_engines_agree_and_the_report_is_valid(report: Any) -> None:
    document = report[0].document
    assert document["passed"] is True
    assert document["settings"] == {**SETTINGS, "engine": "minigrad", "against": "torch"}
    content = json.loads(to_json(document))
    jsonschema.validate(content, schema("report"))
    counts = {"1-4-1": 13, "1-6-6-1": 61, "1-5-1": 16}
    assert [entry["name"] for entry in content["architectures"]] == list(counts)
    for entry in content["architectures"]:
        count = counts[entry["name"]]
        assert (entry["parameters"], entry["epochs"]) == (count, EPOCHS)
        assert entry["sizes"] == [int(size) for size in entry["name"].split("-")]
        assert entry["passed"] is entry["start"]["passed"] is entry["gradients"]["passed"] is True
        assert entry["gradients"]["elements"] == count
        for verdict in ("steps", "free_steps", "accuracy", "trajectory", "bitwise", "final_mse"):
            assert entry[verdict]["passed"] is True, verdict
        assert entry["steps"]["epochs"] == entry["bitwise"]["epochs"] == EPOCHS
        assert 0 < entry["steps"]["worst_budget_used"] <= 1 or entry["name"] == "1-5-1"


def test_final_mse_and_state(report: Any) -> None:
    trained, in_float64, diverged = report[0].document["architectures"]
    assert trained["final_mse"]["relative_difference"] < 1e-3
    assert in_float64["final_mse"]["relative_difference"] < 1e-11
    assert trained["state"] == in_float64["state"] == {"actual": "trained", "expected": "trained"}
    assert diverged["state"] == {"actual": "diverged", "expected": "diverged"}


def test_curves(report: Any) -> None:
    assert list(report[0].curves) == ["1-4-1", "1-6-6-1", "1-5-1"]
    for entry in report[0].document["architectures"][:2]:
        curves = report[0].curves[entry["name"]]
        assert curves.losses_actual.shape == curves.losses_expected.shape == (EPOCHS,)
        assert curves.x.shape == curves.prediction_actual.shape == (30, 1)
        arrays = [value for value in vars(curves).values() if value is not curves.over]
        assert all(array.dtype == np.float64 for array in arrays)
        np.testing.assert_allclose(curves.losses_actual, curves.losses_expected, rtol=1e-3)
        for side in ("actual", "expected"):
            error = np.mean((getattr(curves, f"prediction_{side}") - curves.y) ** 2)
            assert error == pytest.approx(entry["final_mse"][side], rel=1e-5)


def test_progress(report: Any) -> None:
    for name in ("1-4-1", "1-6-6-1", "1-5-1"):
        done = [call[2] for call in report[1] if call[:2] == (name, "training")]
        assert done[-1] == 2 * EPOCHS
        assert done == sorted(done)
    # Steps count epochs; two engines that train, eight perturbed runs and two twins theirs.
    totals = {(call[1], call[3]) for call in report[1] if call[0] != "probes"}
    assert totals == {
        ("training", 2 * EPOCHS),
        ("perturbed runs", 8 * EPOCHS),
        ("steps", EPOCHS),
        ("accuracy", 24),
        ("accuracy", 16),  # of the run that diverges, whose end has no states
        ("bitwise", 2 * EPOCHS),
        ("judged", 1),
    }
    # What is planned is what is reported, in this order.
    planned = expected_s(tasks("1-4-1"))
    for name in ("1-4-1", "probes"):
        assert list(dict.fromkeys(call[1] for call in report[1] if call[0] == name)) == [
            *planned[name]
        ]


# ---- planted defects ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def wrong() -> Iterator[Processes]:
    """The processes of a wrong engine and a sound one."""
    with prepared(WRONG, MINIGRAD, 1) as processes:
        yield processes


def found_by(
    processes: Processes, *jobs: tuple[Architecture, Task], folder: Path | None = None
) -> Report:
    """Have what processes find of these tasks checked against the schema."""
    finished = run_on(processes, jobs, SETTINGS, lambda *_: None, folder)
    jsonschema.validate(json.loads(to_json(finished.document)), schema("report"))
    return finished


@pytest.fixture(scope="module", params=["tested", "reference"])
def spoiled(request: pytest.FixtureRequest) -> dict[str, Any]:
    """A wrong engine, as the one that is tested and as the reference."""
    jobs = [job for seed in (1, 2, 3, 4) for job in tasks("1-4-1", seed=seed, epochs=10)]
    if request.param == "tested":
        finished = found_by(request.getfixturevalue("wrong"), *jobs)
    else:
        with prepared(MINIGRAD, WRONG, 1) as processes:
            finished = found_by(processes, *jobs)
    return {"role": request.param, **finished.document}


def test_one_network_that_fails_fails_the_whole(spoiled: Any) -> None:
    verdicts = [entry["passed"] for entry in spoiled["architectures"]]
    assert verdicts[wrong_engines.SOUND - 1] is True
    assert verdicts[wrong_engines.SCALED_GRADIENT - 1] is False
    assert spoiled["passed"] is False


def test_sound_run_is_equal_in_every_bit(spoiled: Any) -> None:
    entry = spoiled["architectures"][wrong_engines.SOUND - 1]
    assert entry["gradients"]["worst_budget_used"] == entry["gradients"]["max_ulp"] == 0
    assert entry["final_mse"]["relative_difference"] == 0


def test_wrong_gradient_is_reported(spoiled: Any) -> None:
    entry = spoiled["architectures"][wrong_engines.SCALED_GRADIENT - 1]
    assert entry["gradients"]["passed"] is False
    assert entry["start"]["passed"] is True
    assert entry["gradients"]["worst_at"]["parameter"] == wrong_engines.SPOILED
    assert entry["gradients"]["worst_budget_used"] > 1
    assert entry["final_mse"]["relative_difference"] == 0  # which is why gradients are judged


def test_wrong_start_is_reported_and_the_rest_judged_from_one_start(spoiled: Any) -> None:
    entry = spoiled["architectures"][wrong_engines.ANOTHER_BIT - 1]
    assert entry["passed"] is entry["start"]["passed"] is False
    assert entry["start"]["data_identical"] is True
    difference = entry["start"]["first_difference"]
    assert (difference["parameter"], difference["index"]) == (wrong_engines.SPOILED, [0, 0])
    assert entry["gradients"]["passed"] is True
    assert entry["gradients"]["max_ulp"] == 0
    assert entry["final_mse"]["relative_difference"] == 0


def test_run_that_diverges_on_one_side_is_reported_as_such(spoiled: Any) -> None:
    state = spoiled["architectures"][wrong_engines.DIVERGING - 1]["state"]
    wrong, right = ("actual", "expected") if spoiled["role"] == "tested" else ("expected", "actual")
    assert state[wrong] == "diverged"
    assert state[right] != "diverged"


def test_failing_steps_name_the_first_node(spoiled: Any) -> None:
    """A learning rate that is wrong: nothing before the update is."""
    steps = spoiled["architectures"][wrong_engines.DIVERGING - 1]["steps"]
    assert steps["passed"] is False
    assert (steps["first_failure"]["epoch"], steps["first_failure"]["of"]) == (0, "updated")
    node = steps["first_node"]
    assert (node["phase"], node["operation"]) == ("optimizer", "SGD")
    assert node["tensor"] == "0.weight"


def test_curves_are_on_their_own_side(wrong: Processes) -> None:
    """One job alone, since curves are kept by the network's name."""
    jobs = tasks("1-4-1", seed=wrong_engines.DIVERGING, epochs=10)
    curves = found_by(wrong, *jobs).curves["1-4-1"]
    assert not np.isfinite(curves.prediction_actual).all()
    assert not np.isfinite(curves.losses_actual).all()
    assert np.isfinite(curves.prediction_expected).all()
    assert np.isfinite(curves.losses_expected).all()


@pytest.mark.dear
@pytest.mark.parametrize("sides", [(WRONG, MINIGRAD), (MINIGRAD, WRONG)])
def test_an_engine_that_raises_fails_its_network_and_no_other(sides: tuple[Side, Side]) -> None:
    jobs = [
        *tasks("1-4-1", seed=wrong_engines.RAISING, epochs=10),
        *tasks("1-3-1", seed=wrong_engines.SOUND, epochs=10),
    ]
    with prepared(*sides, 1) as processes:
        finished = found_by(processes, *jobs)
    document = finished.document
    raising, sound = document["architectures"]
    assert document["passed"] is False
    assert raising["passed"] is False
    assert [name for name in VERDICTS if raising[name] is not None] == ["start"]
    assert raising["problem"]["engine"] == "wrong"
    assert raising["problem"]["call"] == "loss_and_gradients"
    assert raising["problem"]["error"] == "ZeroDivisionError: planted"
    assert sound["passed"] is True
    assert set(finished.curves) == {"1-3-1"}
    (finding,) = findings(document)
    said = "wrong raised ZeroDivisionError: planted, in loss_and_gradients, "
    assert said in finding.sentence
    assert finding.details == ["on 1-4-1, seed 1, float32, cpu"]
    assert "wrong_engines.py:" in finding.sentence
    assert "ZeroDivisionError: planted" in to_html(finished)


WRONGLY_RETURNED = {
    wrong_engines.MISSING_GRADIENT: ("loss_and_gradients", r"\(\) no 2\.weight; there must be one"),
    wrong_engines.WIDE: (
        "loss_and_gradients",
        r"0\.weight as float64 \[3, 1\]; it must",
    ),
    wrong_engines.LISTS: ("loss_and_gradients", "0.weight as a list, not a NumPy array"),
    wrong_engines.FLAT: ("train", r"prediction as float32 \[30\]; it must be float32 \[30, 1\]"),
    wrong_engines.STOPPING: ("loss_and_gradients", "StopIteration: planted"),
}


def test_what_an_engine_returns_wrongly_is_its_failure(wrong: Processes) -> None:
    jobs = [job for seed in WRONGLY_RETURNED for job in tasks("1-3-1", seed=seed, epochs=5)]
    entries = found_by(wrong, *jobs).document["architectures"]
    for entry, (call, error) in zip(entries, WRONGLY_RETURNED.values(), strict=True):
        assert entry["passed"] is False
        assert (entry["problem"]["engine"], entry["problem"]["call"]) == ("wrong", call)
        assert re.search(error, entry["problem"]["error"])


def test_gradients_may_come_in_any_order(wrong: Processes) -> None:
    jobs = tasks("1-3-1", seed=wrong_engines.SHUFFLED, epochs=5)
    assert found_by(wrong, *jobs).document["passed"] is True


def test_a_raise_in_the_middle_keeps_what_was_judged_and_the_next_network(
    wrong: Processes,
) -> None:
    jobs = [
        *tasks("1-3-1", seed=wrong_engines.RAISING_LATE, epochs=20),
        *tasks("1-2-1", seed=wrong_engines.SOUND, epochs=20),
    ]
    finished = found_by(wrong, *jobs)
    raising, sound = finished.document["architectures"]
    assert raising["passed"] is False
    assert raising["gradients"]["passed"] is raising["trajectory"]["passed"] is True
    assert raising["steps"] is raising["final_mse"] is None
    assert raising["problem"]["call"] == "forced_step"
    assert sound["passed"] is True
    assert "not judged" in to_html(finished)


def test_a_failing_verdict_leaves_a_case(wrong: Processes, tmp_path: Path) -> None:
    jobs = tasks("1-4-1", seed=wrong_engines.SCALED_GRADIENT, epochs=2)
    (entry,) = found_by(wrong, *jobs, folder=tmp_path).document["architectures"]
    assert (tmp_path / entry["gradients"]["case"]).is_file()
    assert "case" not in entry["trajectory"]


def test_usage_errors_arrive_as_such() -> None:
    refusing = Side("refusing", RefusingEngine)
    with pytest.raises(UsageError, match="no device 'abacus' here"):
        run(tasks("1-1"), refusing, MINIGRAD, SETTINGS, lambda *_: None)


@pytest.mark.usefixtures("here")
def test_failing_probes_fail_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    called = []

    def check_probes(actual: Any, expected: Any, dtype: str, seed: int, progress: Any) -> Any:
        called.append((actual.name, expected.name, dtype, seed))
        return {"passed": False}

    monkeypatch.setattr(main_job, "check_probes", check_probes)
    reproducible = Side("minigrad-reproducible", factory("minigrad-reproducible"))
    jobs = tasks("1-1", dtype="float64", epochs=2)
    document = run(jobs, reproducible, MINIGRAD, SETTINGS, lambda *_: None).document
    assert called == [("minigrad-reproducible", "minigrad", "float64", 1)]
    assert document["architectures"][0]["passed"] is True
    assert document["passed"] is False


# ---- engines that draw nothing --------------------------------------------------------------


@pytest.mark.usefixtures("here")
def test_an_engine_that_draws_nothing_starts_from_what_the_other_drew() -> None:
    jobs = tasks("1-4-1", epochs=5)
    for sides in ((FLOOR, MINIGRAD), (MINIGRAD, FLOOR)):
        found = run(jobs, *sides, SETTINGS, lambda *_: None)
        (entry,) = found.document["architectures"]
        assert entry["start"] is None
        assert entry["passed"] is entry["gradients"]["passed"] is entry["steps"]["passed"] is True
        assert found.document["probes"] is entry["bitwise"] is None
        assert found.curves["1-4-1"].x.tolist() == drawn(jobs[0][1]).x.tolist()


@pytest.mark.usefixtures("here")
def test_two_engines_that_draw_nothing_start_from_what_minigrad_draws() -> None:
    jobs = tasks("1-4-1", epochs=5)
    other = Side("another", FLOOR.factory)
    found = run(jobs, FLOOR, other, SETTINGS, lambda *_: None)
    assert found.document["passed"] is True
    assert found.curves["1-4-1"].y.tolist() == drawn(jobs[0][1]).y.tolist()


def drawn(task: Task) -> Start:
    return MinigradEngine().draw(task)


# ---- passed ---------------------------------------------------------------------------------


def entry(**verdicts: bool | None) -> dict[str, Any]:
    return {name: {"passed": verdicts[name]} if name in verdicts else None for name in VERDICTS}


@pytest.mark.parametrize(
    ("verdicts", "expected"),
    [
        ({}, False),
        ({"start": None}, False),
        (dict.fromkeys(VERDICTS), False),
        ({"start": True}, True),
        ({"start": True, "final_mse": None}, True),
        ({"start": False}, False),
        ({"start": True, "gradients": False}, False),
        ({"start": None, "gradients": False}, False),
        (dict.fromkeys(VERDICTS, True), True),
        *(({**dict.fromkeys(VERDICTS, True), name: False}, False) for name in VERDICTS),
    ],
)
def test_passed(verdicts: dict[str, bool | None], expected: bool) -> None:
    assert passed(entry(**verdicts)) is expected


def test_nothing_to_do_is_no_success() -> None:
    document = run([], MINIGRAD, MINIGRAD, SETTINGS, lambda *_: None).document
    assert document["passed"] is False
