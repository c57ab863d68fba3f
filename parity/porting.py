"""Judging gradients and training steps of a model that was ported to another framework.

Nothing of that framework is known here: what it computes comes as NumPy arrays by torch's names.
"""

import copy
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

import minigrad
from minigrad import nn
from minigrad.arrays.conversion import budgeted
from parity.checks.budget import Budget, BudgetedStep, budget_of
from parity.checks.describe import describe
from parity.checks.gradients import compare
from parity.checks.steps import Judge
from parity.checks.words import fit
from parity.engines.adapters.minigrad import MinigradEngine
from parity.engines.protocol import Array
from parity.problems.written import Problem, read


def gradient_budget(
    function: Callable[..., minigrad.Tensor],
    loss: Callable[[Any, Any], minigrad.Tensor] | None = None,
    /,
    **inputs: Array,
) -> dict[str, Budget]:
    """Return minigrad's gradients, and how far rounding may move them.

    The function is run on budgeted arrays, so the budget is of just these values.

    Args:
        function: takes tensors by the names of the inputs, of minigrad, whose names are torch's;
            returns a tensor of one element. With `loss` it is an `nn.Module` of minigrad, and the
            gradients are those by its parameters.
        loss: of a module's output and the input `y`; the other inputs are the module's, in order.
        inputs: float32 or float64 arrays. Their values count as exact.

    Returns:
        by the names of the inputs, or of the parameters: `value`, the gradient; `deviation`, the
        standard deviation of each element's rounding error, float64; and what kinks may change.

    Raises:
        ValueError: the result does not depend on an input, or there is no input `y` for a loss.
    """
    given = {name: budgeted(minigrad.tensor(array)) for name, array in inputs.items()}
    leaves: Mapping[str, minigrad.Tensor] = given
    if loss is not None and "y" not in given:
        raise ValueError("the loss needs targets: give them as y=")
    with np.errstate(all="ignore"):
        if loss is None:
            for leaf in given.values():
                leaf.requires_grad_()
            function(**given).backward()
        else:
            assert isinstance(function, nn.Module), "a loss is for a module's output"
            model, y = budgeted(copy.deepcopy(function)), given.pop("y")
            leaves = dict(model.named_parameters())
            loss(model(*given.values()), y).backward()
    found = {}
    for name, leaf in leaves.items():
        if leaf.grad is None:
            raise ValueError(f"the result does not depend on {name!r}")
        found[name] = budget_of(leaf.grad)
    return found


def assert_gradients_agree(
    actual: Mapping[str, Array], expected: Mapping[str, Array], budget: Mapping[str, Budget]
) -> None:
    """Assert that gradients differ by no more than rounding explains: 6 standard deviations.

    Each element is judged by its own budget, and each tensor as a whole: a factor or a bias that is
    common to its elements shows before any of them is out of its budget.

    Args:
        actual: of the engine under test, by name.
        expected: the reference's, for example torch's, or the `value` of each budget.
        budget: from `gradient_budget`, of the same function at the same inputs.

    Raises:
        AssertionError: they differ by more; it names the tensor, the element, both values, and
            what is allowed.
        ValueError: names, shapes or dtypes differ from the expected ones, a budget is missing, or
            there is nothing that could be judged.
    """
    __tracebackhide__ = True
    if not expected or (missing := sorted(expected.keys() - budget.keys())):
        what = f"no budget of {', '.join(missing)}" if expected else "no gradients"
        raise ValueError(f"there is {what}: give what `gradient_budget` returned for these inputs")
    found = compare(actual, expected, budget)
    if found.worst_used > 1:
        at = found.worst_at
        values = [float.fromhex(at[side]) for side in ("actual", "expected")]
        if "judge" in at:
            raise AssertionError(
                f"{at['parameter']}{at['index']}: actual and expected are both {values[0]!r}, and "
                f"the budget's value is {float.fromhex(at['judge'])!r}: both are wrong"
            )
        if math.isfinite(values[0]) and not math.isfinite(values[1]):
            raise AssertionError(
                f"{at['parameter']}{at['index']}: expected {values[1]!r} is swallowed: actual is "
                f"{values[0]!r}"
            )
        raise AssertionError(
            f"{at['parameter']}{at['index']}: actual {values[0]!r}, expected {values[1]!r}, "
            f"allowed difference {at['budget']:.3g}: {found.worst_used:.3g} times the budget"
        )
    if found.unlimited == found.elements:
        raise ValueError("no element has a finite budget: all lie beside an overflow")
    if found.aggregate_used > 1:
        assert found.aggregate_at is not None
        raise AssertionError(
            f"{found.aggregate_at['parameter']} as a whole: every element is within its budget, "
            f"but all of them differ alike: {fit(found.aggregate_at)}, "
            f"{found.aggregate_used:.3g} times the budget"
        )


RETURNED = ("loss", "gradient", "new parameter", "new buffer")
"""What a step returns, in order; buffers with momentum alone."""


def assert_training_agrees(
    actual_step: Callable[..., Any],
    problem: str | Path | Mapping[str, Any] | object,
    *,
    steps: int = 20,
    seed: int | None = None,
    dtype: str = "float32",
) -> None:
    """Assert that training steps of someone's own code do what a problem says, within the budget.

    Each step begins where the one before has ended, and is judged by the budget of that very step:
    loss, gradients, new parameters and, with momentum, the buffers.

    Args:
        actual_step: with momentum called as `actual_step(parameters, buffers, x, y)`, otherwise as
            `actual_step(parameters, x, y)`; a model of several inputs has them all before y.
            Parameters and buffers are NumPy arrays by torch's names; there are no buffers before
            the first step. It returns loss, gradients and new parameters, with momentum also the
            new buffers, by the same names, of the same shapes and dtype.
        problem: a file of functions in torch's names, or a module, a class or a dict that has them.
        steps: how many are taken.
        seed: of the data and the initial parameters; None for the problem's own, or 0.
        dtype: "float32" or "float64".

    Raises:
        AssertionError: something differs by more than rounding explains; it says in which step.
        ProblemError: the problem cannot be trained as it is written.
        ValueError: what was returned has other names, shapes or dtypes than there must be.
    """
    __tracebackhide__ = True
    task = describe(Judge(), _problem(problem), seed, dtype, "cpu")
    with np.errstate(all="ignore"):
        start = MinigradEngine().draw(task)
        budgeted_step = BudgetedStep(task, start)
        parameters, buffers = start.parameters, dict[str, Array]()
        for step in range(min(steps, task.steps)):
            budget = budgeted_step(parameters, buffers, step)
            rows = task.rows(step)
            data = [a if rows is None else a[rows] for a in (*start.inputs, start.y)]
            state = [parameters, buffers] if task.momentum else [parameters]
            loss, *found = actual_step(*copy.deepcopy(state), *copy.deepcopy(data))
            found.insert(0, {"": np.array(float(loss), dtype)})
            budgets = [{"": budget.loss}, budget.gradients, budget.parameters]
            budgets += [budget.momentum_buffers] if task.momentum else []
            for what, actual, of in zip(RETURNED, found, budgets, strict=False):
                try:
                    assert_gradients_agree(actual, {n: b.value for n, b in of.items()}, of)
                except AssertionError as error:
                    raise AssertionError(f"step {step}, {what} {error}") from None
            parameters, *rest = (dict(arrays) for arrays in found[2:])
            buffers = rest[0] if rest else {}


class _Functions(Problem):
    """Functions that are there already, in place of a file."""

    functions: Mapping[str, Any]

    def _module(self) -> dict[str, Any]:
        return dict(self.functions)


def _problem(problem: Any) -> Problem:
    if isinstance(problem, Problem):
        return problem
    if isinstance(problem, str | Path):
        return read(Path(problem), Path(problem).stem)
    functions = problem if isinstance(problem, Mapping) else vars(problem)
    named = getattr(problem, "__name__", type(problem).__name__)
    found = _Functions(str(named), str(getattr(problem, "__file__", named)), "")
    object.__setattr__(found, "functions", {
        name: f.__func__ if isinstance(f, staticmethod) else f for name, f in functions.items()
    })  # fmt: skip
    return found
