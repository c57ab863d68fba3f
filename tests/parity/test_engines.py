"""What every adapter owes: state that can be set and read, and traces that are steps."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from parity.checks.start import check_start
from parity.engines.process import together
from parity.engines.protocol import Array, DrawingEngine, Engine, Start, Task, TracingEngine
from parity.engines.registry import ENGINES, factory, reproducible
from parity.engines.trainer import Trainer
from parity.errors import UsageError

DTYPES = pytest.mark.parametrize("dtype", ["float32", "float64"])
MOMENTA = pytest.mark.parametrize("momentum", [0.0, 0.9])
TRACING = [
    pytest.param(name, device, marks=[pytest.mark.cuda] * (device == "cuda"))
    for name, known in ENGINES.items()
    if name.startswith(("minigrad", "torch")) and name != "torch-compile"
    for device in ("cpu", "cuda")[: 1 + known.cuda]
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
def test_predictions_are_the_networks_output(name: str, device: str, dtype: str) -> None:
    engine, _ = loaded(name, task(dtype, 0.0, device))
    prediction = engine.predict()
    assert isinstance(engine, TracingEngine)
    outputs = [x.value for x in engine.trace() if (x.phase, x.operation) == ("forward", "Linear")]
    assert prediction.shape == (20, 1)
    np.testing.assert_array_equal(prediction, outputs[-1])


@DTYPES
def test_engines_predict_alike(dtype: str) -> None:
    asked = task(dtype, 0.0)
    theirs, start = loaded("torch", asked)
    ours = factory("minigrad")()
    ours.load(asked, start)
    for engine in (ours, theirs):
        engine.step()
    allowed = 1e4 * float(np.finfo(dtype).eps) / 2
    np.testing.assert_allclose(ours.predict(), theirs.predict(), atol=allowed)


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
@pytest.mark.parametrize("learning_rate", [0.01, 200.0])
def test_reproducible_momentum_has_the_same_bits(learning_rate: float, dtype: str) -> None:
    """Far into divergence, too: at the largest rate everything ends in NaN."""
    asked = task(dtype, momentum=0.99, learning_rate=learning_rate, samples=100, seed=8)
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


@ALL
def test_what_an_engine_promises(name: str, device: str) -> None:
    job = task("float32", 0.0, device)
    engine, first = loaded(name, job)
    assert isinstance(engine, DrawingEngine)
    assert check_start(engine.draw(job), first)["passed"] is True
    assert check_start(engine.draw(replace(job, seed=4)), first)["passed"] is False
    loss, gradients = engine.loss_and_gradients()
    parameters = engine.parameters()
    again, gradients_again = engine.loss_and_gradients()
    assert loss == again  # no parameter has changed, and no gradient is left over
    assert same(gradients_again, gradients)
    assert same(parameters, first.parameters)
    loss_of_step = engine.step()
    engine.synchronize()
    assert float(loss_of_step) == loss  # type: ignore[arg-type]
    assert same(parameters, first.parameters)  # copies
    for each, value in engine.parameters().items():
        expected = parameters[each] - np.float32(job.learning_rate) * gradients[each]
        np.testing.assert_allclose(value, expected, rtol=1e-5, atol=1e-7)
    prediction = engine.predict()
    assert prediction.shape == (20, 1)
    new_loss, _ = engine.loss_and_gradients()
    assert float(np.mean((prediction - first.y) ** 2)) == pytest.approx(new_loss, rel=1e-5)
    assert engine.draw(job).y.tobytes() == first.y.tobytes()


@pytest.mark.parametrize("name", ["minigrad", "torch"])
def test_trainer(name: str) -> None:
    trainer, done = Trainer(factory(name)), list[int]()
    job = task("float32", 0.0, epochs=7)
    drawn = trainer.draw(job)
    assert drawn is not None
    loss, _ = trainer.loss_and_gradients(job, drawn)
    (run,) = together([trainer.train(job, drawn)], lambda _, epochs: done.append(epochs))
    assert done == sorted(done)
    assert done[-1] == 7
    assert run.losses.shape == (7,)
    assert run.losses.dtype == np.float64
    assert run.losses[0] == loss
    assert run.final_mse < run.losses[-1] < run.losses[0]
    assert run.prediction.shape == (20, 1)
    assert list(run.parameters) == list(drawn.parameters)
    assert trainer.environment()["versions"]


def test_an_engine_that_is_unknown_or_lacks_something(monkeypatch: pytest.MonkeyPatch) -> None:
    assert all(ENGINES[name].missing() == [] for name in ("minigrad", "torch"))
    with pytest.raises(UsageError, match=r"unknown engine 'nonsense'.*minigrad"):
        factory("nonsense")
    monkeypatch.setitem(ENGINES, "minigrad", replace(ENGINES["minigrad"], needs=("not_there",)))
    with pytest.raises(UsageError, match="not_there"):
        factory("minigrad")


def test_a_device_that_is_not_there_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="nonsense"):
        loaded("torch", task("float32", 0.0, "nonsense"))
