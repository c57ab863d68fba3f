"""The proof: it resumes, refuses what does not belong together, and says what failed."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from parity.checks.verdicts import not_reached
from parity.engines.process import EngineProcessError
from parity.evidence import proof as runs
from parity.evidence.proof import Job, kept, planned
from parity.source_digest import ROOT
from tests.parity.commands import evidence
from tests.parity.samples import report_of


@pytest.fixture(autouse=True)
def same_code(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever edits while the tests run does not change what they are about."""
    monkeypatch.setattr(runs, "code", lambda name: f"of this {name}")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "results" / "proof.json"


def arguments(file: Path, *more: str) -> list[str]:
    return ["proof", "--output", str(file), "--failures", str(file.parent / "failures"), *more]


class FakeProcesses:
    """Of which nothing is started."""

    def __init__(self, actual: Any, expected: Any, cores: int) -> None:
        self.killed = threading.Event()
        assert cores == 1

    def __enter__(self) -> FakeProcesses:
        return self

    def __exit__(self, *raised: object) -> None:
        pass

    def kill(self) -> None:
        self.killed.set()


@pytest.fixture
def judged(monkeypatch: pytest.MonkeyPatch) -> list[Job]:
    """In place of runs a sample report: the jobs that were done. In float32, seed 1 raises."""
    done = []

    def judged(processes: Any, tasks: Any, settings: dict[str, Any], progress: Any) -> Any:
        job = Job(settings["quick"], settings["dtype"], settings["seed"])
        assert [task.seed for _, task in tasks] == [job.seed] * len(tasks)
        assert {task.epochs <= 50 for _, task in tasks} == {job.quick}
        report = report_of("dead")
        report.document["settings"] |= settings
        if (job.dtype, job.seed) == ("float32", 1):
            report.document["passed"] = False
            report.document["architectures"][0] |= {
                "passed": False,
                **not_reached(),
                "state": {"actual": None, "expected": None},
                "problem": {
                    "engine": "minigrad",
                    "call": "train",
                    "error": "ValueError: planted",
                    "traceback": 'File "rule.py", line 1, in rule',
                },
            }
        done.append(job)
        return report

    monkeypatch.setattr(runs, "prepared", FakeProcesses)
    monkeypatch.setattr(runs, "run_on", judged)
    return done


def test_a_small_network_for_real(
    file: Path, capsys: pytest.CaptureFixture[str], here: None
) -> None:
    small = arguments(file, "1-4-1", "--full", "0", "--quick", "1", "--workers", "1")
    assert evidence(*small) == 0
    content = json.loads(file.read_text())
    assert content["passed"] is True
    assert (content["planned"], content["done"], content["failed"]) == (2, 2, [])
    assert content["settings"]["architectures"] == ["1-4-1"]
    assert content["environment"]["expected"]["torch_instructions"]
    assert [(run["quick"], run["dtype"], run["seed"]) for run in content["runs"]] == [
        (True, "float32", 0),
        (True, "float64", 0),
    ]
    for run in content["runs"]:
        (entry,) = run["architectures"]
        assert run["passed"] is entry["passed"] is run["probes"]["passed"] is True
        assert 0 < entry["steps"]["worst_budget_used"] < 1
        hexes = entry["bitwise"]["final_mse_hex"]
        assert float.fromhex(hexes["actual"]) == float.fromhex(hexes["expected"]) > 0
        assert entry["state"] == {"actual": "trained", "expected": "trained"}
    said = capsys.readouterr().out
    assert "[2/2] quick float64 seed 0: passed" in said
    before = file.read_bytes()
    assert evidence(*small) == 0, "there is nothing left to do"
    assert file.read_bytes() == before
    again = capsys.readouterr().out
    assert "[" not in again
    assert again in said, "the table is that of the file"


def test_it_goes_on_where_it_was(file: Path, judged: list[Job]) -> None:
    jobs = planned(1, 1)
    same = {"settings": "the same"}
    first = kept(file, same, jobs)
    file.parent.mkdir()
    runs.prove(first, jobs[:2], None, 2, file.parent, lambda done, total: None)
    assert sorted(judged) == sorted(jobs[:2])
    again = kept(file, same, jobs)
    assert again.rows() == first.rows()
    runs.prove(again, jobs, None, 1, file.parent, lambda done, total: None)
    assert judged[2:] == jobs[2:]
    assert list(map(runs.job_of, again.rows())) == jobs, "in the order planned"


def test_a_failing_run_is_named_and_keeps_its_report(
    file: Path, judged: list[Job], capsys: pytest.CaptureFixture[str]
) -> None:
    assert evidence(*arguments(file, "--full", "2", "--quick", "1")) == 1
    assert len(judged) == 6
    content = json.loads(file.read_text())
    assert content["passed"] is False
    assert content["failed"] == ["full float32 seed 1"]
    folder = file.parent / "failures" / "full-float32-seed-1"
    assert json.loads((folder / "report.json").read_text())["settings"]["seed"] == 1
    assert "<html" in (folder / "report.html").read_text()
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]
    said = capsys.readouterr().out
    assert "full float32 seed 1: FAILED" in said
    assert "FAILED: full float32 seed 1; its report is in" in said
    raising = next(run for run in content["runs"] if not run["passed"])["architectures"][0]
    assert raising["problem"] == "ValueError: planted"
    assert f"{raising['name']}: 1 None, seed 1" in said


def test_dead_and_diverged_runs_are_counted_and_named(
    file: Path, judged: list[Job], capsys: pytest.CaptureFixture[str]
) -> None:
    assert evidence(*arguments(file, "--full", "1", "--quick", "0")) == 0
    endings = {
        entry["name"]: entry["state"]["actual"]
        for entry in report_of("dead").document["architectures"]
        if entry["state"]["actual"] != "trained"
    }
    assert endings
    said = capsys.readouterr().out
    counted = json.loads(file.read_text())["states"]
    for name, state in endings.items():
        assert f"full float32 {name}: 1 {state}, seed 0" in said
        assert {"architecture": name, "side": "actual", "state": state, "runs": 2} in counted


@pytest.mark.parametrize("changed", ["settings", "code", "versions"])
def test_a_file_of_something_else_is_refused(
    changed: str,
    file: Path,
    judged: list[Job],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert evidence(*arguments(file, "--full", "0", "--quick", "1")) == 0
    before = file.read_bytes()
    if changed == "code":
        monkeypatch.setattr(runs, "code", lambda name: "another")
    if changed == "versions":
        monkeypatch.setattr(runs, "environment", lambda: {"versions": {"numpy": "0"}})
    quick = "2" if changed == "settings" else "1"
    assert evidence(*arguments(file, "--full", "0", "--quick", quick)) == 2
    complaint = capsys.readouterr().err
    assert f"was made with {changed} " in complaint
    assert "remove the file" in complaint
    assert file.read_bytes() == before
    assert len(judged) == 2


def test_interrupted_it_keeps_what_is_done(
    file: Path, judged: list[Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second run hangs until its processes are ended, which Ctrl-C does."""
    quickly, hanging = vars(runs)["run_on"], threading.Event()

    def judged_or_hanging(processes: Any, *arguments: Any) -> Any:
        if not judged:
            return quickly(processes, *arguments)
        hanging.set()
        assert processes.killed.wait(60)
        raise EngineProcessError("killed by SIGKILL")

    def interrupted(futures: Any, return_when: str) -> None:
        assert hanging.wait(60)
        raise KeyboardInterrupt

    monkeypatch.setattr(runs, "run_on", judged_or_hanging)
    monkeypatch.setattr(runs, "wait_for", interrupted)
    some = arguments(file, "--full", "0", "--quick", "2", "--workers", "1")
    assert evidence(*some) == 130
    content = json.loads(file.read_text())
    assert (content["done"], content["planned"], content["passed"]) == (1, 4, False)


@pytest.mark.parametrize("workers", [1, 2])
def test_an_engine_that_dies_ends_the_proof(
    file: Path,
    workers: int,
    judged: list[Job],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def dying(*arguments: Any) -> Any:
        raise EngineProcessError("the torch process ended with exit code -9")

    monkeypatch.setattr(runs, "run_on", dying)
    assert evidence(*arguments(file, "--workers", str(workers))) == 2
    assert "the torch process ended" in capsys.readouterr().err
    assert not file.exists()


def test_bad_usage(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert evidence(*arguments(file, "rightift")) == 2
    assert "unknown architecture 'rightift'" in capsys.readouterr().err
    for wrong in (["--workers", "0"], ["--quick", "-1"], ["--full", "x"]):
        assert evidence(*arguments(file, *wrong)) == 2
    assert not file.parent.exists()


CAPTURED = ("minigrad/capture/",)
JUDGED_IN_ONE_PROCESS = """
import sys
from parity.checks.budget import budgeted_step
from parity.engines.protocol import Task
from parity.engines.registry import factory
from parity.engines.trainer import Trainer
from parity.probes import share
from parity.probes.run import probes
from tests.parity.commands import evidence

names = sys.argv[1:]
engines = [factory(name) for name in names]
task = Task((1, 4, 1), 2, 0.01, 10, 0, "float32", "cpu", momentum=0.9)
files = set()
sys.setprofile(lambda frame, *_: files.add(frame.f_code.co_filename))
for make in engines:
    trainer, engine = Trainer(make), make()
    start = engine.draw(task)
    trainer.trace(task, start, {})
    for _ in trainer.train(task, start):
        pass
    for _ in probes(trainer, "float32", 0, share(0)):
        pass
    engine.load(task, start)
    engine.step()
    engine.put(engine.parameters(), engine.momentum_buffers())
    engine.loss_and_gradients()
budgeted_step(task, start)(start.parameters)
sys.setprofile(None)
print(*files, sep="\\n")
"""


def files_run(*engines: str) -> set[str]:
    """Return the files of which something is run when these engines do what they are judged by."""
    ended = subprocess.run(
        [sys.executable, "-c", JUDGED_IN_ONE_PROCESS, *engines],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    files = map(Path, ended.stdout.splitlines())
    return {f.relative_to(ROOT).as_posix() for f in files if f.is_relative_to(ROOT)}


@pytest.mark.dear
def test_no_captured_code_is_run_in_a_proof() -> None:
    run = files_run("minigrad", "minigrad-reproducible")
    assert {"minigrad/tape.py", "minigrad/arrays/budgeted/array.py", "minigrad/optim/sgd.py"} <= run
    assert not [name for name in run if name.startswith(CAPTURED)]
    captured = files_run("minigrad-captured")
    assert {name for name in captured if name.startswith(CAPTURED)} > {
        "minigrad/capture/captured.py"
    }
