"""Other engines, through their adapters: they compute what minigrad computes, within its budget."""

import importlib
import importlib.util
import shutil
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from parity.checks.budget import BudgetedStep
from parity.checks.gradients import compare
from parity.engines.adapters.minigrad import MinigradEngine
from parity.engines.adapters.minigrad_ensemble import spread
from parity.engines.protocol import Engine, Start, Task
from parity.errors import UsageError

PEERS = {
    "autograd": "AutogradEngine",
    "jax": "JaxEngine",
    "micrograd": "MicrogradEngine",
    "mygrad": "MyGradEngine",
    "numpy_floor": "NumpyFloorEngine",
    "tinygrad": "TinygradEngine",
}
TASK = Task((1, 4, 3, 1), 20, 0.01, 10, 2, "float32", "cpu")


@pytest.fixture(params=PEERS)
def peer(request: pytest.FixtureRequest) -> Engine:
    if request.param != "numpy_floor":
        pytest.importorskip(request.param)
    if request.param == "tinygrad" and shutil.which("clang") is None:
        pytest.skip("tinygrad needs clang")
    engine: Engine = made(request.param, PEERS[request.param])
    return engine


def made(module: str, name: str) -> Any:
    return getattr(importlib.import_module(f"parity.engines.peers.{module}"), name)()


def drawn(task: Task) -> Start:
    return MinigradEngine().draw(task)


def loss_of(engine: Engine, step: object) -> float:
    engine.synchronize()
    return float(step)  # type: ignore[arg-type]


@pytest.mark.parametrize(("dtype", "momentum"), [("float32", 0.9), ("float64", 0.0)])
def test_every_step_is_within_its_budget(peer: Engine, dtype: str, momentum: float) -> None:
    """From the same parameters and buffers: loss, gradients, new parameters and new buffers."""
    task = replace(TASK, dtype=dtype, momentum=momentum)
    start = drawn(task)
    budgeted = BudgetedStep(task, start)
    reference = MinigradEngine()
    reference.load(task, start)
    peer.load(task, start)
    for _ in range(4):
        parameters, buffers = reference.parameters(), reference.momentum_buffers()
        budget = budgeted(parameters, buffers)
        peer.put(parameters, buffers)
        loss, gradients = peer.loss_and_gradients()
        _, expected = reference.loss_and_gradients()
        assert compare(gradients, expected, budget.gradients).passed
        before = reference.step()
        assert loss_of(peer, peer.step()) == pytest.approx(loss, rel=1e-6)
        assert loss == pytest.approx(float(before), rel=1e-5)  # type: ignore[arg-type]
        found = peer.parameters()
        assert compare(found, reference.parameters(), budget.parameters, "updated").passed
        assert peer.momentum_buffers().keys() == reference.momentum_buffers().keys()
        if momentum:
            assert compare(
                peer.momentum_buffers(), reference.momentum_buffers(), budget.momentum_buffers, "b"
            ).passed


def test_it_trains_and_predicts(peer: Engine) -> None:
    start = drawn(TASK)
    reference = MinigradEngine()
    for engine in (reference, peer):
        engine.load(TASK, start)
        for _ in range(TASK.epochs):
            engine.step()
        engine.synchronize()
    assert peer.predict().shape == (10, 1)
    assert peer.predict().dtype == np.float32
    np.testing.assert_allclose(peer.predict(), reference.predict(), rtol=1e-4, atol=1e-4)


def test_what_it_returns_are_copies(peer: Engine) -> None:
    start = drawn(TASK)
    given = {name: value.copy() for name, value in start.parameters.items()}
    peer.load(TASK, start)
    before = peer.parameters()
    kept = {name: value.copy() for name, value in before.items()}
    peer.step()
    peer.synchronize()
    for name, value in kept.items():
        np.testing.assert_array_equal(before[name], value)
        np.testing.assert_array_equal(start.parameters[name], given[name])
    assert any((peer.parameters()[name] != value).any() for name, value in kept.items())


def test_a_second_task_starts_anew(peer: Engine) -> None:
    start = drawn(TASK)
    peer.load(replace(TASK, momentum=0.9), start)
    peer.step()
    other = replace(TASK, sizes=(1, 2, 1), seed=3, samples=6)
    peer.load(other, drawn(other))
    assert peer.momentum_buffers() == {}
    assert [v.shape for v in peer.parameters().values()] == [(2, 1), (2,), (1, 2), (1,)]
    assert peer.predict().shape == (6, 1)


def test_micrograd_refuses_what_would_not_fit_into_memory() -> None:
    pytest.importorskip("micrograd")
    task = replace(TASK, sizes=(1, 512, 512, 1), samples=100)
    with pytest.raises(UsageError, match=r"26,\d{3},\d{3} products in a step, about \d+ GiB"):
        made("micrograd", "MicrogradEngine").load(task, drawn(task))


def test_the_compiled_loop_takes_the_steps_that_single_ones_do() -> None:
    pytest.importorskip("jax")
    engine = made("jax", "JaxScanEngine")
    for momentum in (0.0, 0.9):
        task = replace(TASK, momentum=momentum)
        start = drawn(task)
        engine.load(task, start)
        losses = engine.loop()
        engine.synchronize()
        at_once = engine.parameters()
        engine.put(start.parameters)
        single = [float(engine.step()) for _ in range(engine.STEPS)]
        np.testing.assert_allclose(losses, single, rtol=1e-4)
        for name, value in engine.parameters().items():
            np.testing.assert_allclose(at_once[name], value, rtol=1e-3, atol=1e-5)


def test_the_loop_of_many_seeds_trains_each_as_if_it_were_alone() -> None:
    pytest.importorskip("jax")
    engine, alone = made("jax", "JaxVmapEngine"), made("jax", "JaxScanEngine")
    task = replace(TASK, momentum=0.9, learning_rate=1e-3)
    start = drawn(task)
    engine.load(task, start)
    losses = np.array(engine.loop())
    engine.synchronize()
    trained = engine.seeds()
    others = spread(start, len(losses[0]))
    assert engine.STEPS == losses.size == engine.EPOCHS * len(others.y)
    np.testing.assert_array_equal(others.y[0], start.y)
    values = {name: value[-1] for name, value in others.parameters.items()}
    alone.load(task, Start(start.x, others.y[-1], values))
    np.testing.assert_allclose(losses[:, -1], alone.loop(), rtol=1e-4)
    for name, value in alone.parameters().items():
        np.testing.assert_allclose(trained[name][-1], value, rtol=1e-3, atol=1e-5)
    engine.put(start.parameters)
    np.testing.assert_array_equal(losses, engine.loop())
