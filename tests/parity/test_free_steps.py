"""The verdict on an engine's own run: what engines keep between their steps."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from parity.cases.file import load
from parity.checks import steps
from parity.checks.free_steps import check_free_steps, describe_free_steps
from parity.checks.match import Match
from parity.checks.steps import Judge, check_steps, judge_steps
from parity.checks.verdicts import VERDICTS, located
from parity.engines.adapters.minigrad import MinigradEngine
from parity.engines.process import LocalObject
from parity.engines.protocol import Engine, Start, Task
from parity.engines.trainer import Trainer
from tests.minigrad.operations import FUZZ
from tests.parity.commands import parity, report, words
from tests.parity.stateful_engines import (
    RIGHT,
    WRONG,
    AddsGradients,
    DecaysItsRate,
    Float64Inside,
    KeepsMomentum,
    LosesItsMomentum,
    MoreBits,
    Plain,
)

TASK = Task((1, 16, 16, 1), 35, 0.01, 100, 0, "float32", "cpu")
# These runs take a minute: an ordinary run has time for each engine once, `make fuzz` for all.
DTYPES = pytest.mark.parametrize("dtype", ["float32", "float64"] if FUZZ else ["float32"])
EPOCHS_AFTER = TASK.epochs if FUZZ else 2
"""How long a wrong engine goes on after its first wrong epoch, up to the end of the task."""


def local(engine: Callable[[], Engine]) -> LocalObject[Trainer]:
    return LocalObject(Trainer(engine))


def judged(check: Callable[..., Any], engine: Callable[[], Engine], **changes: Any) -> Any:
    task = replace(TASK, **changes)
    start = MinigradEngine().draw(task)
    return check(local(engine), local(MinigradEngine), task, start)


# ---- right engines ------------------------------------------------------------------------------


@DTYPES
@pytest.mark.parametrize("momentum", [0.0, 0.9] if FUZZ else [0.9])
@pytest.mark.parametrize("engine", RIGHT)
def test_right_engines_pass(engine: type[Engine], momentum: float, dtype: str) -> None:
    changes = {"learning_rate": 0.002 if momentum else 0.01, "momentum": momentum, "dtype": dtype}
    found = judged(check_free_steps, engine, epochs=16, **changes)
    assert found["passed"], found["first_failure"]
    assert found["epochs"] == 16
    assert found["elements"] == 16 * (321 * (2 if momentum else 1) + 1) + TASK.samples
    assert found["worst_budget_used"] < 0.5


@DTYPES
@pytest.mark.parametrize("engine", [MinigradEngine, Plain, Float64Inside, MoreBits])
@pytest.mark.parametrize(
    "changes", [{"learning_rate": 30.0, "epochs": 9}, {"sizes": (1, 1, 1), "epochs": 12}]
)
def test_right_engines_pass_when_they_diverge_and_when_they_are_dead(
    changes: dict[str, Any], engine: type[Engine], dtype: str
) -> None:
    """Even those in which what is shown as infinite is not."""
    for check in (check_steps, check_free_steps):
        found = judged(check, engine, dtype=dtype, **changes)
        assert found["passed"], found["first_failure"]


def test_an_engine_of_more_bits_may_have_a_loss_whose_squares_overflow() -> None:
    changes = {"sizes": (1, 8, 1), "learning_rate": 0.3, "seed": 1, "samples": 30, "epochs": 4}
    assert judged(check_steps, Float64Inside, **changes)["passed"]


class RecoversAtOnce(Plain):
    """It begins anew when it has come to NaN, though a step from NaN is right."""

    def step(self) -> object:
        loss = super().step()
        if self.taken > 1 and any(np.isnan(value).any() for value in self.values.values()):
            self.put(self._start.parameters)
        return loss


def test_a_recovery_from_nan_is_found() -> None:
    changes = {"learning_rate": 30.0, "epochs": 12}
    assert judged(check_steps, RecoversAtOnce, **changes)["passed"]
    found = judged(check_free_steps, RecoversAtOnce, **changes)
    assert not found["passed"]
    assert found["first_failure"]["epoch"] == 2


def fitted(dtype: str) -> tuple[Task, Start]:
    """Errors that are small differences of large outputs, in many samples."""
    generator, small = np.random.default_rng(0), {"float32": 1e-2, "float64": 1e-6}[dtype]
    x, noise = generator.standard_normal((2, 20_000, 1))
    arrays = x, 100 + small * (x + noise / 10), np.array([[1.02 * small]]), np.array([100 + small])
    x, y, weight, bias = (array.astype(dtype) for array in arrays)
    task = replace(TASK, sizes=(1, 1), epochs=10, samples=len(x), dtype=dtype, momentum=0.5)
    return task, Start(x, y, {"0.weight": weight, "0.bias": bias})


@pytest.mark.dear
@pytest.mark.parametrize(
    ("engine", "dtype"),
    [(Float64Inside, "float32"), (MoreBits, "float64"), (MoreBits, "float32")][: 3 if FUZZ else 2],
)
def test_an_engine_may_keep_more_than_it_shows(
    engine: type[Engine], dtype: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    task, start = fitted(dtype)
    sides = local(engine), local(MinigradEngine)
    assert check_free_steps(*sides, task, start)["passed"]
    monkeypatch.setattr(steps, "read_budget", lambda budget, *state: budget)
    found = check_free_steps(*sides, task, start)
    assert found["worst_budget_used"] > 5, "this is what it is needed for"


@DTYPES
@pytest.mark.parametrize(
    "wrong",
    [
        AddsGradients,
        *(pytest.param(w, marks=pytest.mark.dear) for w in (DecaysItsRate, KeepsMomentum)),
    ],
)
def test_what_it_may_keep_is_no_excuse(wrong: type[Plain], dtype: str) -> None:
    task, start = fitted(dtype)
    task = replace(task, epochs=min(task.epochs, WRONG[wrong] + 1 + EPOCHS_AFTER))
    found = check_free_steps(local(wrong), local(MinigradEngine), task, start)
    assert found["first_failure"]["epoch"] == WRONG[wrong]


# ---- wrong engines ------------------------------------------------------------------------------


@pytest.mark.parametrize("engine", WRONG)
def test_wrong_engines_fail_at_their_first_wrong_epoch(engine: type[Plain]) -> None:
    sides = {"actual": local(engine), "free": local(engine), "expected": local(MinigradEngine)}
    both = judge_steps(sides, TASK, MinigradEngine().draw(TASK))
    assert both["steps"]["passed"], "from a state that is put into it, it is right"
    found = both["free_steps"]
    assert not found["passed"]
    assert found["first_failure"]["epoch"] == WRONG[engine]
    assert found["worst_budget_used"] > 100


def test_momentum_that_is_lost_is_found() -> None:
    assert judged(check_free_steps, LosesItsMomentum, epochs=12)["passed"]
    for check, passes in ((check_steps, True), (check_free_steps, False)):
        found = judged(check, LosesItsMomentum, momentum=0.9, learning_rate=0.002, epochs=12)
        assert found["passed"] is passes
    assert found["first_failure"]["epoch"] == 10
    assert found["worst_at"]["of"] == "buffers"


# ---- both verdicts together ---------------------------------------------------------------------


@pytest.mark.parametrize("judges", [1, 2, 3])
@pytest.mark.parametrize("engine", [Plain, DecaysItsRate])
def test_both_verdicts_are_reached_together(engine: type[Plain], judges: int) -> None:
    task = replace(TASK, momentum=0.5, learning_rate=0.003, epochs=8)
    start = MinigradEngine().draw(task)
    found = judge_steps(
        {"actual": local(engine), "free": local(engine), "expected": local(MinigradEngine)},
        task,
        start,
        judges=[LocalObject(Judge()) for _ in range(judges)],
    )
    assert found["steps"]["passed"]
    assert found["steps"]["elements"] == 8 * (3 * 321 + 1 + 100)
    alone = check_free_steps(local(engine), local(MinigradEngine), task, start)
    assert alone["passed"] is (engine is Plain)
    assert found["free_steps"] == alone


class SecondRate(MinigradEngine):
    """minigrad, but its learning rate halves at the third step."""

    def build(self, task: Task, start: Start) -> None:
        super().build(task, start)
        self.taken = 0

    def step(self) -> object:
        self._counted()
        return super().step()

    def trace(self) -> Any:
        self._counted()
        return super().trace()

    def put(self, *given: Any) -> None:
        super().put(*given)
        self.taken, self._optimizer.param_groups[0]["lr"] = 0, self._task.learning_rate

    def _counted(self) -> None:
        self.taken += 1
        if self.taken == 3:
            self._optimizer.param_groups[0]["lr"] /= 2


def test_the_node_is_located_in_the_engines_own_run() -> None:
    task = replace(TASK, epochs=5)
    match = Match((local(SecondRate), local(MinigradEngine)), task)
    found = VERDICTS["free_steps"].check(match)
    assert found is not None
    assert found["first_failure"]["epoch"] == 2
    place = located(match, VERDICTS["free_steps"], found)
    assert place["wrong"] == "actual"
    node = place["first_node"]
    assert (node["phase"], node["operation"]) == ("optimizer", "SGD")
    forced = located(match, VERDICTS["steps"], found)
    assert forced["first_node"] is None, "from a given state it is right"


def test_the_words_say_where_to_look() -> None:
    found = {"passed": False, "epochs": 3, "worst_budget_used": 7.0, "kinks": 0}
    settings = {"engine": "mine"}
    said = describe_free_steps(found, {"steps": {"passed": True}}, settings)
    assert said.endswith("; only its own run is wrong: look at what mine keeps between its steps")
    for steps_too in ({"passed": False}, None):
        assert "look at" not in describe_free_steps(found, {"steps": steps_too}, settings)
    passing = {**found, "passed": True}
    assert "look at" not in describe_free_steps(passing, {"steps": {"passed": True}}, settings)


@pytest.mark.dear
def test_a_run_reports_it_and_leaves_a_case(tmp_path: Path) -> None:
    name = "tests.parity.stateful_engines:AddsGradients"
    options = ["--epochs", "6", "--engine", name, "--output", str(tmp_path)]
    ended = parity("run", "1-4-1", *options)
    assert ended.returncode == 1, ended.stderr
    (entry,) = report(tmp_path)["architectures"]
    assert {n for n in VERDICTS if entry[n] and entry[n]["passed"] is False} >= {"free_steps"}
    assert entry["steps"]["passed"] is True
    assert entry["free_steps"]["first_failure"]["epoch"] == 1
    assert f"look at what {name} keeps between its steps" in words(ended.stdout)
    case = tmp_path / entry["free_steps"]["case"]
    assert load(case).task.epochs == 2
    assert parity("replay", str(case), "--engine", name).returncode == 1
    assert parity("replay", str(case), "--engine", "minigrad").returncode == 0
