"""The catalogue of planted defects, and the runner that tries them."""

import ast
import io
import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

import minigrad
from parity.errors import UsageError
from parity.evidence.detection import runs
from parity.evidence.detection.defect import DEFECTS, Defect, chosen, planted, read
from parity.evidence.detection.runs import control, detect, document, verdict
from parity.evidence.detection.trial import (
    DIED,
    RAISED,
    copy_tree,
    failed,
    named,
    run_in,
    trial,
)
from parity.evidence.detection.usual_tests import PRACTICES, assert_close, finite_differences
from parity.evidence.rendered import detection_table
from parity.probes import WRITTEN, share
from parity.result_sources import code
from parity.source_digest import ROOT
from tests.parity import engine_catalogue
from tests.parity.commands import evidence

LINEAR = Defect(
    "weight-gradient-half",
    "minigrad/ops/linalg.py",
    "linear_backward_weight",
    "return np.matmul(grad_out.mT, x)",
    "return np.divide(np.matmul(grad_out.mT, x), 2)",
)
HARMLESS = Defect("harmless", LINEAR.file, LINEAR.function, LINEAR.old, f"{LINEAR.old}  # so")


# ---- the catalogue --------------------------------------------------------------------------


def test_defects_are_many_each_has_a_name_and_no_two_are_the_same() -> None:
    """`test_probes_defects` plants a sixth of them in an ordinary run, and all in `make fuzz`."""
    names = [defect.name for defect in DEFECTS]
    assert len(names) == len(set(names)) >= 200
    assert all(name.replace("-", "").isalnum() and name == name.lower() for name in names)
    assert len({(d.file, d.function, d.old, d.new, d.dtype) for d in DEFECTS}) == len(names)
    for defect in DEFECTS:
        assert defect.file.startswith("minigrad/")
        assert not defect.file.startswith("minigrad/arrays/"), "which the judge computes with"
        source = (ROOT / defect.file).read_text(encoding="utf-8")
        changed = set(source.split("\n")) - set(defect.applied_to(source).split("\n"))
        assert {line.strip() for line in changed} <= {defect.old}


def test_a_catalogue_of_another_form_is_refused() -> None:
    text = "About.\n\nname file.py f\n- x = 1\n+ x = 2\n+ y = 3\nat f g\ndtype float64\n"
    assert list(read(text)) == [
        Defect("name", "file.py", "f", "x = 1", "x = 2\ny = 3", ("f", "g"), "float64")
    ]
    with pytest.raises(ValueError, match=r"the line '\* x = 1', which begins with no mark"):
        list(read(text.replace("- x = 1", "* x = 1")))
    with pytest.raises(ValueError, match="unpack"):
        list(read(text.replace("- x = 1\n", "")))


def test_a_defect_is_to_be_located_at_a_function_that_there_is() -> None:
    known = {"start", *WRITTEN, *share(0)}
    for path in (ROOT / "minigrad").rglob("*.py"):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef):
                known.add(node.name)
            elif isinstance(node, ast.ClassDef):
                known |= {f"{node.name}.{n.name}" for n in node.body if hasattr(n, "name")}
    assert {name for defect in DEFECTS for name in defect.nodes} <= known


def test_every_place_that_the_project_names_has_defects() -> None:
    files = {defect.file for defect in DEFECTS}
    assert {f"minigrad/ops/{name}.py" for name in ("elementwise", "linalg", "loss")} <= files
    assert {f"minigrad/ops/{name}.py" for name in ("reduction", "shape", "indexing")} <= files
    assert {
        "minigrad/tape.py",
        "minigrad/tensor/backward.py",
        "minigrad/tensor/base.py",
    } <= files
    assert {"minigrad/nn/layers.py", "minigrad/nn/init.py", "minigrad/optim/sgd.py"} <= files
    assert {"minigrad/random/generator.py", "minigrad/tensor/inplace.py"} <= files
    assert {"minigrad/optim/lr_scheduler.py", "minigrad/utils/data.py"} <= files
    assert {"minigrad/nn/parameter.py", "minigrad/nn/module.py", "minigrad/nn/utils.py"} <= files


# ---- planting -------------------------------------------------------------------------------

SOURCE = """\
class A:
    def one(self):
        x = 1
        return x

def one():
    x = 1
    if x:
        x = 1
    return x
"""


def test_planting_changes_one_line_of_one_function() -> None:
    wrong = Defect("d", "f.py", "A.one", "x = 1", "x = 2\nx += 1").applied_to(SOURCE)
    assert wrong == SOURCE.replace(
        "        x = 1\n        r", "        x = 2\n        x += 1\n        r"
    )


@pytest.mark.parametrize(
    ("function", "old", "message"),
    [
        ("one", "x = 1", "the line 'x = 1' 2 times"),
        ("one", "x = 3", "the line 'x = 3' 0 times"),
        ("two", "x = 1", "'two' is found 0 times"),
        ("A.two", "x = 1", "'A.two' is found 0 times"),
    ],
)
def test_planting_refuses_what_is_not_there_once(function: str, old: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Defect("d", "f.py", function, old, "x = 2").applied_to(SOURCE)


def slopes() -> list[float]:
    """The derivatives of some functions at 0.5, by minigrad."""
    found = []
    functions: list[Any] = [minigrad.tanh, minigrad.exp, lambda x: x.clone().add_(x, alpha=2)]
    for function in functions:
        x = minigrad.tensor(0.5, requires_grad=True)
        function(x).backward()
        assert x.grad is not None
        found.append(x.grad.item())
    return found


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("tanh-gradient-by-input", 0),  # which the tape then saves
        ("saved-input-in-place-of-output", 1),
        ("add-in-place-ignores-alpha", 2),
    ],
)
def test_a_defect_planted_in_this_process_shows_until_it_is_taken_out(
    name: str, place: int
) -> None:
    (defect,) = chosen(name)
    right = slopes()
    with planted(defect):
        wrong = slopes()
        assert wrong[place] != right[place]
    assert slopes() == right
    with pytest.raises(KeyError, match="within"), planted(defect):
        raise KeyError("within")
    assert slopes() == right


def test_what_cannot_be_planted_in_this_process_is_named() -> None:
    defect = Defect("no-function", "minigrad/tape.py", "Node", "__slots__ = (", "__slots__ = (1,")
    with pytest.raises(ValueError, match=r"'no-function': Node of minigrad/tape.py is no function"):
        planted(defect).__enter__()
    (detach,) = chosen("detach-keeps-history")
    from_outside = replace(detach, new="return super().detach()")  # needs the cell `__class__`
    with pytest.raises(ValueError, match=r"'detach-keeps-history': TensorBase.detach: .*free vars"):
        planted(from_outside).__enter__()


# ---- a trial --------------------------------------------------------------------------------


def test_a_copy_is_what_runs_in_it(tmp_path: Path) -> None:
    copy_tree(tmp_path)
    assert not list(tmp_path.rglob("__pycache__"))
    before = code("detection", tmp_path)
    LINEAR.plant(tmp_path)
    assert code("detection", tmp_path) != before
    (tmp_path / "look.py").write_text(
        "import inspect, minigrad, parity, torch_impl\n"
        "from minigrad.ops import linalg\n"
        "print(minigrad.__file__, parity.__file__, torch_impl.__file__)\n"
        "print(inspect.getsource(linalg.linear_backward_weight))\n",
        encoding="utf-8",
    )
    ended = run_in(tmp_path, "look")
    paths, *source = ended.stdout.splitlines()
    assert all(Path(path).is_relative_to(tmp_path.resolve()) for path in paths.split())
    assert "np.divide" in "\n".join(source)
    assert run_in(ROOT, "no_such_module").returncode != 0


@pytest.mark.parametrize(
    "end", ["sys.exit(130)", "signal.signal(2, signal.SIG_DFL); os.kill(os.getpid(), 2)"]
)
def test_a_trial_that_was_interrupted_is_no_result(end: str, tmp_path: Path) -> None:
    (tmp_path / "stopped.py").write_text(f"import os, signal, sys\n{end}\n", encoding="utf-8")
    with pytest.raises(KeyboardInterrupt):
        run_in(tmp_path, "stopped")


@pytest.mark.dear
def test_a_trial_catches_a_defect_and_nothing_harmless(tmp_path: Path) -> None:
    # Both runs, at the same time, are most of what this file takes.
    network = ("1-2-1", "--epochs", "2")

    def tried(defect: Defect, *against: str) -> dict[str, Any]:
        copy_tree(tmp_path / defect.name)
        return trial(defect, tmp_path / defect.name, 3, (*network, *against))

    with ThreadPoolExecutor() as pool:
        trials = (
            pool.submit(tried, HARMLESS, "--against", "numpy-floor"),
            pool.submit(tried, LINEAR),
        )
        right, wrong = (each.result() for each in trials)
    assert right["status"] == 0
    assert right["caught_by"] == right["located"] == []
    assert right["problem"] is None
    right["practices"].pop("probes")  # assert_close there fails right engines, too
    assert set(right["practices"].values()) == {None}
    assert verdict(HARMLESS, right) == {"caught": False, "right": False, "agreeing": 0.0}

    assert wrong["status"] == 1
    assert {"gradients", "steps", "bitwise", "probes"} <= set(wrong["caught_by"])
    assert verdict(LINEAR, wrong)["caught"]
    assert verdict(LINEAR, wrong)["right"]
    assert wrong["practices"]["assert_close"] == "underfit 0.weight"
    assert wrong["practices"]["finite_differences"] == "underfit"


def test_every_failing_verdict_is_read_from_a_report() -> None:
    node = {"phase": "backward", "node": "2", "rule": "mul_backward_x", "line": "f.py:1"}
    report = {
        "architectures": [
            {
                "name": "rightfit",
                "sizes": [1],
                "start": {"passed": False, "first_difference": {"parameter": "0.weight"}},
                "gradients": {"passed": False, "first_node": node},
                "steps": {"passed": True},
                "bitwise": None,
                "trajectory": {"passed": False},
                "final_mse": {"passed": None},
            }
        ],
        "probes": {
            "passed": False,
            "failed": [
                {"probe": "diamond", "tensor": "x", "rule": "_accumulate", "line": None},
                {"probe": "diamond", "tensor": "y", "rule": "sweep"},
            ],
        },
    }
    assert list(failed(report)) == [
        {"verdict": "start", "where": "rightfit", "parameter": "0.weight"},
        {"verdict": "gradients", "where": "rightfit", **node},
        {"verdict": "trajectory", "where": "rightfit"},
        {"verdict": "probes", "where": "diamond", "tensor": "x", "rule": "_accumulate"},
    ]
    assert list(failed({"architectures": [], "probes": None})) == []
    raising = {"name": "rightfit", "start": {"passed": True}, "problem": {"traceback": "…, in f\n"}}
    assert list(failed({"architectures": [raising], "probes": None})) == [
        {"verdict": RAISED, "where": "rightfit", "problem": "…, in f\n"}
    ]


def found(*located: dict[str, Any], status: int = 1, problem: str | None = None) -> dict[str, Any]:
    return {
        "status": status,
        "caught_by": [place["verdict"] for place in located],
        "located": list(located),
        "problem": problem,
        "practices": dict.fromkeys(PRACTICES),
    }


RIGHT = {"verdict": "gradients", "where": "rightfit", "rule": "linear_backward_weight"}
ELSEWHERE = {"verdict": "bitwise", "where": "rightfit", "rule": "linear"}
PROBE = {"verdict": "probes", "where": "diamond", "rule": "linear_backward_weight"}
PROBE_ELSEWHERE = {"verdict": "probes", "where": "layers", "rule": "sweep"}
NOWHERE = {"verdict": "trajectory", "where": "rightfit"}
CRASHED = {"verdict": DIED}
RAISED_THERE = {"verdict": RAISED, "where": "rightfit", "problem": "…, in linear_backward_weight\n"}
RAISED_ELSEWHERE = {"verdict": RAISED, "where": "rightfit", "problem": "…, in numpy\n"}


@pytest.mark.parametrize(
    ("result", "right", "agreeing"),
    [
        (found(RIGHT, NOWHERE), True, 1.0),
        (found(RIGHT, ELSEWHERE), False, 0.5),
        (found(RIGHT, PROBE_ELSEWHERE), False, 0.5),
        (found(RIGHT, PROBE, PROBE_ELSEWHERE, PROBE_ELSEWHERE), True, 0.5),
        (found(PROBE_ELSEWHERE, PROBE), False, 0.5),
        (found(NOWHERE), False, 0.0),
        (found(CRASHED, status=70, problem="…, in linear_backward_weight\n"), True, 1.0),
        (found(CRASHED, status=70, problem="…, in linear_backward_x\n"), False, 0.0),
        (found(RAISED_THERE), True, 1.0),
        (found(RAISED_THERE, PROBE_ELSEWHERE), False, 0.5),
        (found(RAISED_ELSEWHERE), False, 0.0),
        (found(RAISED_ELSEWHERE, PROBE), True, 1.0),
        (found(RAISED_ELSEWHERE, PROBE_ELSEWHERE), False, 0.0),
        (found(status=0), False, 0.0),
    ],
)
def test_a_defect_is_located_if_every_verdict_names_it(
    result: dict[str, Any], right: bool, agreeing: float
) -> None:
    caught = result["status"] != 0
    due = {"caught": caught, "right": right, "agreeing": agreeing}
    assert verdict(LINEAR, result) == due


def test_a_defect_of_the_draws_is_located_by_the_start() -> None:
    defect = Defect("d", "f.py", "f", "a", "b", ("start",))
    place = {"verdict": "start", "where": "rightfit", "parameter": "0.weight"}
    assert verdict(defect, found(place))["right"]
    assert not verdict(defect, found(place, RIGHT))["right"]


# ---- the usual practice ---------------------------------------------------------------------


def test_the_usual_practice_passes_a_correct_engine() -> None:
    assert assert_close(0, "float32") is None
    assert finite_differences(0, "float32") is None


# ---- many trials ----------------------------------------------------------------------------


@pytest.fixture
def tried(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Trials that cost nothing; returns the names of those that were made."""
    made: list[str] = []

    def instead(defect: Defect | None, tree: Path, seed: int) -> dict[str, Any]:
        made.append(control(seed) if defect is None else defect.name)
        assert (tree / "minigrad").is_dir()
        result = found(status=0) if defect in (None, HARMLESS) else found(RIGHT)
        if seed == 1:
            result["practices"]["final_mse"] = "overfit"
        return result

    monkeypatch.setattr(runs, "trial", instead)
    return made


def test_a_run_that_was_stopped_goes_on(
    tried: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(*defects: Defect, seed: int = 0) -> dict[str, Any]:
        tried.clear()
        return detect(defects, tmp_path / "rows.json", seed=seed, controls=2, workers=1)

    first = run(LINEAR)
    assert tried == ["control-0", "control-1", LINEAR.name]
    again = run(LINEAR, HARMLESS)
    assert tried == [HARMLESS.name]
    assert again["trials"][0] == first["trials"][0]
    run(LINEAR, HARMLESS, seed=1)
    assert tried == [LINEAR.name, HARMLESS.name], "another seed is another trial"
    changed = Defect(LINEAR.name, LINEAR.file, LINEAR.function, LINEAR.old, "return x")
    run(changed, HARMLESS, seed=1)
    assert tried == [LINEAR.name], "and so is another defect of the same name"
    monkeypatch.setattr(runs, "trial_code", lambda engine, root: "other")
    run(changed, HARMLESS, seed=1)
    assert tried == ["control-0", "control-1", LINEAR.name, HARMLESS.name], "and another code"


def test_the_document_counts_what_was_caught(tried: list[str], tmp_path: Path) -> None:
    found = detect([LINEAR, HARMLESS], tmp_path / "rows.json", seed=0, controls=2, workers=2)
    assert (found["defects"], found["located"], found["correct_runs"]) == (2, 1, 2)
    assert not found["passed"]
    assert found["judges"]["parity"] == {"caught": 1, "false_alarms": 0}
    assert found["judges"]["final_mse"] == {"caught": 0, "false_alarms": 1}
    assert found["judges"]["assert_close"]["false_alarms"] == 0
    assert found["environment"]["versions"]["numpy"]
    assert [entry["caught_by"] for entry in found["trials"]] == [["gradients"], []]
    shown = io.StringIO()
    Console(file=shown, width=200).print(detection_table(found))
    text = shown.getvalue()
    assert "weight-gradient-half" in text
    assert "missed" in text
    assert "1 of 2" in text


def test_a_failing_control_fails_everything() -> None:
    trials = {control(0): found(RIGHT), LINEAR.name: found(RIGHT)}
    assert not document([LINEAR], trials, 0, 1)["passed"]
    assert document([LINEAR], trials | {control(0): found(status=0)}, 0, 1)["passed"]


def test_the_program(tried: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = f"{DEFECTS[0].name},{DEFECTS[1].name}"
    assert evidence("detection", "--only", names, "--output", str(tmp_path), "--controls", "1") == 1
    written = json.loads((tmp_path / "detection.json").read_text(encoding="utf-8"))
    assert [entry["name"] for entry in written["trials"]] == names.split(",")
    assert (tmp_path / "detection.png").read_bytes().startswith(b"\x89PNG")
    assert names.split(",")[0] in capsys.readouterr().out
    assert evidence("detection", "--only", "no-such-defect", "--output", str(tmp_path)) == 2
    assert "'no-such-defect'" in capsys.readouterr().err


def test_all_defects_are_tried_unless_some_are_named() -> None:
    assert chosen(None) == DEFECTS
    with pytest.raises(UsageError, match="unknown defect 'x', 'y'"):
        chosen("x,y")


# ---- the second chapter: engines ----------------------------------------------------------------


def test_the_record_is_of_every_engine_and_none_is_judged_wrongly() -> None:
    record = json.loads(engine_catalogue.RESULT.read_text(encoding="utf-8"))
    named = {row["engine"]: row["right"] for row in record["engines"]}
    assert named == {engine_catalogue.name(e): r for e, r in engine_catalogue.ENGINES.items()}
    assert len(named) >= 40
    assert record["passed"]
    assert (record["caught"], record["false_alarms"]) == (record["wrong"], 0)


def test_a_wrong_engine_that_passes_and_a_right_one_that_fails_are_counted() -> None:
    sides: dict[int, list[str]] = {0: [], 1: ["actual"], 2: ["actual", "expected"]}
    rows = [
        {"right": right, "status": status, "named": sides[status]}
        for right in (True, False)
        for status in (0, 1, 2)
    ]
    assert engine_catalogue.totals(rows) == {
        "passed": False, "wrong": 3, "caught": 1, "named": {"actual": 2, "expected": 1},
        "correct": 3, "false_alarms": 2,
    }  # fmt: skip
    assert engine_catalogue.totals([rows[0], rows[4]])["passed"]


def test_the_engines_that_failing_verdicts_name_are_told() -> None:
    assert named([{"wrong": "actual"}, {}, {"wrong": None}]) == {"actual"}
    assert named([{"wrong": "both"}]) == {"actual", "expected"}
    assert named([{"verdict": "trajectory"}]) == set()
