"""`parity replay`: what it says, and its exit status."""

import os
import signal
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from parity.cases.case import Case
from parity.cases.file import load, save
from parity.cases.replay import Replayed, located, twin, verdict_on
from parity.engines.adapters.minigrad import MinigradEngine
from parity.engines.protocol import Start, Task
from parity.engines.registry import ENGINES, Known, factory
from parity.engines.trainer import Trainer
from parity.processes import Processes, Side, trainer
from parity.report.replayed import differences, outcome
from tests.parity import case_engines
from tests.parity.commands import Finished, begun, parity, words

DEFECTIVE = Known("tests.parity.case_engines:HalvedBias", "has a defect")
HERE = {
    "versions": {"python": "3.11.7", "numpy": "2.4.6", "torch": "2.13.0"},
    "blas": [{"library": "openblas", "version": "0.3.31", "kernel": "Haswell", "threads": 1}],
    "cpu": "AMD EPYC",
    "gpu": None,
}


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The case of a defective engine, with its verdict."""
    start = Start(
        np.zeros((1, 1), np.float32),
        np.zeros((1, 1), np.float32),
        {"0.weight": np.zeros((1, 1), np.float32), "0.bias": np.full(1, 0.0625, np.float32)},
    )
    with (
        trainer(Side("engine", case_engines.HalvedBias)) as ours,
        trainer(Side("engine", factory("minigrad"))) as theirs,
    ):
        engines = Processes(ours, theirs)
        environment = {
            "actual": ours.call(Trainer.environment),
            "expected": theirs.call(Trainer.environment),
        }
        case = Case(
            "steps",
            ("defective", "minigrad"),
            Task((1, 1), 1, 0.01, 1, 3, "float32", "cpu"),
            start,
            {},
            {"passed": False},
            {"architecture": "rightfit", "sizes": [1, 16, 16, 1], "samples": 100, "epoch": 17},
            environment,
        )
        case = replace(case, verdict=located(case, verdict_on(case, engines), engines))
    path = tmp_path_factory.mktemp("cases") / "case-rightfit-steps.safetensors"
    save(case, path)
    return path


def replayed(*arguments: str | Path) -> Finished:
    return parity("replay", *arguments)


# ---- the command --------------------------------------------------------------------------------


def test_a_defect_that_is_still_there(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ENGINES, "defective", DEFECTIVE)
    monkeypatch.setenv("COLUMNS", "60")
    status, said, errors = replayed(saved)
    assert (status, errors) == (1, "")
    assert max(map(len, said.splitlines())) <= 60
    assert "\x1b" not in said
    assert not any(line.endswith(" ") for line in said.splitlines())
    text = words(said)
    for expected in (
        "case-rightfit-steps.safetensors: steps of defective against minigrad",
        "found in rightfit (1-16-16-1), seed 3, epoch 17",
        "judged: 1-1, 2 parameters, 1 epoch at 0.01, 1 sample, float32, cpu",
        "FAIL defective is wrong: the gradient of 0.bias, in linear_backward_bias, is too small",
        "by a factor of 2 (a factor of 2 missing?)",
        "rule linear_backward_bias, minigrad/ops/linalg.py:",
        "0.bias[0]: defective has 0.0625, minigrad 0.125, true is 0.125; allowed difference",
        "found by steps of 1-1",
    ):
        assert expected in text, text
    assert text.endswith("= the outcome recorded, the same in every value")


def test_a_sound_engine_in_its_place(saved: Path) -> None:
    status, said, errors = replayed(saved, "--engine", "numpy-floor")
    assert (status, errors) == (0, "")
    text = words(said)
    assert "PASS steps: 1 epochs; worst" in text
    assert "= passes now; recorded by defective against minigrad was a failure" in text
    assert "! numpy-floor in place of defective" in text


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], "engine 'defective', which is not known here"),
        (["--engine", "minigrad"], "'minigrad' would be held against itself"),
        (["--engine", "torch", "--against", "nothing"], "unknown engine 'nothing'"),
        (["--engine", "torch", "--device", "tpu"], "unknown device 'tpu'"),
    ],
)
def test_bad_usage(arguments: list[str], expected: str, saved: Path) -> None:
    status, said, errors = replayed(saved, *arguments)
    assert (status, said) == (2, "")
    assert expected in errors


def test_bad_files(tmp_path: Path) -> None:
    path = tmp_path / "damaged.safetensors"
    path.write_bytes(b"not at all")
    for file in (path, tmp_path / "absent", tmp_path):
        status, said, errors = replayed(file)
        assert (status, said) == (2, "")
        assert str(file) in errors


def test_ctrl_c(saved: Path, tmp_path: Path) -> None:
    """In the middle of a long case."""
    task = replace(load(saved).task, sizes=(1, 300, 1), epochs=10**6, samples=100)
    start = MinigradEngine().draw(task)
    path = tmp_path / "long.safetensors"
    engines = ("minigrad", "numpy-floor")
    save(replace(load(saved), task=task, start=start, engines=engines), path)
    process = begun("replay", path)
    time.sleep(2.5)
    os.killpg(process.pid, signal.SIGINT)
    said, errors = process.communicate(timeout=60)
    assert (process.returncode, said) == (130, "")
    assert "Traceback" not in errors


# ---- what it says of the outcome and the versions -----------------------------------------------


def judged(verdict: dict[str, Any], **changes: Any) -> Replayed:
    case = Case(
        "steps",
        ("minigrad", "torch"),
        Task((1, 1), 1, 0.01, 1, 3, "float32", "cpu"),
        None,
        {},
        {"passed": False, "worst_at": {"index": [0]}, "first_node": {"line": "linalg.py:33"}},
        {"architecture": "rightfit"},
        {"actual": HERE, "expected": HERE},
    )
    environment = {"actual": HERE, "expected": HERE}
    return Replayed(case, ("minigrad", "torch"), verdict, environment)._replace(**changes)


def test_whether_the_outcome_is_the_recorded_one() -> None:
    same = {"passed": False, "worst_at": {"index": [0]}, "first_node": {"line": "linalg.py:35"}}
    assert outcome(judged(same)) == "the outcome recorded, the same in every value"
    other = {"passed": False, "worst_at": {"index": [1]}}
    assert outcome(judged(other)) == "a failure, as recorded, with other values"
    passed = {"passed": True, "worst_at": {"index": [0]}}
    assert outcome(judged(passed)) == "passes now; recorded was a failure"
    assert outcome(judged(same, names=("minigrad", "jax"))) == (
        "the outcome recorded by minigrad against torch, the same in every value"
    )


def test_what_differs_is_said_once() -> None:
    assert differences(judged({"passed": True})) == []
    newer = {
        **HERE,
        "versions": {**HERE["versions"], "numpy": "3.0.0"},  # type: ignore[dict-item]
        "blas": [{"library": "mkl", "version": "2024.2", "kernel": None}],
        "gpu": "H100",
    }
    assert differences(judged({}, environment={"actual": newer, "expected": newer})) == [
        "numpy 3.0.0, recorded with 2.4.6",
        "BLAS mkl 2024.2, recorded with openblas 0.3.31 Haswell",
        "GPU H100, recorded with none",
    ]


def test_engines_that_are_not_the_same_are_compared_in_what_they_share() -> None:
    other = {**HERE, "versions": {"python": "3.14.0", "numpy": "2.4.6"}, "gpu": "H100"}
    found = differences(
        judged({}, names=("jax", "torch"), environment={"actual": other, "expected": HERE})
    )
    assert found == ["jax in place of minigrad", "python 3.14.0, recorded with 3.11.7"]


def test_a_case_from_elsewhere_need_not_describe_where() -> None:
    bare = judged({})
    bare = bare._replace(case=replace(bare.case, environment={"actual": {}, "expected": {}}))
    assert "numpy 2.4.6, recorded with none" in differences(bare)


def test_bits_are_judged_by_the_twin() -> None:
    bits = replace(judged({}).case, kind="bitwise")
    assert twin(bits, "minigrad") == "minigrad-reproducible"
    assert twin(bits, "torch-reproducible") == "torch-reproducible"
    assert twin(judged({}).case, "minigrad") == "minigrad"
