"""Ensembles of seeds: every member is judged as an engine of its own would be."""

import functools
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import minigrad
from minigrad.architectures import ARCHITECTURES
from parity.bench.timed import TimedEngine
from parity.checks.bitwise import digest
from parity.checks.state import state
from parity.checks.steps import check_steps
from parity.engines.adapters.minigrad import MinigradEngine
from parity.engines.adapters.minigrad_ensemble import (
    Ensemble,
    EnsembleEngine,
    members_at_once,
    stacked,
    train_ensemble,
)
from parity.engines.process import LocalObject, together
from parity.engines.protocol import Array, Engine, Start, Task
from parity.engines.registry import factory
from parity.engines.trainer import Run, Trainer

ARITHMETIC = pytest.mark.parametrize(
    ("dtype", "momentum"),
    [
        ("float32", 0.9),
        ("float64", 0.0),
        pytest.param("float32", 0.0, marks=pytest.mark.dear),
        pytest.param("float64", 0.9, marks=pytest.mark.dear),
    ],
)
NETWORKS = pytest.mark.parametrize("name", ARCHITECTURES)


def tasks(name: str, count: int, epochs: int, **changes: Any) -> list[Task]:
    sizes = ARCHITECTURES[name].sizes
    settings: dict[str, Any] = {
        "learning_rate": 0.01,
        "samples": 100,
        "dtype": "float32",
        "device": "cpu",
    }
    return [Task(sizes, epochs=epochs, seed=seed, **settings | changes) for seed in range(count)]


def drawn(asked: Sequence[Task]) -> list[Start]:
    return [MinigradEngine().draw(task) for task in asked]


def bits(run: Run) -> bytes:
    """What depends on every bit of a run, but for those of NaNs."""
    results = {"losses": run.losses, "mse": np.array(run.final_mse), "output": run.prediction}
    return digest(results | run.parameters)


def of_layers(start: Start, **changes: Callable[[Array], Array]) -> Start:
    """A start with all weights, or all biases, changed."""
    parameters = {n: changes.get(n.split(".")[1], np.copy)(v) for n, v in start.parameters.items()}
    return replace(start, parameters=parameters)


def dead(start: Start) -> Start:
    return of_layers(start, bias=lambda bias: bias - bias.dtype.type(100))


def diverging(start: Start) -> Start:
    return of_layers(start, weight=lambda weight: weight * weight.dtype.type(1e9))


# ---- reproducible arithmetic: the bits of a run by itself -----------------------------------


def different(asked: Sequence[Task], starts: Sequence[Start], given: Sequence[Start]) -> list[int]:
    """Train an ensemble from the starts that it is given, and each task from its own start.

    Returns the members whose losses, parameters, buffers or predictions differ in any bit.
    """
    trained = Ensemble(in_reproducible_arithmetic=True)
    trained.load(asked[0], stacked(given))
    runs = trained.train()
    buffers = trained.momentum_buffers()
    found = []
    for i, (task, start, run) in enumerate(zip(asked, starts, runs, strict=True)):
        engine = factory("minigrad-reproducible")()
        engine.load(task, start)
        losses = np.array([float(engine.step()) for _ in range(task.epochs)])  # type: ignore[arg-type]
        own_buffers = engine.momentum_buffers()
        final_mse, _ = engine.loss_and_gradients()
        own = Run(losses, final_mse, engine.predict(), engine.parameters())
        same = digest({n: value[i] for n, value in buffers.items()}) == digest(own_buffers)
        if bits(run) != bits(own) or not same:
            found.append(i)
    return found


@NETWORKS
@ARITHMETIC
def test_in_reproducible_arithmetic_members_have_the_bits_of_solo_runs(
    name: str, dtype: str, momentum: float
) -> None:
    large = name == "overfit"
    asked = tasks(name, 4, 2 if large else 8, dtype=dtype, momentum=momentum)
    starts = drawn(asked)
    starts[1], starts[2] = dead(starts[1]), diverging(starts[2])
    assert different(asked, starts, starts) == []
    runs = train_ensemble(asked, starts)
    states = [state(*pair, asked[0]) for pair in zip(runs, starts, strict=True)]
    assert states[:3] == ["trained", "dead", "diverged"]


def one_ulp(start: Start) -> Start:
    name, value = next(iter(start.parameters.items()))
    moved = value.copy()
    moved.flat[0] = np.nextafter(moved.flat[0], np.inf)
    return replace(start, parameters=start.parameters | {name: moved})


def test_a_member_that_differs_is_named() -> None:
    asked = tasks("rightfit", 4, 3)
    starts = drawn(asked)
    moved = [*starts[:2], one_ulp(starts[2]), starts[3]]
    assert different(asked, starts, moved) == [2]
    swapped = [
        starts[0],
        replace(starts[1], y=starts[3].y),
        starts[2],
        replace(starts[3], y=starts[1].y),
    ]
    assert different(asked, starts, swapped) == [1, 3]


# ---- native arithmetic: within the budget of a solo step ------------------------------------


def judged(make: Callable[[], Engine], task: Task, start: Start) -> dict[str, Any]:
    """The verdict `steps`: at every epoch, a member and minigrad by itself from the same state."""
    actual, expected = (LocalObject(Trainer(made)) for made in (make, MinigradEngine))
    return check_steps(actual, expected, task, start)


@NETWORKS
@ARITHMETIC
def test_in_native_arithmetic_members_are_within_the_budget_of_solo_steps(
    name: str, dtype: str, momentum: float
) -> None:
    (task,) = tasks(name, 1, 2 if name == "overfit" else 10, dtype=dtype, momentum=momentum)
    (start,) = drawn([task])
    for shown in range(1 if name == "overfit" else 3):
        make = functools.partial(EnsembleEngine, members=3, shown=shown)
        verdict = judged(make, task, start)
        assert verdict["passed"], verdict["first_failure"]
        assert verdict["epochs"] == task.epochs
        assert verdict["elements"] > 2 * task.epochs


class Scaled(EnsembleEngine):
    """Multiplies one member's gradient by one weight."""

    def build(self, task: Task, start: Start) -> None:
        super().build(task, start)
        factors = np.ones((self.STEPS, 1, 1), task.dtype)
        factors[1] += 1e-5
        scale = minigrad.tensor(factors)
        self._ensemble._model[2].weight.register_hook(lambda grad: grad * scale)


class Swapped(EnsembleEngine):
    """Shows the gradients of another member."""

    def loss_and_gradients(self) -> tuple[float, dict[str, Array]]:
        losses, gradients = self._ensemble.loss_and_gradients()
        return float(losses[1]), {name: value[2] for name, value in gradients.items()}


class OthersData(EnsembleEngine):
    """Trains members on each other's targets."""

    def put_data(self, x: Array, y: Array, *more: Array) -> None:
        super().put_data(x, y)
        targets = self._ensemble._data[-1]
        targets.copy_(minigrad.tensor(np.roll(targets.numpy(), 1, axis=0)))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("wrong", "of"), [(Scaled, "gradients"), (Swapped, "gradients"), (OthersData, "loss")]
)
def test_a_wrong_member_is_out_of_its_budget(
    wrong: Callable[..., Engine], of: str, dtype: str
) -> None:
    (task,) = tasks("rightfit", 1, 3, dtype=dtype)
    (start,) = drawn([task])
    verdict = judged(functools.partial(wrong, members=3, shown=1), task, start)
    assert not verdict["passed"]
    assert verdict["first_failure"]["epoch"] == 0
    assert verdict["first_failure"]["of"] == of
    # The member beside it is as it should be.
    if wrong is Scaled:
        assert judged(functools.partial(wrong, members=3, shown=0), task, start)["passed"]


# ---- training -------------------------------------------------------------------------------


@ARITHMETIC
def test_a_run_does_not_depend_on_the_others(dtype: str, momentum: float) -> None:
    """Nor does it on how many there are, nor on who is dead or diverges."""
    for name, most in (("underfit", 9), ("rightfit", 7)):
        asked = tasks(name, most, 12, dtype=dtype, momentum=momentum)
        starts = drawn(asked)
        together = list(map(bits, train_ensemble(asked, starts)))
        alone = [bits(train_ensemble([t], [s])[0]) for t, s in zip(asked, starts, strict=True)]
        assert together == alone
        some = list(map(bits, train_ensemble(asked[1:4], starts[1:4])))
        assert some == together[1:4]
        spoilt = [dead(starts[0]), diverging(starts[1]), *starts[2:]]
        beside = list(map(bits, train_ensemble(asked, spoilt)))
        assert beside[2:] == together[2:]
        assert beside[0] != together[0]
        assert beside[1] != together[1]


def test_runs_are_those_of_the_trainer_up_to_rounding() -> None:
    asked = tasks("rightfit", 3, 10)
    starts = drawn(asked)
    trainer = Trainer(MinigradEngine)
    for task, start, run in zip(asked, starts, train_ensemble(asked, starts), strict=True):
        (own,) = together([trainer.train(task, start)], lambda *_: None)
        assert run.final_mse == pytest.approx(own.final_mse, rel=1e-4)
        for actual, expected in zip(
            (run.losses, run.prediction, *run.parameters.values()),
            (own.losses, own.prediction, *own.parameters.values()),
            strict=True,
        ):
            assert (actual.shape, actual.dtype) == (expected.shape, expected.dtype)
            np.testing.assert_allclose(actual, expected, rtol=1e-3, atol=1e-4)
        assert list(run.parameters) == list(own.parameters)
        assert state(run, start, asked[0]) == "trained"


def test_more_members_than_are_trained_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = tasks("underfit", 7, 5, momentum=0.9)  # buffers, too, are not those of members before
    starts = drawn(asked)
    expected = list(map(bits, train_ensemble(asked, starts)))
    monkeypatch.setattr("parity.engines.adapters.minigrad_ensemble.MOST", 3)
    assert members_at_once(asked[0]) == 3
    assert list(map(bits, train_ensemble(asked, starts))) == expected


def test_no_members_have_no_runs() -> None:
    assert train_ensemble([], []) == []


def test_members_fit_into_the_cache() -> None:
    assert [members_at_once(tasks(name, 1, 1)[0]) for name in ARCHITECTURES] == [128, 34, 1]
    (double,) = tasks("rightfit", 1, 1, dtype="float64")
    assert members_at_once(double) == 17
    assert members_at_once(replace(double, samples=10**6)) == 1


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("epochs", 6),
        ("learning_rate", 0.02),
        ("samples", 9),
        ("dtype", "float64"),
        ("momentum", 0.5),
    ],
)
def test_tasks_that_differ_in_more_than_the_seed_are_refused(field: str, value: object) -> None:
    first, second = tasks("underfit", 2, 5)
    other = replace(second, **{field: value})  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=f"their {field} is .* and {value}: train them in two"):
        train_ensemble([first, other], drawn([first, other]))


def test_starts_that_do_not_fit_are_refused() -> None:
    asked = tasks("underfit", 2, 5)
    starts = drawn(asked)
    with pytest.raises(ValueError, match="there are 2 tasks but 1 starts"):
        train_ensemble(asked, starts[:1])
    moved = replace(starts[1], x=starts[1].x + 1)
    with pytest.raises(ValueError, match="begins from as many starts that have the same x"):
        train_ensemble(asked, [starts[0], moved])


# ---- as an engine ---------------------------------------------------------------------------


@pytest.mark.parametrize("shown", [0, 2])
def test_state_is_set_as_it_was_read(shown: int) -> None:
    (task,) = tasks("rightfit", 1, 5, momentum=0.9)
    (start,) = drawn([task])
    engine = EnsembleEngine(3, shown)
    engine.load(task, start)
    assert engine.momentum_buffers() == {}
    losses = [float(engine.step()) for _ in range(3)]  # type: ignore[arg-type]
    parameters, buffers = engine.parameters(), engine.momentum_buffers()
    engine.step()
    after = [*engine.parameters().values(), *engine.momentum_buffers().values()]
    engine.put(parameters, buffers)
    engine.step()
    again = [*engine.parameters().values(), *engine.momentum_buffers().values()]
    assert [value.tobytes() for value in again] == [value.tobytes() for value in after]
    engine.put(start.parameters)
    assert engine.momentum_buffers() == {}
    assert [float(engine.step()) for _ in range(3)] == losses  # type: ignore[arg-type]
    fresh = EnsembleEngine(3, shown)
    fresh.load(task, start)
    fresh.put(parameters, buffers)  # before its first step
    fresh.step()
    found = [*fresh.parameters().values(), *fresh.momentum_buffers().values()]
    assert [value.tobytes() for value in found] == [value.tobytes() for value in after]


def test_its_steps_are_timed_as_those_of_all_members() -> None:
    (task,) = tasks("underfit", 1, 5)
    timed = TimedEngine(functools.partial(EnsembleEngine, members=4))
    timed.load(task, MinigradEngine().draw(task))
    assert timed.steps(10) == 40
