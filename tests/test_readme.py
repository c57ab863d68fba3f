"""What README shows works as written."""

import itertools
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from parity.bench import table as bench_table
from parity.evidence import peers as peers_table
from parity.evidence.figures import part

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", README, flags=re.DOTALL)
PYTHON = [block for kind, block in BLOCKS if kind == "python"]
FILES = {match[1]: block for block in PYTHON if (match := re.match(r"# (\w+\.py)\n", block))}
COMMANDS = [
    line.removeprefix("$ ").partition("#")[0].strip()
    for kind, block in BLOCKS
    if kind == "console"
    for line in block.splitlines()
    if line.startswith("$ ")
]
SHORT = {
    "run": ["--epochs", "3"],
    "train": ["--epochs", "3"],
    "sweep": ["--epochs", "3", "--horizons", "1"],
    "bench": ["--rounds", "6", "--processes", "1"],
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the files that README shows."""
    for name, code in FILES.items():
        (tmp_path / name).write_text(code, encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize("command", sorted({c for c in COMMANDS if c.startswith("parity ")}))
def test_parity_commands_run(command: str, folder: Path) -> None:
    _, name, *arguments = shlex.split(command)
    if name == "bench":
        arguments.append("underfit")  # the three networks would take minutes
    shortened = [*arguments, *SHORT.get(name, [])]
    full = [sys.executable, "-m", "parity", name, *shortened]
    result = subprocess.run(full, cwd=folder, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("command", sorted({c for c in COMMANDS if c.startswith("minigrad ")}))
def test_minigrad_commands_run(command: str) -> None:
    full = [sys.executable, "-m", *shlex.split(command)]
    result = subprocess.run(full, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr
    assert "mse_loss" in result.stdout


@pytest.mark.parametrize("command", sorted({c for c in COMMANDS if c.startswith("make ")}))
def test_make_targets_exist(command: str) -> None:
    target = shlex.split(command)[1]
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)


@pytest.mark.parametrize("name", [name for name in FILES if name.startswith("test_")])
def test_tests_pass(name: str, folder: Path) -> None:
    command = [sys.executable, "-m", "pytest", name]
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize("code", PYTHON)
def test_python_runs(code: str, folder: Path) -> None:
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, timeout=120
    )
    assert result.returncode == 0, result.stderr
    printed = result.stdout.splitlines()
    expected = re.findall(r"^# prints: (.*)$", code, flags=re.MULTILINE)
    if any(call in code for call in ("print(model)", ".explain()")):  # which print more than that
        left = iter(printed)
        printed = [next((line for line in left if part in line), "") for part in expected]
        expected = [
            line if part in line else part for part, line in zip(expected, printed, strict=True)
        ]
    assert printed == expected


def result(name: str) -> Any:
    return json.loads(
        (ROOT / "parity" / "evidence" / "results" / f"{name}.json").read_text(encoding="utf-8")
    )


def rows(title: str) -> list[list[str]]:
    """The cells of the table whose head begins so."""
    lines = README.splitlines()
    begin = next(i for i, line in enumerate(lines) if line.startswith(f"| {title}"))
    table = itertools.takewhile(lambda line: line.startswith("|"), lines[begin + 2 :])
    return [[cell.strip(" *") for cell in line.strip("|").split("|")] for line in table]


def test_the_table_of_tolerances_is_what_was_measured() -> None:
    calibration = result("calibration")
    alarms = {
        entry["practice"]: entry["float32, all"]["false_alarms"]
        for entry in calibration["practices"]
    }
    caught = {
        (entry["architecture"], entry["defect"]): entry["caught"]
        for entry in calibration["detection"]
        if entry["dtype"] == "float32"
    }
    defects = ("× (1 + 1e-3)", "× (1 + 1e-5)", "rounded to float16", "TF32 operands")
    expected = []
    for judge in [*alarms, "either"]:
        row = [f"{alarms[judge] / 50:.1f} %" if judge in alarms else "0"]
        for defect in defects:
            shares = [100 * caught[network, defect][judge] for network in ("rightfit", "overfit")]
            row.append("{:.0f} / {:.0f} %".format(*shares))
        expected.append(row)
    assert [row[1:] for row in rows("judged by")] == expected
    assert set(calibration["false_alarms"].values()) == {0}
    assert calibration["comparisons"] == 10_000
    assert f"{calibration['elements'] // 10**6} million" in " ".join(README.split())


def test_what_is_said_of_detection_and_proof_is_what_was_measured() -> None:
    detection, proof, text = result("detection"), result("proof"), " ".join(README.split())
    judges, correct = detection["judges"], detection["correct_runs"]
    assert f"plants {detection['defects']} defects" in text
    assert judges["parity"] == {"caught": detection["defects"], "false_alarms": 0}
    assert f"{detection['located']} located at the right node" in text
    assert f"none of {correct} correct runs" in text
    for name, said in (
        ("assert_close", "gradients catches {caught},"),
        ("final_mse", "catches {caught} and fails {false_alarms} of the"),
        ("finite_differences", "differences catch {caught},"),
        ("probes", "on the probes {caught} "),
    ):
        assert said.format(**judges[name]) in text
    assert proof["passed"] is True
    assert proof["failed"] == []
    assert f"all {proof['done']} runs have passed" in text
    for quick, seeds in ((False, 12), (True, 50)):
        for dtype in ("float32", "float64"):
            runs = [run for run in proof["runs"] if (run["quick"], run["dtype"]) == (quick, dtype)]
            assert {run["seed"] for run in runs} == set(range(seeds))
    entries = [entry for run in proof["runs"] for entry in run["architectures"]]
    assert {entry["state"]["actual"] for entry in entries} == {"trained", "dead", "diverged"}
    for entry in entries:
        mse = entry["bitwise"]["final_mse_hex"]
        assert entry["bitwise"]["passed"] is True
        assert mse["actual"] == mse["expected"]


@pytest.mark.parametrize(
    ("name", "table"),
    [
        ("bench", bench_table.markdown),
        ("bench-losses", bench_table.markdown),
        ("peers", peers_table.markdown),
    ],
)
def test_tables_are_of_the_results_checked_in(name: str, table: Callable[[Any], str]) -> None:
    assert part(README, name) == table(result(name))


def test_links_and_the_picture_exist() -> None:
    targets = re.findall(r"\]\(([^)#]+)\)", README)
    assert targets
    for target in targets:
        assert target.startswith("http") or (ROOT / target).exists(), target


def test_mentioned_module_runs() -> None:
    (command,) = re.findall(r"`python (-m torch_impl [^`]*)`", README)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    result = subprocess.run(
        [sys.executable, *shlex.split(command)], env=environment, capture_output=True, text=True
    )
    assert result.returncode == 0
    assert "final MSE" in result.stdout
