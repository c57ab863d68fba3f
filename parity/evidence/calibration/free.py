"""Whether `free_steps` fails correct engines: minigrad's own runs on the calibration's cases."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np

from parity.checks.free_steps import check_free_steps
from parity.checks.state import state
from parity.engines.adapters.minigrad import MinigradEngine
from parity.engines.adapters.torch import TorchEngine
from parity.engines.process import LocalObject
from parity.engines.protocol import Array, Engine, Start, Task
from parity.engines.trainer import Run, Trainer
from parity.environment import environment
from parity.evidence.calibration.cases import DATA, DTYPES, Case, draw_case

FEW, MANY, MUCH_WORK = 2, 20, 3e6
"""Steps of a run, fewer where a forward pass has more than so many multiplications."""

DIVERGING = 8
"""One run in so many has a learning rate a thousand times too large, and diverges."""


class InFloat64(MinigradEngine):
    """minigrad, but everything is kept and computed in float64, and shown in the run's dtype."""

    def build(self, task: Task, start: Start) -> None:
        """Build everything in float64."""
        self._shown = task.dtype
        x, y = start.x.astype(np.float64), start.y.astype(np.float64)
        parameters = _converted(start.parameters, "float64")
        super().build(replace(task, dtype="float64"), Start(x, y, parameters))

    def put(
        self, parameters: Mapping[str, Array], momentum_buffers: Mapping[str, Array] = {}
    ) -> None:
        """Copy the values."""
        given = (_converted(arrays, "float64") for arrays in (parameters, momentum_buffers))
        super().put(*given)

    def parameters(self) -> dict[str, Array]:
        """Round the parameters."""
        return _converted(super().parameters(), self._shown)

    def momentum_buffers(self) -> dict[str, Array]:
        """Round the buffers."""
        return _converted(super().momentum_buffers(), self._shown)

    def predict(self) -> Array:
        """Round the prediction."""
        return super().predict().astype(self._shown)


def _converted(arrays: Mapping[str, Array], dtype: str) -> dict[str, Array]:
    return {name: array.astype(dtype) for name, array in arrays.items()}


ENGINES: dict[str, type[Engine]] = {"minigrad": MinigradEngine, "float64 inside": InFloat64}


def measure_free(seed: int, device: str = "cpu") -> dict[str, Any]:
    """Judge the own runs of correct engines from where a case is; return it ready for JSON."""
    with np.errstate(all="ignore"):
        case = draw_case(seed)
        diverging = seed % DIVERGING == DIVERGING - 1
        runs = [_judged(case, "minigrad", diverging, device)]
        # What overflows in float32 need not in float64; that is another arithmetic to `steps`, too.
        if case.x.dtype == np.float32 and not runs[0]["unlimited"]:
            runs.append(_judged(case, "float64 inside", diverging, device))
    return {"seed": seed, "family": case.family, "dtype": case.x.dtype.name, "runs": runs}


def _judged(case: Case, name: str, diverging: bool, device: str) -> dict[str, Any]:
    work = len(case.x) * sum(a * b for a, b in pairwise(case.sizes))
    task = replace(
        case.task,
        epochs=FEW if work > MUCH_WORK else MANY,
        learning_rate=case.options["lr"] * (1000 if diverging else 1),
        device=device,
        nesterov=False,
        weight_decay=0.0,
    )
    start = Start(case.x, case.y, case.parameters)
    engine = ENGINES[name]()
    sides = LocalObject(Trainer(lambda: engine)), LocalObject(Trainer(TorchEngine))
    entry = check_free_steps(*sides, task, start, momentum_buffers=case.buffers)
    last = Run(np.zeros(0), 0.0, engine.predict(), engine.parameters())
    kept = ("passed", "epochs", "worst_budget_used", "worst_at", "kinks", "choices", "elements")
    return {
        "engine": name,
        "momentum": task.momentum,
        "state": state(last, start, task),
        **{field: entry[field] for field in (*kept, "unlimited")},
    }


def summary(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return how many steps were judged, of which kinds, and how much of its budget the worst used.

    A comparison is one step of an engine's own run; a false alarm is a run in which one failed.
    """
    runs = [{**row, **run} for row in rows for run in row["runs"]]
    with_momentum = [run for run in runs if run["momentum"]]
    return {
        "environment": environment(),
        "runs": len(runs),
        "comparisons": _steps(runs),
        "with_momentum": _steps(with_momentum),
        "elements": sum(run["elements"] for run in runs),
        "unlimited": sum(run["unlimited"] for run in runs),
        "kinks": sum(run["kinks"] for run in runs),
        "choices": sum(run["choices"] for run in runs),
        "states": dict(Counter(run["state"] for run in runs)),
        "false_alarms": sum(not run["passed"] for run in runs),
        "worst_budget_used": _worst(runs),
        "families": [
            {
                "family": family,
                "dtype": dtype,
                "engine": engine,
                "comparisons": _steps(some),
                "worst_budget_used": _worst(some),
            }
            for family in DATA
            for dtype in DTYPES
            for engine in ENGINES
            if (
                some := [
                    run
                    for run in runs
                    if (run["family"], run["dtype"], run["engine"]) == (family, dtype, engine)
                ]
            )
        ],
    }


def _steps(runs: Sequence[Mapping[str, Any]]) -> int:
    return sum(run["epochs"] for run in runs)


def _worst(runs: Sequence[Mapping[str, Any]]) -> float:
    return max((run["worst_budget_used"] for run in runs), default=math.nan)
