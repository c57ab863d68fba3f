"""The budget of a training step: how far rounding may move every loss, gradient and parameter.

minigrad's own rules, sweep and optimiser are run on budgeted arrays, through the public API.
Another engine does the same mathematics, so its rounding errors have the same deviations.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

import minigrad
from minigrad.arrays.budgeted import BudgetedArray
from minigrad.arrays.budgeted.kinks import counting_kinks
from minigrad.arrays.conversion import budgeted
from parity.engines.protocol import Array, Start, Task
from parity.problems import parts


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
    """A task's step on budgeted arrays: its model, loss and optimiser, whatever they are.

    Args:
        task: what is trained.
        start: with the data; its parameters do not matter.
    """

    def __init__(self, task: Task, start: Start) -> None:
        self._task, self._start = task, start
        minigrad.manual_seed(task.seed)  # for buffers that the model draws
        with parts.numbers_of(task, minigrad):
            self._model = budgeted(parts.model(task, minigrad))
            self._loss_function = parts.loss(task, minigrad)
            self._schedule = parts.schedule(task, minigrad, self._model.parameters())
        self._forward = parts.in_numbers_of(task, minigrad, self._model)
        self._data = [budgeted(minigrad.tensor(array)) for array in (*start.inputs, start.y)]

    def __call__(
        self,
        parameters: Mapping[str, Array],
        buffers: Mapping[str, Array] | None = None,
        step: int | None = None,
    ) -> StepBudget:
        """Take a step, by default the first, from these parameters and buffers, all of them exact.

        Where float32 overflows, or may, the step is taken in float64, too. What would be if
        nothing overflowed is known only if no choice depends on it.
        """
        buffers, step = buffers or {}, self._start.step if step is None else step
        found = self._step(parameters, buffers, step)
        given = (parameters, buffers)
        finite = all(np.isfinite(array).all() for of in given for array in of.values())
        overflows = any(_may_overflow(budget, finite) for budget in found.every())
        if found.kinks or self._task.dtype == "float64" or not overflows:
            return found
        start = self._start.with_data(_wide)
        wide = BudgetedStep(self._task.in_dtype("float64"), start)
        exact, moved = ({n: _wide(a) for n, a in of.items()} for of in given)
        taken = wide._step(exact, moved, step)
        return found.with_every(map(_if_finite, found.every(), taken.every()))

    def _step(
        self, parameters: Mapping[str, Array], buffers: Mapping[str, Array], step: int
    ) -> StepBudget:
        named = dict(self._model.named_parameters())
        with minigrad.no_grad():
            for name, parameter in named.items():
                parameter.grad = None
                parameter.copy_(minigrad.tensor(parameters[name]))
        optimizer = parts.optimizer(self._task, minigrad, named.values())
        if self._schedule is not None:
            parts.set_options(optimizer, self._schedule[step // self._task.steps_an_epoch])
        for name, buffer in buffers.items():
            optimizer.state[named[name]] = {
                "momentum_buffer": budgeted(minigrad.tensor(buffer)),
            }
        rows = self._task.rows(step)
        *x, y = self._data if rows is None else (d[minigrad.tensor(rows)] for d in self._data)
        with np.errstate(all="ignore"):
            whole = None if rows is None else self._predicted(self._data[:-1], step)
            with counting_kinks() as kinks:
                prediction = self._predicted(x, step)
                loss = self._loss_function(prediction, y)
                loss.backward()
                optimizer.step()
        buffers_after = {
            name: optimizer.state.get(parameter, {}).get("momentum_buffer")
            for name, parameter in named.items()
        }
        return StepBudget(
            budget_of(loss),
            {name: _budget_or_zero(p.grad, p) for name, p in named.items()},
            {name: budget_of(parameter) for name, parameter in named.items()},
            kinks.count,
            {name: _budget_or_zero(buffer, named[name]) for name, buffer in buffers_after.items()}
            if self._task.momentum
            else {},
            budget_of(prediction if whole is None else whole),
        )

    def _predicted(self, inputs: Sequence[minigrad.Tensor], step: int) -> minigrad.Tensor:
        if self._task.problem is not None:
            minigrad.manual_seed(parts.step_seed(self._task.seed, step))
        found: minigrad.Tensor = self._forward(*inputs)
        return found


def step_budget(task: Task, start: Start) -> StepBudget:
    """Return the budget of the task's first step."""
    return BudgetedStep(task, start)(start.parameters)


def _budget_or_zero(tensor: minigrad.Tensor | None, like: minigrad.Tensor) -> Budget:
    """Return a tensor's budget; one that there is not counts as 0."""
    return budget_of(minigrad.zeros_like(like) if tensor is None else tensor)


def _wide(array: Array) -> Array:
    return array.astype(np.float64) if array.dtype.kind == "f" else array


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
    """Return what a tensor of a budgeted array knows of its errors; any other is exact."""
    array = tensor.detach()._array
    if not isinstance(array, BudgetedArray):
        return Budget(np.array(array), np.zeros(array.shape), None, {})
    return Budget(np.array(array), array.deviation, array.unfollowed_slack, dict(array.shifts))
