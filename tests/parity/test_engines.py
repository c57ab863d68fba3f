"""What every adapter owes: state that can be set and read, and traces that are steps."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from parity.engines.protocol import Array, DrawingEngine, Engine, Start, Task, TracingEngine
from parity.engines.registry import ENGINES, factory, reproducible

DTYPES = pytest.mark.parametrize("dtype", ["float32", "float64"])
MOMENTA = pytest.mark.parametrize("momentum", [0.0, 0.9])
TRACING = [
    pytest.param(name, device, marks=[pytest.mark.cuda] * (device == "cuda"))
    for name in ("minigrad", "minigrad-reproducible", "torch", "torch-reproducible")
    for device in ("cpu", "cuda")[: 1 + ENGINES[name].cuda]
]
ALL = pytest.mark.parametrize(("name", "device"), TRACING)


def task(dtype: str, momentum: float, device: str = "cpu", **changes: Any) -> Task:
    settings = {"epochs": 3, "learning_rate": 0.01, "samples": 20, "seed": 3} | changes
    return Task(sizes=(1, 5, 4, 1), dtype=dtype, momentum=momentum, device=device, **settings)


def loaded(name: str, asked: Task) -> tuple[Engine, Start]:
    if asked.device == "cuda":
        torch = pytest.importorskip("torch")
        if not torch.cuda.is_available():
            pytest.skip("there is no GPU")
    engine = factory(name)()
    assert isinstance(engine, DrawingEngine)
    start = engine.draw(asked)
    engine.load(asked, start)
    return engine, start


def same(actual: dict[str, Array], expected: dict[str, Array]) -> bool:
    assert list(actual) == list(expected)
    return all(actual[n].tobytes() == a.tobytes() for n, a in expected.items())


@ALL
@DTYPES
@MOMENTA
def test_state_is_set_as_it_was_read(name: str, device: str, dtype: str, momentum: float) -> None:
    engine, start = loaded(name, task(dtype, momentum, device))
    assert engine.momentum_buffers() == {}
    first = engine.step()
    parameters, buffers = engine.parameters(), engine.momentum_buffers()
    assert list(buffers) == (list(parameters) if momentum else [])
    assert all(buffer.dtype == dtype for buffer in buffers.values())
    kept = {name: buffer.copy() for name, buffer in buffers.items()}
    engine.step()
    after, buffers_after = engine.parameters(), engine.momentum_buffers()
    assert same(buffers, kept)  # the buffers that were returned are copies
    if momentum:
        assert not same(buffers_after, buffers)
    engine.put(parameters, buffers)
    assert same(engine.momentum_buffers(), buffers)
    engine.step()
    assert same(engine.parameters(), after)
    assert same(engine.momentum_buffers(), buffers_after)
    assert same(buffers, kept)  # and those that were given were copied
    engine.put(start.parameters)
    assert engine.momentum_buffers() == {}
    assert float(engine.step()) == float(first)  # type: ignore[arg-type]
    assert same(engine.parameters(), parameters)


@ALL
@DTYPES
@MOMENTA
def test_a_trace_is_a_step(name: str, device: str, dtype: str, momentum: float) -> None:
    engine, _ = loaded(name, task(dtype, momentum, device))
    assert isinstance(engine, TracingEngine)
    engine.step()
    parameters, buffers = engine.parameters(), engine.momentum_buffers()
    loss, gradients = engine.loss_and_gradients()
    engine.step()
    after, buffers_after = engine.parameters(), engine.momentum_buffers()
    engine.put(parameters, buffers)
    trace = engine.trace()
    assert same(engine.parameters(), after)
    assert same(engine.momentum_buffers(), buffers_after)

    def found(phase: str, tensors: dict[str, Array], suffix: str = "") -> dict[str, Array]:
        named = {t.tensor: t.value for t in trace if t.phase == phase}
        return {name: named[name + suffix] for name in tensors}

    assert same(found("backward", gradients), gradients)
    assert same(found("optimizer", after), after)
    assert same(found("optimizer", buffers_after, ".momentum_buffer"), buffers_after)
    values = {(t.phase, t.node): t.value for t in trace}
    assert float(values["forward", "loss"]) == loss
    assert values["forward", "4"].shape == (20, 1)
    assert np.array_equal(values["forward", "1"], np.maximum(values["forward", "0"], 0))
    assert all(t.value.dtype == dtype for t in trace)


@pytest.mark.parametrize("name", ["minigrad", "torch", "torch-reproducible"])
def test_a_trace_is_in_the_order_of_computing(name: str) -> None:
    engine, _ = loaded(name, task("float32", 0.9))
    assert isinstance(engine, TracingEngine)
    assert [(t.phase, t.node, t.operation, t.tensor) for t in engine.trace()] == [
        ("forward", "0", "Linear", "output"),
        ("forward", "1", "ReLU", "output"),
        ("forward", "2", "Linear", "output"),
        ("forward", "3", "ReLU", "output"),
        ("forward", "4", "Linear", "output"),
        ("forward", "loss", "MSELoss", "output"),
        ("backward", "loss", "MSELoss", "output"),
        ("backward", "loss", "MSELoss", "input"),
        ("backward", "4", "Linear", "4.weight"),
        ("backward", "4", "Linear", "4.bias"),
        ("backward", "4", "Linear", "input"),
        ("backward", "3", "ReLU", "input"),
        ("backward", "2", "Linear", "2.weight"),
        ("backward", "2", "Linear", "2.bias"),
        ("backward", "2", "Linear", "input"),
        ("backward", "1", "ReLU", "input"),
        ("backward", "0", "Linear", "0.weight"),
        ("backward", "0", "Linear", "0.bias"),
        *(
            ("optimizer", layer, "SGD", f"{layer}.{parameter}{what}")
            for layer in "024"
            for parameter in ("weight", "bias")
            for what in (".momentum_buffer", "")
        ),
    ]


@DTYPES
@pytest.mark.parametrize("momentum", [0.5, 0.99])
@pytest.mark.parametrize("learning_rate", [0.01, 200.0])
def test_reproducible_momentum_has_the_same_bits(
    momentum: float, learning_rate: float, dtype: str
) -> None:
    """Far into divergence, too: at the largest rate everything ends in NaN."""
    asked = task(dtype, momentum, learning_rate=learning_rate, samples=100, seed=8)
    ours, start = loaded("minigrad-reproducible", asked)
    theirs, _ = loaded("torch-reproducible", asked)
    theirs.load(asked, start)
    for _ in range(60):
        losses = [np.array(float(engine.step())) for engine in (ours, theirs)]  # type: ignore[arg-type]
        states = [
            {"loss": loss}
            | engine.parameters()
            | {f"{n} buffer": b for n, b in engine.momentum_buffers().items()}
            for engine, loss in zip((ours, theirs), losses, strict=True)
        ]
        assert len(states[0]) == 13
        assert same(*({n: _canonical(a) for n, a in state.items()} for state in states))
    assert np.isfinite(losses[0]) == (learning_rate < 200)


def _canonical(array: Array) -> Array:
    return np.where(np.isnan(array), np.nan, array).astype(array.dtype)


@DTYPES
@MOMENTA
def test_captured_steps_are_the_eager_ones_in_every_bit(dtype: str, momentum: float) -> None:
    asked = task(dtype, momentum, "cpu")
    (eager, start), (captured, _) = (loaded(n, asked) for n in ("minigrad", "minigrad-captured"))
    for epoch in range(12):
        if epoch == 6:  # as `steps` does: another state, then on from there
            for engine in (eager, captured):
                engine.put(start.parameters, eager.momentum_buffers())
        assert eager.loss_and_gradients()[0] == captured.loss_and_gradients()[0]
        assert same(captured.loss_and_gradients()[1], eager.loss_and_gradients()[1])
        assert float(eager.step()) == float(captured.step())  # type: ignore[arg-type]
        assert same(captured.parameters(), eager.parameters())
        assert same(captured.momentum_buffers(), eager.momentum_buffers())
    assert np.array_equal(captured.predict(), eager.predict())


@pytest.mark.parametrize("name", ["minigrad-captured", "torch-compile"])
def test_the_eager_twin_does_not_vouch_for_steps_that_are_recorded_or_compiled(name: str) -> None:
    assert reproducible(name) is None
