"""The budget of a training step: how far rounding may move every loss, gradient and parameter.

minigrad's own rules, sweep and optimiser are run on budgeted arrays, through the public API.
Another engine does the same mathematics, so its rounding errors have the same deviations.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

import minigrad
from minigrad import nn, optim
from minigrad.architectures import build
from minigrad.arrays.budgeted import BudgetedArray
from minigrad.arrays.budgeted.kinks import counting_kinks
from minigrad.arrays.conversion import budgeted
from parity.engines.protocol import Array, Start, Task


class Budget(NamedTuple):
    """What is known of a tensor's errors.

    Attributes:
        value: minigrad's values, of the run's dtype.
        deviation: the standard deviation of each element's rounding error, float64, absolute.
        slack: what kinks may change that are not among the shifts, float64, absolute; None for 0.
        shifts: for each kink that is followed, by its number, what the other choice would change.
        finite: values and deviations, float64, if nothing overflows. Where the slack is infinite,
            the order of a sum decides whether something does; where the value is not finite, that
            of an engine that computes in more bits may be. None if not needed, or not known.
    """

    value: Array
    deviation: Array
    slack: Array | None
    shifts: dict[int, Array]
    finite: tuple[Array, Array] | None = None


class StepBudget(NamedTuple):
    """The budgets of one training step.

    Attributes:
        loss: before the update, of shape ().
        gradients, parameters: by the parameters' names; parameters are those after the update.
        kinks: how many comparisons were in doubt.
        momentum_buffers: those after the update, by the parameters' names; none without momentum.
        prediction: the network's output before the update.
    """

    loss: Budget
    gradients: dict[str, Budget]
    parameters: dict[str, Budget]
    kinks: int
    momentum_buffers: dict[str, Budget]
    prediction: Budget

    def every(self) -> list[Budget]:
        """Return all budgets, always in the same order."""
        named = (self.gradients, self.parameters, self.momentum_buffers)
        return [self.loss, self.prediction, *(b for of in named for b in of.values())]

    def with_every(self, budgets: Iterable[Budget]) -> StepBudget:
        """Return a step with other budgets, in the order of `every`."""
        given = iter(budgets)
        loss, prediction = next(given), next(given)
        named = (self.gradients, self.parameters, self.momentum_buffers)
        gradients, parameters, buffers = (dict(zip(of, given, strict=False)) for of in named)
        return StepBudget(loss, gradients, parameters, self.kinks, buffers, prediction)


class BudgetedStep:
    """A network and its data on budgeted arrays.

    Args:
        sizes: the layer sizes.
        x, y: the data, (samples, sizes[0]) and (samples, sizes[-1]), of the run's dtype.
        options: of SGD; `lr` is needed.
    """

    def __init__(self, sizes: tuple[int, ...], x: Array, y: Array, **options: Any) -> None:
        self._task = sizes, x, y
        self._model = budgeted(build(sizes, x.dtype))
        self._x, self._y = (budgeted(minigrad.tensor(array)) for array in (x, y))
        self._loss_function = nn.MSELoss()
        self._options = options

    def __call__(
        self, parameters: Mapping[str, Array], buffers: Mapping[str, Array] | None = None
    ) -> StepBudget:
        """Take one step from these parameters, and momentum buffers, all of them exact.

        Where float32 overflows, or may, the step is taken in float64, too. What would be if
        nothing overflowed is known only if no choice depends on it.
        """
        buffers = buffers or {}
        step = self._step(parameters, buffers)
        sizes, x, y = self._task
        given = (parameters, buffers)
        finite = all(np.isfinite(array).all() for of in given for array in of.values())
        overflows = any(_may_overflow(budget, finite) for budget in step.every())
        if step.kinks or x.dtype == np.float64 or not overflows:
            return step
        wide = BudgetedStep(sizes, x.astype(np.float64), y.astype(np.float64), **self._options)
        taken = wide._step(*({n: a.astype(np.float64) for n, a in of.items()} for of in given))
        return step.with_every(map(_if_finite, step.every(), taken.every()))

    def _step(self, parameters: Mapping[str, Array], buffers: Mapping[str, Array]) -> StepBudget:
        self._model.load_state_dict({n: minigrad.tensor(a) for n, a in parameters.items()})
        named = dict(self._model.named_parameters())
        optimizer = optim.SGD(named.values(), **self._options)
        for name, buffer in buffers.items():
            optimizer.state[named[name]] = {
                "momentum_buffer": budgeted(minigrad.tensor(buffer)),
            }
        with np.errstate(all="ignore"), counting_kinks() as kinks:
            optimizer.zero_grad()
            prediction = self._model(self._x)
            loss = self._loss_function(prediction, self._y)
            loss.backward()
            optimizer.step()
        gradients = {}
        for name, parameter in named.items():
            assert parameter.grad is not None
            gradients[name] = budget_of(parameter.grad)
        return StepBudget(
            budget_of(loss.detach()),
            gradients,
            {name: budget_of(parameter.detach()) for name, parameter in named.items()},
            kinks.count,
            {
                name: budget_of(optimizer.state[parameter]["momentum_buffer"])
                for name, parameter in named.items()
                if parameter in optimizer.state
            },
            budget_of(prediction.detach()),
        )


def budgeted_step(task: Task, start: Start) -> BudgetedStep:
    """Return the step that the task takes, on the data it starts with."""
    return BudgetedStep(task.sizes, start.x, start.y, lr=task.learning_rate, momentum=task.momentum)


def step_budget(task: Task, start: Start) -> StepBudget:
    """Return the budget of the task's first step."""
    return budgeted_step(task, start)(start.parameters)


def _may_overflow(budget: Budget, finite: bool) -> bool:
    """Return whether something may overflow, or has in a step from a state that is finite."""
    in_doubt = budget.slack is not None and not np.isfinite(budget.slack).all()
    return in_doubt or (finite and not np.isfinite(budget.value).all())


def _if_finite(budget: Budget, wide: Budget) -> Budget:
    """Return a float32 budget that knows of the step in float64; its roundings are float32's."""
    deviation = wide.deviation * (np.finfo(np.float32).eps / np.finfo(np.float64).eps)
    deviation = np.where(np.isfinite(wide.value), deviation, 0)
    if wide.slack is not None:
        deviation += wide.slack
    return budget._replace(finite=(wide.value, deviation))


def budget_of(tensor: minigrad.Tensor) -> Budget:
    """Return what a tensor of a budgeted array knows of its errors."""
    array = tensor._array
    assert isinstance(array, BudgetedArray)
    return Budget(np.array(array), array.deviation, array.unfollowed_slack, dict(array.shifts))
