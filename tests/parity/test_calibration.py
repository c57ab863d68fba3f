"""Calibration: correct engines raise no alarm, wrong ones do, and what was measured is kept."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from parity.checks.gradients import AGGREGATE_Z, COMMON, Z
from parity.engines.adapters.minigrad import MinigradEngine
from parity.errors import UsageError
from parity.evidence.calibration import free, measure, runs
from parity.evidence.calibration.cases import BIASED, DATA, DTYPES, NETWORKS, draw_case, draw_shape
from parity.evidence.calibration.measure import (
    COMMONS,
    GRADIENT_DEFECTS,
    TOLERANCES,
    Gradient,
    detect,
    first_step,
    tf32,
    torch_gradients,
)
from parity.evidence.calibration.runs import detection, summary
from parity.evidence.rendered import calibration_picture
from parity.evidence.store import Store
from tests.parity.commands import evidence

MINE = COMMONS.index(COMMON)


# ---- cases ----------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("family", DATA)
def test_a_case_of_every_family_raises_no_alarm(family: str, dtype: str) -> None:
    seed = list(DATA).index(family) + len(DATA) * DTYPES.index(dtype)
    case = draw_case(seed)
    assert (case.family, case.x.dtype.name) == (family, dtype)
    row = measure.measure(case)
    assert max(row["gradients"], row["parameters"], row["loss"]) < Z
    assert row["aggregate"][MINE] < AGGREGATE_Z
    assert json.loads(json.dumps(row)) | {"sizes": case.sizes} == row


def test_a_step_that_overflows_raises_no_alarm() -> None:
    """Torch has NaN where minigrad's ReLU gives an exact 0: which sums overflow depends on their
    order.
    """
    case = draw_case(99)
    assert (case.family, case.x.dtype.name) == (NETWORKS, "float64")
    row = measure.measure(case)
    assert not row["finite"]
    assert row["gradients"] < Z


def test_a_seed_says_everything() -> None:
    one, again, other = draw_case(4), draw_case(4), draw_case(4 + len(DATA) * len(DTYPES))
    for name in ("x", "y"):
        np.testing.assert_array_equal(getattr(one, name), getattr(again, name))
    for name, value in one.parameters.items():
        np.testing.assert_array_equal(value, again.parameters[name])
    assert one.options == again.options
    assert other.family == one.family
    assert other.options != one.options


def test_shapes_reach_all_depths_widths_and_batches() -> None:
    rng = np.random.default_rng(0)
    shapes = [draw_shape(rng) for _ in range(3000)]
    assert {len(sizes) - 1 for sizes, _, _ in shapes} == set(range(1, 9))
    widths = {width for sizes, _, _ in shapes for width in sizes}
    assert (min(widths), max(widths)) == (1, 512)
    batches = {batch for _, batch, _ in shapes}
    assert (min(batches), max(batches)) == (1, 100_000)


def test_biases_can_dominate() -> None:
    case = draw_case(list(DATA).index(BIASED))
    ratios = [
        np.abs(case.parameters[f"{i}.bias"]).max() / np.abs(case.parameters[f"{i}.weight"]).max()
        for i in range(0, 2 * len(case.sizes) - 2, 2)
    ]
    assert max(ratios) > 2


@pytest.mark.parametrize("kind", ["gradients", "parameters", "loss"])
def test_an_engine_that_is_off_raises_an_alarm(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    correct = measure.torch_side

    def wrong(*arguments: Any) -> Any:
        loss, gradients, parameters = correct(*arguments)
        if kind == "loss":
            return loss * 1.001, gradients, parameters
        spoiled = gradients if kind == "gradients" else parameters
        name = max(spoiled, key=lambda n: float(np.abs(spoiled[n]).max()))
        spoiled[name] = spoiled[name] * spoiled[name].dtype.type(1.001)
        return loss, gradients, parameters

    monkeypatch.setattr(measure, "torch_side", wrong)
    case = first_step("rightfit", 0, "float32")
    row = measure.measure(case._replace(options={"lr": 0.01, "momentum": 0.0}))
    assert {of: row[of] > Z for of in ("gradients", "parameters", "loss")} == {
        of: of == kind for of in ("gradients", "parameters", "loss")
    }


# ---- own runs -------------------------------------------------------------------------------


class Decaying(MinigradEngine):
    """Its learning rate falls by 0.1 % a step."""

    def step(self) -> object:
        loss = super().step()
        self._optimizer.param_groups[0]["lr"] *= 0.999
        return loss


def test_own_runs_raise_an_alarm_if_they_are_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    right = free.summary([free.measure_free(20)])
    assert right["comparisons"] == 40
    assert right["false_alarms"] == 0
    assert 0 < right["worst_budget_used"] < 1
    assert {family["engine"] for family in right["families"]} == set(free.ENGINES)
    monkeypatch.setitem(free.ENGINES, "minigrad", Decaying)
    assert free.summary([free.measure_free(20)])["false_alarms"] == 1


# ---- planted defects ------------------------------------------------------------------------


def test_defects_are_caught_where_they_are_planted() -> None:
    row = detect("rightfit", 3, "float32")
    caught = {
        (p["defect"], p["parameter"]): p["gradients"] > Z or p["aggregate"][MINE] > AGGREGATE_Z
        for p in row["planted"]
    }
    names = {name for _, name in caught}
    assert len(names) == 6
    for defect in GRADIENT_DEFECTS:
        planted = [name for d, name in caught if d == defect]
        assert set(planted) == ({n for n in names if "weight" in n} if "TF32" in defect else names)
    assert all(caught["× (1 + 1e-5)", name] for name in names)
    assert not any(caught["× (1 + 1e-6)", name] for name in names)


def test_the_operands_are_those_of_the_gradients() -> None:
    for name, gradient in torch_gradients(first_step("rightfit", 0, "float64")).items():
        if name.endswith("weight"):
            assert gradient.x is not None
            np.testing.assert_allclose(gradient.grad_out.T @ gradient.x, gradient.value, 1e-12)
        else:
            np.testing.assert_allclose(gradient.grad_out.sum(axis=0), gradient.value, 1e-12)


def test_a_gradient_of_zeros_has_no_defect() -> None:
    zeros = np.zeros((3, 2), np.float32)
    for spoil in GRADIENT_DEFECTS.values():
        spoiled = spoil(Gradient(zeros, zeros, np.ones((3, 3), np.float32)))
        np.testing.assert_array_equal(spoiled, zeros)


def test_tf32() -> None:
    grain = 2.0**-10
    values = np.array([1, 1 + grain, 1 + grain / 2, 1 + 1.5 * grain, 1 + 0.6 * grain, -3, 0])
    rounded = [1, 1 + grain, 1, 1 + 2 * grain, 1 + grain, -3, 0]
    np.testing.assert_array_equal(tf32(values.astype(np.float32)), rounded)
    np.testing.assert_array_equal(tf32(values), rounded)


@pytest.mark.parametrize("practice", TOLERANCES, ids=lambda practice: practice.name)
@pytest.mark.parametrize("dtype", DTYPES)
def test_practices(practice: Any, dtype: str) -> None:
    expected = {"w": np.array([0.0, 1.0, np.nan], dtype)}
    rtol, atol = practice.tolerances[dtype]
    for share, passes in ((0.9, True), (1.1, False)):
        for index, limit in enumerate((atol, atol + rtol)):
            actual = {"w": expected["w"].copy()}
            actual["w"][index] += share * limit
            assert practice.passes(actual, expected) is (passes or limit == 0)
    assert not practice.passes({"w": np.array([0, 1, 1], dtype)}, expected)


# ---- what was measured ----------------------------------------------------------------------


def row(**changes: Any) -> dict[str, Any]:
    return {
        "family": "random",
        "dtype": "float32",
        "sizes": [1, 1],
        "batch": 1,
        "epochs": 0,
        "momentum": 0.0,
        "elements": 2,
        "tensors": 2,
        "kinks": 0,
        "choices": 0,
        "unlimited": 0,
        "finite": True,
        "loss": 0.0,
        "gradients": 0.4,
        "parameters": 2.0,
        "aggregate": [0.1] * len(COMMONS),
        "flagged": [],
        **changes,
    }


def test_the_summary_counts_alarms() -> None:
    aggregate = [9.0] * len(COMMONS)
    aggregate[-1] = 0.5
    found = summary(
        [
            row(),
            row(gradients=6.1, epochs=3, momentum=0.9),
            row(parameters=float("inf"), dtype="float64", flagged=["ONNX backend"]),
            row(aggregate=aggregate, family="parabola", finite=False),
        ]
    )
    assert found["comparisons"] == 4
    assert found["false_alarms"] == {"gradients": 1, "parameters": 1, "loss": 0, "aggregate": 1}
    assert (found["with_momentum"], found["after_training"], found["not_finite"]) == (1, 1, 1)
    at = {point["z"]: point for point in found["curve"]}
    assert [at[z]["gradients"] for z in (0.25, 0.5, 6.0, 6.25)] == [4, 1, 1, 0]
    assert at[2.0]["parameters"] == 1
    worst = {curve["common"]: curve["worst"] for curve in found["aggregate_curves"]}
    assert (worst[COMMON], worst[COMMONS[-1]]) == (9.0, 0.5)
    families = {(f["family"], f["dtype"]): f for f in found["families"]}
    assert families["random", "float32"]["gradients"] == [0.4, 6.1, 6.1, 6.1]
    assert families["parabola", "float32"]["comparisons"] == 1
    practices = {p["practice"]: p for p in found["practices"]}
    assert practices["ONNX backend"]["float64, all"] == {"comparisons": 1, "false_alarms": 1}
    assert practices["ONNX backend"]["float32, random"] == {"comparisons": 2, "false_alarms": 0}


def test_detection_gives_shares_of_what_was_planted() -> None:
    def planted(parameter: str, gradients: float, aggregate: float, *flagged: str) -> Any:
        return {
            "defect": "× (1 + 1e-5)",
            "parameter": parameter,
            "gradients": gradients,
            "aggregate": [aggregate] * len(COMMONS),
            "flagged": list(flagged),
        }

    seeds: list[list[Any]] = [
        [planted("a", 9, 1), planted("b", 1, 9, "ONNX backend")],
        [planted("a", 9, 9), planted("b", 1, 1)],
    ]
    (found,) = detection(
        [{"architecture": "rightfit", "dtype": "float32", "planted": some} for some in seeds]
    )
    assert (found["seeds"], found["planted"]) == (2, 4)
    caught = found["caught"]
    assert (caught["element"], caught["aggregate"], caught["either"]) == (0.5, 0.5, 0.75)
    assert caught["ONNX backend"] == 0.25
    assert found["least"] == {"parameter": "b", "share": 0.5}


# ---- runs -----------------------------------------------------------------------------------


def test_a_run_resumes_and_reports(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    drawn: list[int] = []

    def draw(seed: int) -> Any:
        drawn.append(seed)
        return draw_case(3 + 20 * seed)

    monkeypatch.setattr(runs, "NETWORKS", ("rightfit",))
    monkeypatch.setattr(runs, "draw_case", draw)
    monkeypatch.setattr(runs, "code", lambda name: f"of this {name}")
    monkeypatch.setattr(free, "draw_case", lambda seed: draw_case(20))
    options = ["--workers", "1", "--seeds", "1", "--free", "1", "--output", str(tmp_path)]
    arguments = ["calibration", *options, "--cases"]
    assert evidence(*arguments, "2") == 0
    assert evidence(*arguments, "3") == 0
    assert drawn == [0, 1, 2]
    found = json.loads((tmp_path / "calibration.json").read_text())
    assert found["comparisons"] == 3
    assert found["seeds"] == {"cases": [0, 2], "detection": [0, 0]}
    assert len(found["detection"]) == 2 * len(GRADIENT_DEFECTS)
    assert found["environment"]["versions"]
    assert found["code"] == "of this calibration"
    assert (tmp_path / "calibration.png").read_bytes().startswith(b"\x89PNG")
    own = found["free_steps"]
    assert (own["runs"], own["comparisons"], own["false_alarms"]) == (2, 40, 0)
    printed = capsys.readouterr().out
    assert "3 comparisons" in printed
    assert "40 steps of own runs, false alarms: 0" in printed
    correct = measure.torch_side

    def wrong(*arguments: Any) -> Any:
        loss, gradients, parameters = correct(*arguments)
        return loss, {name: 1.001 * value for name, value in gradients.items()}, parameters

    monkeypatch.setattr(measure, "torch_side", wrong)
    assert evidence(*arguments, "4") == 1


@pytest.mark.dear
def test_processes_measure_what_one_does(tmp_path: Path) -> None:
    some = dict(list(runs.planned(2, 0, 0, "cpu").items()))
    measured = []
    for workers in (1, 2):
        found = Store(tmp_path / f"{workers}.json", {})
        runs.work(found, some, workers)
        measured.append([found[key] for key in some])
    assert json.dumps(measured[0]) == json.dumps(measured[1])


def test_what_is_measured_is_kept_when_something_fails(tmp_path: Path) -> None:
    def fails() -> dict[str, Any]:
        raise ValueError("a defect")

    found = Store(tmp_path / "rows.json", {"z": 6}, every_s=60)
    with pytest.raises(ValueError, match="a defect"):
        runs.work(found, {"one": lambda: {"found": float("inf")}, "two": fails}, 1)
    again = Store(tmp_path / "rows.json", {"z": 6})
    assert ("one" in again, "two" in again) == (True, False)
    assert again["one"] == {"key": "one", "found": {"found": float("inf")}}


def test_measurements_of_other_settings_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "calibration.rows.json"
    Store(path, {"code": "1", "device": "cpu"}).save()
    with pytest.raises(UsageError, match="was made with device cpu, but now it is cuda"):
        Store(path, {"code": "1", "device": "cuda"})
    arguments = [
        "--cases",
        "1",
        "--seeds",
        "0",
        "--free",
        "0",
        "--workers",
        "1",
        "--output",
        str(tmp_path),
    ]
    arguments.insert(0, "calibration")
    assert evidence(*arguments) == 2
    assert "was made with code 1" in capsys.readouterr().err
    for content in ("", "[]", "{}", '{"settings": 3, "rows": []}'):
        path.write_text(content)
        assert evidence(*arguments) == 2
        assert "holds no results" in capsys.readouterr().err


def test_the_picture_needs_no_detection() -> None:
    document = {**summary([row(), row(gradients=1.0)]), "detection": []}
    document["free_steps"] = {"comparisons": 0, "families": []}
    assert calibration_picture(document).startswith(b"\x89PNG")
