"""Engines from outside the package, by the public protocol alone."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from parity.report.document import schema

README = (Path(__file__).parents[2] / "parity" / "README.md").read_text(encoding="utf-8")

TRACING = '''
import numpy as np

from parity import Traced
from toy import ToyEngine


class TracingEngine(ToyEngine):
    """The toy, which shows what its steps compute."""

    def trace(self):
        error = self.predict() - self.y
        layers = list(enumerate(zip(*[iter(self.values)] * 2)))
        found = []
        for i, _ in layers:
            last = i == layers[-1][0]
            out = self.inputs[i] @ self.weight(i).T + self.values[f"{2 * i}.bias"]
            found.append(Traced("forward", f"{2 * i}", "Linear", "output", out))
            if not last:
                on = self.inputs[i + 1]
                found.append(Traced("forward", f"{2 * i + 1}", "ReLU", "output", on))
        one = self.y.dtype.type(1)
        found.append(Traced("forward", "loss", "MSELoss", "output", np.mean(error**2)))
        found.append(Traced("backward", "loss", "MSELoss", "output", np.asarray(one)))
        grad = 2 * error / error.size
        found.append(Traced("backward", "loss", "MSELoss", "input", grad))
        gradients = self.loss_and_gradients()[1]
        for i, names in reversed(layers):
            for name in names:
                found.append(Traced("backward", f"{2 * i}", "Linear", name, gradients[name]))
            if i:
                grad = grad @ self.weight(i)
                found.append(Traced("backward", f"{2 * i}", "Linear", "input", grad))
                grad = grad * (self.inputs[i] > 0)
                found.append(Traced("backward", f"{2 * i - 1}", "ReLU", "input", grad))
        self.step()
        for i, names in layers:
            for name in names:
                found.append(Traced("optimizer", f"{2 * i}", "SGD", name, self.values[name]))
        return found

    def weight(self, i):
        return self.values[f"{2 * i}.weight"]


class HalvedWeight(TracingEngine):
    def loss_and_gradients(self):
        loss, gradients = super().loss_and_gradients()
        gradients["2.weight"] = gradients["2.weight"] / 2
        return loss, gradients


class BarelyWrongBias(TracingEngine):
    def loss_and_gradients(self):
        loss, gradients = super().loss_and_gradients()
        gradients["0.bias"] = gradients["0.bias"] * np.float32(1 + 1e-5)
        return loss, gradients


class AnotherRate(TracingEngine):
    def build(self, task, start):
        super().build(task, start)
        self.learning_rate = task.learning_rate * 1.001


class Leaking(TracingEngine):
    def predict(self):
        super().predict()
        values = list(self.values.values())
        self.inputs[1] = np.where(self.inputs[1] > 0, self.inputs[1], np.float32(1e-3))
        return self.inputs[1] @ values[2].T + values[3]


class Raising(TracingEngine):
    def step(self):
        raise LookupError("no such step")


class InPlace(TracingEngine):
    def step(self):
        loss, gradients = self.loss_and_gradients()
        for name, gradient in gradients.items():
            self.values[name] -= np.float32(self.learning_rate) * gradient
        return loss


class BlindTrace(HalvedWeight):
    def trace(self):
        raise LookupError("no trace")


class Unmakeable(TracingEngine):
    def __init__(self):
        self.weights = 1 / 0


class Lacking(__import__("parity").Engine):
    def build(self, task, start):
        pass


class NoEngine:
    pass
'''


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """README's adapter and its tests as written, and engines with defects, outside the package."""
    outside = tmp_path_factory.mktemp("outside")
    for name, code in re.findall(r"```python\n# (\w+\.py)\n(.*?)```", README, re.DOTALL):
        (outside / name).write_text(code, encoding="utf-8")
    (outside / "tracing.py").write_text(TRACING, encoding="utf-8")
    (outside / "broken.py").write_text("import no_such_library\n", encoding="utf-8")
    return outside


def parity(folder: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "parity", *arguments],
        cwd=folder,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def judged(folder: Path, engine: str, *arguments: str) -> tuple[int, dict[str, Any], str]:
    output = f"out-{engine.partition(':')[2]}"
    options = ("--quick", "--engine", engine, "--output", output)
    ended = parity(folder, "run", *arguments, *options)
    assert ended.returncode in (0, 1), ended.stderr
    document = json.loads((folder / output / "report.json").read_text())
    jsonschema.validate(document, schema())
    return ended.returncode, document, ended.stdout


def test_the_adapter_of_readme_passes_every_verdict_it_can_be_judged_by(folder: Path) -> None:
    status, document, said = judged(folder, "toy:ToyEngine", "1-8-1")
    (entry,) = document["architectures"]
    assert status == 0
    for name in ("gradients", "steps", "trajectory", "final_mse"):
        assert entry[name]["passed"] is True, name
    assert entry["start"] is entry["bitwise"] is document["probes"] is None
    assert entry["not_judged"] == {
        "start": "nothing is drawn by toy:ToyEngine",
        "bitwise": "no twin in reproducible arithmetic for toy:ToyEngine",
    }
    assert all(reason in " ".join(said.split()) for reason in entry["not_judged"].values())


def test_the_tests_of_readme_pass(folder: Path) -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider", "."]
    ended = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)
    assert ended.returncode == 0, ended.stdout
    passed, skipped = map(int, re.findall(r"(\d+) (?:passed|skipped)", ended.stdout))
    assert (passed, skipped) == (13, 9)
    assert "nothing is drawn by ToyEngine" in ended.stdout
    assert "does not have its momentum buffers" in ended.stdout


@pytest.mark.parametrize(
    ("engine", "place"),
    [
        ("HalvedWeight", ("backward", "2", "2.weight")),
        ("BarelyWrongBias", ("backward", "0", "0.bias")),
        ("AnotherRate", ("optimizer", "0", "0.weight")),
        ("Leaking", ("forward", "1", "output")),
    ],
)
def test_a_defect_is_caught_and_located(
    engine: str, place: tuple[str, str, str], folder: Path
) -> None:
    status, document, _ = judged(folder, f"tracing:{engine}", "1-8-1")
    assert status == 1
    node = document["architectures"][0]["steps"]["first_node"]
    assert (node["phase"], node["node"], node["tensor"]) == place


def test_the_sound_tracing_engine_is_not_failed(folder: Path) -> None:
    assert judged(folder, "tracing:TracingEngine", "1-8-1", "1-4-1")[0] == 0


def test_a_case_runs_no_engine_but_one_that_is_named(folder: Path) -> None:
    status, document, said = judged(folder, "tracing:HalvedWeight", "1-4-1")
    assert status == 1
    case = str(Path("out-HalvedWeight") / document["architectures"][0]["gradients"]["case"])
    assert f"parityreplay{case}--enginetracing:HalvedWeight" in "".join(said.split())
    (folder / "tracing.py").rename(folder / "away.py")
    (folder / "tracing.py").write_text("raise SystemExit('run')", encoding="utf-8")
    try:
        refused = parity(folder, "replay", case)
    finally:
        (folder / "away.py").rename(folder / "tracing.py")
    assert refused.returncode == 2
    assert "name it yourself: --engine tracing:HalvedWeight" in " ".join(refused.stderr.split())
    assert parity(folder, "replay", case, "--engine", "tracing:HalvedWeight").returncode == 1
    assert parity(folder, "replay", case, "--engine", "toy:ToyEngine").returncode == 0


def test_an_engine_may_change_what_it_is_given(folder: Path) -> None:
    assert judged(folder, "tracing:InPlace", "1-8-1")[0] == 0


def test_a_defect_of_the_trace_hides_none_of_the_engine(folder: Path) -> None:
    status, document, _ = judged(folder, "tracing:BlindTrace", "1-8-1")
    (entry,) = document["architectures"]
    assert status == 1
    assert entry["gradients"]["passed"] is entry["steps"]["passed"] is False
    assert entry["problem"]["error"] == "LookupError: no trace"
    assert (folder / "out-BlindTrace" / entry["gradients"]["case"]).exists()


def test_an_engine_that_raises_is_told_where(folder: Path) -> None:
    status, document, said = judged(folder, "tracing:Raising", "1-4-1")
    assert status == 1
    assert document["architectures"][0]["problem"]["error"] == "LookupError: no such step"
    assert "tracing:Raising raised LookupError: no such step" in " ".join(said.split())
    assert re.search(r"nosuchstep,instep,\S*tracing\.py:\d+", "".join(said.split()))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--engine", "nowhere:Engine"), "there is no module 'nowhere'"),
        (("--engine", "toy.inner:Engine"), "there is no module 'toy.inner'"),
        (("--engine", "toy:Engine"), "'toy:Engine' is no engine"),
        (("--engine", "tracing:NoEngine"), "must derive from parity.Engine"),
        (
            ("--engine", "tracing:Lacking"),
            "lacks loss_and_gradients, parameters, predict, step",
        ),
        (("--engine", "toy"), "unknown engine 'toy'"),
        (("--engine", ":ToyEngine"), "':ToyEngine' does not name a class"),
        (("--engine", ".toy:ToyEngine"), "does not name a class"),
        (("--engine", "tracing:Unmakeable"), "cannot be made: ZeroDivisionError: division by zero"),
        (("--engine", "broken:Engine"), "cannot be made: ModuleNotFoundError: No module named 'no"),
        (("--engine", "parity.engines.adapters.torch:TorchEngine"), "and that says nothing"),
        (("--engine", "toy:ToyEngine", "--momentum", "0.9"), "give --momentum 0"),
        (("--engine", "toy:ToyEngine", "--against", "toy:ToyEngine"), "agrees"),
    ],
)
def test_what_is_no_engine_is_refused(arguments: tuple[str, ...], said: str, folder: Path) -> None:
    ended = parity(folder, "run", "1-1", *arguments, "--output", "refused")
    assert ended.returncode == 2, ended.stderr
    assert said in " ".join(ended.stderr.split())
    assert "Traceback" not in ended.stderr
    assert not (folder / "refused" / "report.json").exists()


def test_an_entry_point_makes_an_engine_known(folder: Path, tmp_path: Path) -> None:
    information = tmp_path / "toy_engine-1.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: toy-engine\nVersion: 1.0\n")
    (information / "entry_points.txt").write_text("[parity.engines]\ntoy = toy:ToyEngine\n")
    path = os.pathsep.join(map(str, (tmp_path, folder)))
    listed = parity(tmp_path, "engines", PYTHONPATH=path)
    assert re.search("^toy +ready +of the package toy-engine$", listed.stdout, re.MULTILINE)
    ended = parity(tmp_path, "run", "1-2-1", "--quick", "--engine", "toy", PYTHONPATH=path)
    assert ended.returncode == 0, ended.stderr
    assert "toy and torch agree on 1 network as far as judged" in ended.stdout
