"""Training on one engine: looking at it changes no bit, and what is seen is what there was."""

from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch

from parity.cli import options
from parity.engines.adapters.minigrad import MinigradEngine
from parity.engines.protocol import Array, Start, Task
from parity.engines.registry import ENGINES, factory
from parity.engines.trainer import Trainer
from parity.processes import Side
from parity.training import (
    HELD_OUT,
    MOMENTS,
    MOST_POINTS,
    Finished,
    fresh_points,
    layer_norms,
    moments,
    train,
    watch,
)
from tests.parity.fake_engines import ended
from torch_impl.train import start as torch_start

TASK = Task((1, 4, 3, 1), 12, 0.02, 9, 3, "float32", "cpu", momentum=0.5)
MINIGRAD = Side("minigrad", factory("minigrad"))
# To compile a step with torch takes half a minute; `jax-scan` and `jax-vmap` have that of `jax`.
WATCHED = [name for name in ENGINES if name not in ("torch-compile", "jax-scan", "jax-vmap")]


def drawn(task: Task) -> Start:
    return MinigradEngine().draw(task)


def watched(make: Any, task: Task, hold_out: bool, at: list[int]) -> Any:
    start = drawn(task)
    with np.errstate(all="ignore"):
        fresh = fresh_points(task) if hold_out else None
        return ended(watch(Trainer(make), make, task, start, fresh, at))


def bits(run: Any) -> dict[str, bytes]:
    arrays = {"losses": run.losses, "prediction": run.prediction, **run.parameters}
    return {name: array.tobytes() for name, array in arrays.items()}


# ---- looking ------------------------------------------------------------------------------------


@pytest.mark.dear
@pytest.mark.parametrize("name", WATCHED)
def test_looking_changes_no_bit(name: str) -> None:
    if missing := ENGINES[name].missing():
        pytest.skip(f"not installed: {missing}")
    task = TASK if name != "micrograd" else replace(TASK, sizes=(1, 2, 1), learning_rate=1e-3)
    plain, no_points, no_history = watched(factory(name), task, False, [])
    assert (no_points, no_history) == (None, None)
    seen, held_out, history = watched(factory(name), task, True, moments(task.epochs))
    assert bits(seen) == bits(plain)
    assert seen.final_mse == plain.final_mse
    assert len(history.losses) == task.epochs + 1
    expected = np.square(held_out.prediction.astype(np.float64) - held_out.y).mean()
    assert held_out.mse == pytest.approx(expected, rel=1e-5)
    assert history.held_out[-1] == held_out.mse


class Disturbed(MinigradEngine):
    """Asking for gradients moves a parameter by a last bit."""

    def loss_and_gradients(self) -> tuple[float, dict[str, Array]]:
        found = super().loss_and_gradients()
        bias = self._model[0].bias._array
        bias[0] = np.nextafter(bias[0], 9)
        return found


def test_an_engine_that_is_disturbed_by_looking_is_seen() -> None:
    plain, *_ = watched(Disturbed, TASK, False, [])
    seen, *_ = watched(Disturbed, TASK, False, [0, 12])
    assert bits(seen) != bits(plain)


@pytest.mark.parametrize("engine", ["minigrad", "torch"])
def test_what_is_seen_is_what_there_was(engine: str) -> None:
    task = replace(TASK, dtype="float64")
    at = [0, 1, 5, 12]
    run, held_out, history = watched(factory(engine), task, True, at)
    other, start = factory(engine)(), drawn(task)
    other.load(task, start)
    kept = iter(history.predictions)
    for epoch in range(task.epochs + 1):
        loss, gradients = other.loss_and_gradients()
        assert history.losses[epoch] == loss
        for layer in ("0", "2", "4"):
            both = [gradients[f"{layer}.{name}"].ravel() for name in ("weight", "bias")]
            expected = np.linalg.norm(np.concatenate(both))
            assert history.norms[layer][epoch] == pytest.approx(expected, rel=1e-12)
        if epoch in at:
            np.testing.assert_array_equal(next(kept), other.predict()[:, 0])
        fresh = np.square(forward(other.parameters(), held_out.x) - held_out.y).mean()
        assert history.held_out[epoch] == pytest.approx(fresh, rel=1e-12)
        other.step()
    assert next(kept, None) is None
    assert list(history.norms) == ["0", "2", "4"]
    assert history.moments == at
    np.testing.assert_allclose(held_out.prediction, forward(run.parameters, held_out.x))


def forward(parameters: dict[str, Array], x: Array) -> Array:
    arrays = list(parameters.values())
    for weight, bias in zip(arrays[:-2:2], arrays[1:-2:2], strict=True):
        x = np.maximum(x @ weight.T + bias, 0)
    return x @ arrays[-2].T + arrays[-1]


def test_norms_of_layers() -> None:
    wide = {"0.weight": np.full((2, 2), 1e30, np.float32), "0.bias": np.zeros(2, np.float32)}
    found = layer_norms(wide | {"2.weight": np.array([[3.0]]), "2.bias": np.array([4.0])})
    assert found == {"0": pytest.approx(2e30), "2": 5.0}
    assert np.isnan(layer_norms({"0.weight": np.array([np.inf, np.nan])})["0"])


def test_predictions_of_many_points_are_thinned() -> None:
    task = replace(TASK, samples=2 * MOST_POINTS + 1, epochs=2)
    run, _, history = watched(MinigradEngine, task, False, [0, 2])
    assert history.points == slice(None, None, 3)
    np.testing.assert_array_equal(history.predictions[-1], run.prediction[::3, 0])


@pytest.mark.parametrize("epochs", [1, 2, 10, 59, 60, 500, 1000, 10**6])
def test_moments_are_bounded_and_denser_at_the_beginning(epochs: int) -> None:
    found = moments(epochs)
    assert (found[0], found[-1]) == (0, epochs)
    assert len(found) <= min(MOMENTS, epochs + 1)
    gaps = [later - earlier for earlier, later in pairwise(found)]
    assert min(gaps) > 0
    assert all(later >= earlier - 1 for earlier, later in pairwise(gaps))  # 1 is for rounding
    if epochs >= 500:
        assert len(found) > 0.9 * MOMENTS
        assert gaps[0] * 10 < gaps[-1]


# ---- points that are held out -------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("samples", [100, 7])  # of an odd number a normal value is left over
def test_held_out_points_are_torchs(dtype: str, samples: int) -> None:
    task = replace(TASK, dtype=dtype, samples=samples)
    kind = getattr(torch, dtype)
    torch_start(task.sizes, task.seed, samples, kind)
    theirs = (torch.arange(HELD_OUT) + torch.rand(HELD_OUT, dtype=kind)) * (10 / HELD_OUT) - 5
    noisy = torch.stack([value**2 + torch.randn(1, dtype=kind) for value in theirs])
    x, y = fresh_points(task)
    assert x.dtype == y.dtype == np.dtype(dtype)
    assert x.tobytes() == theirs.reshape(-1, 1).numpy().tobytes()
    assert y.tobytes() == noisy.numpy().tobytes()


def test_held_out_points_are_fresh_and_alike() -> None:
    task = replace(TASK, samples=100)
    x, y = fresh_points(task)
    start = drawn(task)
    assert x.shape == y.shape == (HELD_OUT, 1)
    assert not np.isin(x, start.x).any()
    assert not np.isin(y, start.y).any()
    np.testing.assert_array_equal(np.floor((x[:, 0] + 5) * 10), np.arange(HELD_OUT))
    noise = y - x**2
    assert abs(noise.mean()) < 0.3
    assert 0.8 < noise.std() < 1.2
    np.testing.assert_array_equal(fresh_points(task)[1], y)
    assert not np.isin(y, fresh_points(replace(task, seed=4))[1]).any()


# ---- the whole ----------------------------------------------------------------------------------


def trained(names: list[str], side: Side = MINIGRAD, **asked: Any) -> list[Finished]:
    tasks = options.tasks(names, "3", options.Training(epochs=20, samples=30))
    return train(tasks, side, lambda *_: None, **asked)


def test_train() -> None:
    calls: list[tuple[str, str, int, int]] = []
    tasks = options.tasks(["1-1", "1-4-1"], "3", options.Training(epochs=20, samples=30))
    first, second = train(tasks, MINIGRAD, lambda *call: calls.append(call))
    assert (len(first.run.losses), first.run.prediction.shape) == (20, (30, 1))
    assert (second.state, second.held_out, second.history) == ("trained", None, None)
    task = tasks[1][1]
    expected, *_ = watched(MinigradEngine, task, False, [])
    assert bits(second.run) == bits(expected)
    assert second.start.x.tobytes() == drawn(task).x.tobytes()
    assert calls[0] == ("1-1", "training", 0, 20)
    assert calls[-1] == ("1-4-1", "training", 20, 20)


def test_everything_at_once() -> None:
    (seen,) = trained(["1-4-1"], hold_out=True, watch=True)
    (plain,) = trained(["1-4-1"])
    assert bits(seen.run) == bits(plain.run)
    assert seen.history is not None
    assert seen.held_out is not None
    assert seen.history.moments == moments(20)
    assert seen.gap == seen.held_out.mse - seen.run.final_mse


def test_an_engine_that_draws_nothing_starts_from_what_minigrad_draws() -> None:
    before = np.geterr()
    (run,) = trained(["1-4-1"], Side("numpy-floor", factory("numpy-floor")), hold_out=True)
    assert run.start.y.tobytes() == trained(["1-4-1"])[0].start.y.tobytes()
    assert run.held_out is not None
    assert np.geterr() == before


def test_a_diverged_run_is_watched_to_its_end() -> None:
    tasks = options.tasks(["1-8-8-1"], "3", options.Training(epochs=20, learning_rate=1e9))
    (run,) = train(tasks, MINIGRAD, lambda *_: None, hold_out=True, watch=True)
    assert run.state == "diverged"
    assert run.history is not None
    assert np.isnan(run.gap)
    assert len(run.history.predictions) == len(moments(20))
