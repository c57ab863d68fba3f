"""The verdict on an engine's own run: what engines keep between their steps."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from parity.checks.free_steps import check_free_steps
from parity.checks.steps import check_steps
from parity.engines.adapters.minigrad import MinigradEngine
from parity.engines.process import LocalObject
from parity.engines.protocol import Engine, Task
from parity.engines.trainer import Trainer
from tests.parity import stateful_engines
from tests.parity.stateful_engines import RIGHT, WRONG

TASK = Task((1, 16, 16, 1), 60, 0.01, 100, 0, "float32", "cpu")
SETTINGS = {"engine": "mine", "against": "minigrad"}


def judged(check: Callable[..., Any], engine: type[Engine], **changes: Any) -> Any:
    task = replace(TASK, **changes)
    sides = [LocalObject(Trainer(each)) for each in (engine, MinigradEngine)]
    return check(*sides, task, MinigradEngine().draw(task))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize("engine", RIGHT)
def test_right_engines_pass(engine: type[Engine], momentum: float, dtype: str) -> None:
    changes = {"momentum": momentum, "dtype": dtype}
    found = judged(check_free_steps, engine, learning_rate=0.002, **changes)
    assert found["passed"], found["first_failure"]
    assert found["epochs"] == 60
    assert found["elements"] == 60 * (321 * (2 if momentum else 1) + 1)
    assert found["worst_budget_used"] < 0.5


@pytest.mark.parametrize("engine", WRONG)
def test_wrong_engines_fail_at_their_first_wrong_epoch(
    engine: type[stateful_engines.Plain],
) -> None:
    assert judged(check_steps, engine)["passed"], "from a state that is put into it it is right"
    found = judged(check_free_steps, engine)
    assert not found["passed"]
    assert found["first_failure"]["epoch"] == WRONG[engine]
    assert found["worst_budget_used"] > 100
    print(engine.__name__, found["worst_budget_used"], found["first_failure"])
