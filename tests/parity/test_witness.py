"""The exact witness agrees with torch in float64, and names who is wrong."""

import math
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from parity.checks.exact import kinds
from parity.checks.witness import Witness
from parity.checks.words import wrong_of
from parity.checks.wrong import wrong_in_step
from parity.engines.adapters.torch import TorchEngine
from parity.engines.peers.numpy_floor import NumpyFloorEngine
from parity.engines.process import LocalObject
from parity.engines.protocol import Array, Start, Task
from parity.engines.trainer import Trainer
from tests.minigrad.operations import FUZZ

CASES = 200 if FUZZ else 60


def random_case(seed: int) -> tuple[Task, Start, dict[str, Array]]:
    """A small network in the middle of its training, in the dtype and at the scale it may have."""
    random = np.random.default_rng(seed)
    sizes = tuple(random.integers(1, 5, random.integers(2, 5)))
    dtype = ("float32", "float64")[seed % 2]
    momentum = (0.0, 0.9)[seed // 2 % 2]
    task = Task(sizes, 1, 0.01, int(random.integers(1, 9)), seed, dtype, "cpu", momentum)

    def drawn(*shape: int) -> Array:
        return random.normal(0, 10.0 ** random.integers(-3, 3), shape).astype(dtype)

    parameters: dict[str, Array] = {}
    for i, (inputs, outputs) in enumerate(pairwise(sizes)):
        parameters |= {f"{2 * i}.weight": drawn(outputs, inputs), f"{2 * i}.bias": drawn(outputs)}
    start = Start(drawn(task.samples, sizes[0]), drawn(task.samples, sizes[-1]), parameters)
    buffers = {n: drawn(*a.shape) for n, a in parameters.items()} if seed // 4 % 2 else {}
    return task, start, buffers if momentum else {}


def by_torch(task: Task, start: Start, buffers: dict[str, Array]) -> dict[str, dict[str, Array]]:
    """The same step in float64, of the very same numbers; options are rounded as there."""
    engine: Any = TorchEngine()
    lr, momentum = (float(np.array(o, task.dtype)) for o in (task.learning_rate, task.momentum))
    engine.load(replace(task, dtype="float64", learning_rate=lr, momentum=momentum), doubled(start))
    engine.put({n: a.astype(float) for n, a in start.parameters.items()},
               {n: a.astype(float) for n, a in buffers.items()})  # fmt: skip
    loss, gradients = engine.loss_and_gradients()
    engine.step()
    found = {"loss": {"loss": np.array(loss)}, "gradients": gradients}
    found["updated"] = engine.parameters()
    return found | ({"buffers": engine.momentum_buffers()} if task.momentum else {})


def doubled(start: Start) -> Start:
    parameters = {name: array.astype(float) for name, array in start.parameters.items()}
    return Start(start.x.astype(float), start.y.astype(float), parameters)


@pytest.mark.parametrize("kind", list(kinds.MOST))
def test_it_agrees_with_torch_in_float64(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kinds, "MOST", {kind: 10**9})
    for seed in range(CASES if FUZZ or kind != "50 digits" else 40):
        task, start, buffers = random_case(seed)
        true = Witness(task, start, buffers).step()
        assert true is not None
        for kind, arrays in by_torch(task, start, buffers).items():
            size = max(np.abs(a).max() for a in arrays.values())
            for name, array in arrays.items():
                one_rounding = np.finfo(task.dtype).eps / 2 * np.abs(array)
                error = np.abs(true[kind][name].astype(float) - array)
                assert (error <= one_rounding + 1e-14 * size).all(), (seed, kind, name)


@pytest.mark.dear
def test_nodes_are_within_their_deviations_and_these_are_not_wide() -> None:
    """Of right engines, torch's own values: most are within one deviation, none beyond six."""
    used = []
    for seed in range(CASES):
        task, start, buffers = random_case(seed)
        engine: Any = TorchEngine()
        engine.load(task, start)
        engine.put(start.parameters, buffers)
        trace = {(t.phase, t.node, t.tensor): t for t in engine.trace()}
        for key, traced in trace.items():
            truth = Witness(task, start, buffers).node(trace, *key)
            assert truth is not None
            assert truth.value.dtype == traced.value.dtype
            error = np.abs(truth.value.astype(float) - traced.value)
            assert not error[truth.deviation == 0].any()
            used += (error[truth.deviation > 0] / truth.deviation[truth.deviation > 0]).tolist()
    assert max(used) < 6
    assert 0.05 < math.sqrt(np.mean(np.square(used))) < 1


def test_a_node_without_its_input_or_too_large_has_no_witness() -> None:
    task, start, buffers = random_case(3)
    witness = Witness(task, start, buffers)
    assert witness.node({}, "backward", "0", "0.weight") is None
    large = Task((1, 512, 512, 1), 1, 0.01, 100, 0, "float32", "cpu")
    engine: Any = TorchEngine()
    start = engine.draw(large)
    assert Witness(large, start, {}).step() is None


def test_what_is_not_finite_is_not_finite() -> None:
    task, start, _ = random_case(2)
    start.parameters["0.bias"][0] = np.nan
    true = Witness(task, start, {}).step()
    assert true is not None
    assert np.isnan(true["loss"]["loss"])
    start.parameters["0.bias"][0] = 0
    start.x[:] = np.finfo(task.dtype).max
    true = Witness(task, start, {}).step()
    assert true is not None
    assert not np.isfinite(true["loss"]["loss"])


class Scaled(NumpyFloorEngine):
    """Cannot show its steps, and has gradients that are too large."""

    def loss_and_gradients(self) -> tuple[float, dict[str, Array]]:
        loss, gradients = super().loss_and_gradients()
        return loss, {n: (g * np.float32(1.001)).astype(g.dtype) for n, g in gradients.items()}


@pytest.mark.parametrize(
    ("actual", "expected", "wrong"),
    [
        (Scaled, TorchEngine, "actual"),
        (TorchEngine, Scaled, "expected"),
        (NumpyFloorEngine, TorchEngine, "neither"),
        (Scaled, Scaled, None),
    ],
)
def test_engines_that_show_nothing_are_told_apart(
    actual: Any, expected: Any, wrong: str | None
) -> None:
    task = Task((1, 4, 1), 1, 0.01, 20, 0, "float32", "cpu")
    start = TorchEngine().draw(task)
    ours, theirs = (LocalObject(Trainer(engine)) for engine in (actual, expected))
    assert wrong_in_step(ours, theirs, task, start, {}) == wrong


def test_who_is_wrong() -> None:
    assert [wrong_of(a, e) for a in (True, False) for e in (True, False)] == [
        None, "expected", "actual", "both",
    ]  # fmt: skip
