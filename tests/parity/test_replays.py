"""Captured steps and ensembles: judged and located by what they replay, on data that change."""

from collections.abc import Callable, Container, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import minigrad
from minigrad import nn
from parity.checks.bitwise import check_bitwise
from parity.checks.match import Match
from parity.checks.verdicts import VERDICTS, located
from parity.engines.adapters.minigrad import MinigradCapturedEngine, MinigradEngine
from parity.engines.adapters.together import Together
from parity.engines.process import LocalObject
from parity.engines.protocol import Array, Engine, Start, Task
from parity.engines.registry import factory, reproducible
from parity.engines.trainer import Trainer
from parity.evidence.detection.defect import DEFECTS, Defect, planted
from parity.probes import share
from parity.probes.notes import Key, Notes
from parity.probes.probe import Probe, given, integers, probe, probes_of
from parity.probes.run import replay_probe, run_probe
from parity.probes.suite import ensembles, steps
from parity.report.findings import findings
from tests.minigrad.operations import FUZZ
from tests.parity.spoiler import located_by_probes, named, verdict
from tests.parity.stateful_engines import Plain

TASK = Task((1, 6, 6, 1), 2, 0.01, 50, 3, "float32", "cpu", 0.9)


def local(engine: Callable[[], Engine] | str) -> LocalObject[Trainer]:
    return LocalObject(Trainer(factory(engine) if isinstance(engine, str) else engine))


def drawn() -> Start:
    return MinigradEngine().draw(TASK)


def gradients_pass(actual: Callable[[], Engine] | str) -> bool:
    sides = local(actual), local("torch")
    return bool(Match(sides, TASK, drawn()).gradients["passed"])


@pytest.mark.parametrize("engine", ["minigrad", "minigrad-captured", "minigrad-ensemble"])
def test_right_engines_pass(engine: str) -> None:
    assert gradients_pass(engine)


# ---- data that change ---------------------------------------------------------------------------


class FirstTarget(nn.Module):
    """The mean squared error from the first target that it was given."""

    def forward(self, prediction: minigrad.Tensor, y: minigrad.Tensor) -> minigrad.Tensor:
        if not hasattr(self, "target"):
            self.target = y.clone()
        return nn.functional.mse_loss(prediction, self.target)


class KeepsItsTarget(MinigradEngine):
    def _loss(self, task: Task) -> Any:
        return FirstTarget()


class KeepsItsCapturedTarget(MinigradCapturedEngine):
    def _loss(self, task: Task) -> Any:
        return FirstTarget()


class KeepsItsInputs(MinigradCapturedEngine):
    """A captured step on the first data: others do not reach it."""

    def put_data(self, x: Array, y: Array, *more: Array) -> None:
        pass


class CachesByShape(Plain):
    """The five methods: what is built again for data of the same shape is what was built before."""

    def build(self, task: Task, start: Start) -> None:
        self.seen: dict[Any, tuple[Array, Array]] = getattr(self, "seen", {})
        super().build(task, start)
        self.x, self.y = self.seen.setdefault(start.x.shape, (self.x, self.y))


@pytest.mark.parametrize(
    "engine", [KeepsItsTarget, KeepsItsCapturedTarget, KeepsItsInputs, CachesByShape]
)
def test_an_engine_that_keeps_its_first_data_fails(engine: Callable[[], Engine]) -> None:
    assert not gradients_pass(engine)


class WrongReplay(MinigradCapturedEngine):
    """Its recording calls are right, and what they record is not."""

    calls = 0

    def loss_and_gradients(self) -> tuple[float, dict[str, Array]]:
        self.calls += 1
        loss, gradients = super().loss_and_gradients()
        return loss, {n: a * np.float32(1 + (self.calls > 1)) for n, a in gradients.items()}


def test_the_gradients_that_are_judged_are_those_of_a_replay() -> None:
    assert not gradients_pass(WrongReplay)


# ---- planted defects ----------------------------------------------------------------------------


@probe(x=lambda rng: rng.standard_normal((30, 20)), y=lambda rng: rng.standard_normal((30, 20)))
def chosen(lib: Any, inputs: Any, note: Any) -> Any:
    x, y = inputs.values()
    return (note("chosen", lib.where(x > 0, x, y)) * y).sum()


@probe(x=lambda rng: rng.standard_normal((40, 40)))
def summed(lib: Any, inputs: Any, note: Any) -> Any:
    (x,) = inputs.values()
    note("rows", x.sum(dim=1))
    return (note("columns", x.sum(dim=0, keepdim=True)) * x).sum()


@probe(x=integers(4), y=integers(3))
def picked(lib: Any, inputs: Any, note: Any) -> Any:
    x, y = inputs.values()
    note("outer", x.reshape(2, 2, 1) @ y.reshape(1, 1, 3))
    total = lib.zeros(3)
    total += y
    note("total", total)
    return (x[lib.tensor([0, 0, 2])] * y).sum()


@probe(x=given(0.0, -0.0, 1.5, -2.0, 0.25, 0.5))
def kinked(lib: Any, inputs: Any, note: Any) -> Any:
    (x,) = inputs.values()
    return (note("relu", lib.relu(x)) * 0.7 * 0.2).sum()


@probe(x=integers(3))
def trained(lib: Any, inputs: Any, note: Any) -> None:
    p = note.leaf("x")
    optimizer = lib.optim.SGD([p], lr=0.5)

    def once(factor: int) -> None:
        optimizer.zero_grad()
        ((p * p * factor).sum() / 4).backward()
        optimizer.step()

    step = note.captured(once)
    for number, (rate, factor) in enumerate([(0.5, 1), (0.5, 1), (0.25, 1), (0.25, 2)]):
        optimizer.param_groups[0]["lr"] = rate
        step(factor)
        note.updated(f"p{number}", p)


PROBED = [chosen, summed, picked, kinked, trained]


def by_replay(each: Probe) -> dict[Key, Any]:
    with np.errstate(all="ignore"):
        outcome = replay_probe(minigrad, minigrad.capture, each, "float32", 0)
    return outcome.values if outcome.problem is None else {}


def eagerly(each: Probe) -> dict[Key, Any]:
    notes = Notes(lambda a: minigrad.tensor(a).requires_grad_(), each.draw("float32", 0))
    assert run_probe(minigrad, each, notes) is None
    return notes.values


def same(actual: Mapping[Key, Any], expected: Mapping[Key, Any]) -> bool:
    return list(actual) == list(expected) and all(
        np.array_equal(actual[key], value) for key, value in expected.items()
    )


EAGERLY = [eagerly(each) for each in PROBED]


def test_replayed_probes_have_the_bits_of_eager_ones() -> None:
    assert all(same(by_replay(each), found) for each, found in zip(PROBED, EAGERLY, strict=True))


PROBES: dict[str, Container[str]] = {
    "minigrad-captured": probes_of((steps,)),
    "minigrad-ensemble": [*probes_of((ensembles,)), *ensembles.FAMILY.share(0)],
}
"""What an engine runs in a way of its own."""


@pytest.mark.parametrize(
    "defect",
    [d for d in DEFECTS if d.engine != "minigrad"][:: 1 if FUZZ else 4],
    ids=lambda defect: str(defect.name),
)
def test_a_defect_of_replays_is_caught(defect: Defect) -> None:
    """By the steps of a network, or by probes, and then at the right place; or in some bit."""
    task = replace(TASK, dtype=defect.dtype)
    with planted(defect):
        start = MinigradEngine().draw(task)
        match = Match((local(defect.engine), local("torch")), task, start)
        entry = match.stepped("steps")
        if entry["passed"]:
            engine = factory(defect.engine)()
            names = [n for n in share(0) if n in PROBES[defect.engine] or n in defect.nodes]
            by = {"capture": engine.capture, "together": engine.together}
            found = located_by_probes(names, defect.nodes, defect.dtype, **by)
            assert found or (found is None and differs(defect, task, start))
            return
        place = located(match, VERDICTS["steps"], entry)
    node = place["first_node"]
    assert node is None or node["rule"] in defect.nodes
    if node and node.get("problem"):  # it has another dtype, or is missing
        return
    assert place["wrong"] == "actual"
    if node:
        said = " ".join(finding({**entry, **place}, defect.engine))
        assert f"{defect.engine} is wrong" in said
        assert all(call in said for call in node["calls"])


@pytest.mark.parametrize(
    "defect",
    [d for d in DEFECTS if d.engine == "minigrad-ensemble"][:: 1 if FUZZ else 3],
    ids=lambda defect: str(defect.name),
)
def test_probes_of_an_ensemble_name_what_it_alone_runs(defect: Defect) -> None:
    """The judge trains the networks one by one, and its functions are right."""
    names = [name for name in share(0) if name in PROBES["minigrad-ensemble"]]
    with planted(defect):
        found = verdict(names, defect.dtype, together=Together)["failed"]
    assert named(found, defect.nodes)


def differs(defect: Defect, task: Task, start: Start) -> bool:
    """Return whether bits differ from those of eager minigrad, or of torch's twin."""
    if defect.engine == "minigrad-ensemble":
        twin, other = (local(str(reproducible(name))) for name in (defect.engine, "torch"))
        return not check_bitwise(twin, other, task, start)["passed"]
    return not all(map(same, [by_replay(each) for each in PROBED], EAGERLY))


def finding(steps: Mapping[str, Any], engine: str) -> list[str]:
    network = {"name": "1-6-6-1", "passed": False, **dict.fromkeys(VERDICTS), "steps": steps}
    settings = {"seed": 3, "dtype": "float32", "device": "cpu"}
    settings |= {"engine": engine, "against": "torch"}
    document = {"passed": False, "settings": settings, "architectures": [network]}
    (found,) = findings(document)
    return [found.sentence, *found.details]
