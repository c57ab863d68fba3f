"""The budget of a step from a state that was read from an engine, not put into it.

An engine may keep more bits than it shows: all it has in float64, in a run of float32. What is read
is its state, rounded, and the other engine starts from what was read. This is no rounding error of
the step. Those are taken as independent of each other, while the error of a bias is the same in
every sample and does not average out. Where a network fits its data well, its errors are small
differences of large outputs, and then the two engines may be many budgets apart.

How far is measured. The step is taken, in float64, from states drawn among those that read the
same. How much its results vary is added to the budget. That takes as long as `DRAWS` steps, so it
is done only where an engine is not within the budget of a step from exactly what was read, as all
are that show all they keep. What is shown as infinite may be any number that is too large for the
dtype of the run, and nothing follows from it; `steps` judges the step from infinite values.
"""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from parity.checks.budget import Budget, StepBudget
from parity.engines.adapters.minigrad import MinigradEngine
from parity.engines.protocol import BUFFER, PREDICTION, Array, Start, Task
from parity.problems.parts import step_seed

DRAWS = 32
"""How many states are drawn. Of so few normal numbers the root mean square is less than half of the
standard deviation 1 time in 10⁷, and a budget has six of these."""

FURTHER = {"float32": 1, "float64": 256}
"""How much further than it may be a state is moved: float64 cannot show what float64 rounds off."""


def read_budget(
    budget: StepBudget,
    task: Task,
    start: Start,
    parameters: Mapping[str, Array],
    buffers: Mapping[str, Array],
    step: int,
) -> StepBudget:
    """Return the budget of a step from parameters, and momentum buffers, that were read.

    Args:
        budget: of the step from exactly these.
        task, start: what is trained, on which data.
        parameters, buffers: of the run's dtype; no buffers before the optimiser's first step.
        step: which one it is.
    """
    if any(np.isinf(array).any() for array in (*parameters.values(), *buffers.values())):
        # All that is too large for the run's dtype is shown as infinite: nothing can be judged.
        return budget.with_every(
            b._replace(slack=np.full(b.value.shape, np.inf), finite=None) for b in budget.every()
        )
    engine = MinigradEngine()
    in_float64 = replace(task, dtype="float64", device="cpu")
    wide = start.with_data(lambda a: a.astype(np.float64) if a.dtype.kind == "f" else a)
    engine.load(in_float64, replace(wide, parameters=_moved(parameters, None), step=step))

    def after(generator: np.random.Generator | None) -> dict[str, Array]:
        engine.seek(step)
        engine.put(_moved(parameters, generator), _moved(buffers, generator))
        engine.seed(step_seed(task.seed, step))
        prediction = engine.predict()
        engine.seed(step_seed(task.seed, step))
        loss = np.array(float(engine.step()))  # type: ignore[arg-type]
        left = {name + BUFFER: array for name, array in engine.momentum_buffers().items()}
        return {"": loss, PREDICTION: prediction, **engine.parameters(), **left}

    with np.errstate(all="ignore"):
        exact, generator = after(None), np.random.default_rng(0)
        squares = {name: np.zeros_like(value) for name, value in exact.items()}
        for _ in range(DRAWS):
            for name, value in after(generator).items():
                squares[name] += np.square(value - exact[name])
    # Only one of the two engines has the error, so half of its variance goes to each.
    scale = 1 / (2 * DRAWS * FURTHER[task.dtype] ** 2)

    def widened(budget: Budget, name: str) -> Budget:
        own = np.where(np.isfinite(squares[name]), squares[name], 0) * scale
        if budget.finite is not None:
            value, deviation = budget.finite
            budget = budget._replace(finite=(value, np.sqrt(np.square(deviation) + own)))
        return budget._replace(deviation=np.sqrt(np.square(budget.deviation) + own))

    return budget._replace(
        loss=widened(budget.loss, ""),
        prediction=widened(budget.prediction, PREDICTION),
        parameters={name: widened(b, name) for name, b in budget.parameters.items()},
        momentum_buffers={
            name: widened(b, name + BUFFER) for name, b in budget.momentum_buffers.items()
        },
    )


def _moved(values: Mapping[str, Array], by: np.random.Generator | None) -> dict[str, Array]:
    """Return the values in float64, each moved by up to half of a unit in its last place."""
    moved = {}
    for name, value in values.items():
        moved[name] = value.astype(np.float64)
        if by is not None:
            away = by.uniform(-0.5, 0.5, value.shape) * FURTHER[value.dtype.name]
            moved[name] += away * np.spacing(np.abs(value))
    return moved
