"""Engines from outside the package, by the public protocol alone."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from parity.engines.registry import factory
from parity.errors import EngineFailedError, UsageError
from parity.testing import Check
from tests.parity.commands import Finished, parity, report, words

README = (Path(__file__).parents[2] / "parity" / "README.md").read_text(encoding="utf-8")

TRACING = '''
import numpy as np

from parity import Engine, Traced
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


class Lacking(Engine):
    def build(self, task, start):
        pass


class NoEngine:
    pass
'''


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """README's adapter as written, and engines with defects, outside the package."""
    outside = tmp_path_factory.mktemp("outside")
    for name, code in re.findall(r"```python\n# (\w+\.py)\n(.*?)```", README, re.DOTALL):
        (outside / name).write_text(code, encoding="utf-8")
    (outside / "tracing.py").write_text(TRACING, encoding="utf-8")
    (outside / "broken.py").write_text("import no_such_library\n", encoding="utf-8")
    (outside / "careless.py").write_text("raise LookupError('at once')\n", encoding="utf-8")
    return outside


@pytest.fixture(autouse=True)
def inside(folder: Path, monkeypatch: pytest.MonkeyPatch, here: None) -> Iterator[None]:
    """Work in that folder, where the engines can be imported; forget them in the end."""
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "path", [*sys.path])
    yield
    for name in ("toy", "tracing", "broken"):
        sys.modules.pop(name, None)


def judged(engine: str, *arguments: str) -> tuple[Finished, dict[str, Any]]:
    """Run the main job on an engine; return how it ended, and its report."""
    ended = parity("run", *arguments, "--quick", "--engine", engine, "--output", "out")
    assert ended.returncode in (0, 1), ended.stderr
    return ended, report(Path("out"))


def test_the_adapter_of_readme_passes_every_verdict_it_can_be_judged_by() -> None:
    ended, document = judged("toy:ToyEngine", "1-8-1")
    (entry,) = document["architectures"]
    assert ended.returncode == 0
    for name in ("gradients", "steps", "free_steps", "accuracy", "trajectory", "final_mse"):
        assert entry[name]["passed"] is True, name
    assert entry["start"] is entry["bitwise"] is document["probes"] is None
    assert entry["not_judged"] == {
        "start": "nothing is drawn by toy:ToyEngine",
        "bitwise": "no twin in reproducible arithmetic for toy:ToyEngine",
    }
    assert all(reason in words(ended.stdout) for reason in entry["not_judged"].values())


@pytest.mark.parametrize(
    ("engine", "place"),
    [
        ("HalvedWeight", "the gradient of 2.weight, in linear_backward_weight"),
        ("BarelyWrongBias", "the gradient of 0.bias, in linear_backward_bias"),
        ("AnotherRate", "the updated 0.weight, in SGD.step"),
        ("Leaking", "the output of layer 1 (ReLU), in relu"),
    ],
)
def test_a_defect_is_caught_and_located(engine: str, place: str) -> None:
    with pytest.raises(AssertionError, match=re.escape(f"tracing:{engine} is wrong: {place}, is ")):
        Check("steps", "1-8-1", "float32")(f"tracing:{engine}")


@pytest.mark.parametrize("engine", ["TracingEngine", "InPlace"])
def test_a_sound_engine_is_not_failed(engine: str) -> None:
    """Nor one that changes in place what it is given."""
    for verdict in ("gradients", "steps", "free_steps", "accuracy", "trajectory", "final_mse"):
        Check(verdict, "1-8-1", "float32")(f"tracing:{engine}")


@pytest.mark.dear
def test_a_case_runs_no_engine_but_one_that_is_named(folder: Path) -> None:
    ended, document = judged("tracing:HalvedWeight", "1-4-1", "--against", "minigrad")
    assert ended.returncode == 1
    case = str(Path("out") / document["architectures"][0]["gradients"]["case"])
    typed = f"parityreplay{case}--enginetracing:HalvedWeight"
    assert typed in "".join(ended.stdout.split())
    (folder / "tracing.py").rename(folder / "away.py")
    (folder / "tracing.py").write_text("raise SystemExit('run')", encoding="utf-8")
    try:
        refused = parity("replay", case)
    finally:
        (folder / "away.py").rename(folder / "tracing.py")
    assert refused.returncode == 2
    assert "name it yourself: --engine tracing:HalvedWeight" in words(refused.stderr)
    assert parity("replay", case, "--engine", "tracing:HalvedWeight").returncode == 1
    assert parity("replay", case, "--engine", "toy:ToyEngine").returncode == 0


@pytest.mark.dear
def test_a_defect_of_the_trace_hides_none_of_the_engine() -> None:
    ended, document = judged("tracing:BlindTrace", "1-4-1", "--against", "minigrad")
    (entry,) = document["architectures"]
    assert ended.returncode == 1
    assert entry["gradients"]["passed"] is entry["steps"]["passed"] is False
    assert entry["problem"]["error"] == "LookupError: no trace"
    assert (Path("out") / entry["gradients"]["case"]).exists()


def test_an_engine_that_raises_is_told_where() -> None:
    ended, document = judged("tracing:Raising", "1-4-1", "--against", "minigrad")
    assert ended.returncode == 1
    assert document["architectures"][0]["problem"]["error"] == "LookupError: no such step"
    assert "tracing:Raising raised LookupError: no such step" in words(ended.stdout)
    assert re.search(r"nosuchstep,instep,\S*tracing\.py:\d+", "".join(ended.stdout.split()))


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("nowhere:Engine", "there is no module 'nowhere'"),
        ("toy.inner:Engine", "there is no module 'toy.inner'"),
        ("toy:Engine", "'toy:Engine' is no engine"),
        ("tracing:NoEngine", "must derive from parity.Engine"),
        ("tracing:Lacking", "lacks loss_and_gradients, parameters, predict, step"),
        ("toy", "unknown engine 'toy'"),
        (":ToyEngine", "':ToyEngine' does not name a class"),
        (".toy:ToyEngine", "does not name a class"),
        ("broken:Engine", "cannot be made: ModuleNotFoundError: No module named 'no"),
    ],
)
def test_what_is_no_engine_is_refused(name: str, said: str) -> None:
    with pytest.raises(UsageError, match=re.escape(said)):
        factory(name)()


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("tracing:Unmakeable", "ZeroDivisionError: division by zero, in __init__, "),
        ("careless:Engine", "LookupError: at once, in <module>, "),
    ],
)
def test_one_that_cannot_be_made_has_failed(name: str, said: str) -> None:
    with pytest.raises(EngineFailedError, match=f"cannot be made: {re.escape(said)}"):
        factory(name)()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("broken:Engine",), "cannot be made: ModuleNotFoundError: No module named 'no"),
        (("toy:ToyEngine", "--momentum", "0.9"), "give --momentum 0"),
        (("toy:ToyEngine", "--against", "toy:ToyEngine"), "agrees"),
        (("parity.engines.peers.numpy_floor:NumpyFloorEngine",), "and that says nothing"),
    ],
)
def test_the_command_says_what_is_refused(options: tuple[str, ...], said: str) -> None:
    against = ("--against", "numpy-floor", "--output", "refused")
    ended = parity("run", "1-1", *against, "--engine", *options)
    assert ended.returncode == 2, ended.stderr
    assert said in words(ended.stderr)
    assert "Traceback" not in ended.stderr
    assert not Path("refused/report.json").exists()


def test_an_entry_point_makes_an_engine_known(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    information = tmp_path / "toy_engine-1.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: toy-engine\nVersion: 1.0\n")
    (information / "entry_points.txt").write_text("[parity.engines]\ntoy = toy:ToyEngine\n")
    monkeypatch.chdir(tmp_path)
    for place in (folder, tmp_path):
        monkeypatch.syspath_prepend(place)
    listed = parity("engines").stdout
    assert re.search("^toy +ready +of the package toy-engine$", listed, re.MULTILINE)
    ended = parity("run", "1-2-1", "--quick", "--engine", "toy", "--against", "minigrad")
    assert ended.returncode == 0, ended.stderr
    assert "toy and minigrad agree on 1 network as far as judged" in ended.stdout
