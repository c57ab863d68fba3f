"""gradients: from the same parameters, every element of every gradient is within its budget.

The budget is derived, not chosen: see `parity.checks.budget` and `minigrad.arrays.budgeted`. Two
values, each with a rounding error of deviation σ, differ by √2·σ; an element passes up to `Z` times
that. `make calibrate` tells how often correct engines differ by how much.

Where the input of a ReLU is exactly 0 there is no choice: the derivative is torch's, 0. Networks
hardly ever meet that, so gradients are judged at such a start (`at_zero`), too.

At a kink the other engine may have made the other choice. What that changes is known for every
element of every gradient, so it is not simply allowed. The differences tell, for each kink as a
whole, whether the choice was made; what remains is judged as usual.

Beside the elements, each tensor as a whole: a scale factor, or a bias, that is common to all its
elements can be told from rounding long before any single element is out of its budget.
"""

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from parity.checks import words
from parity.checks.bits import same, ulp_distance, values_at
from parity.checks.budget import Budget
from parity.checks.choices import explain_kinks
from parity.checks.words import Document, wrong_of
from parity.engines.protocol import Array, Start, elsewhere, require_same

Z = 6.0
"""An element's budget, in standard deviations of a difference."""

AGGREGATE_Z, COMMON = 6.0, 0.2
"""The aggregate's budget in standard errors, and the share of the variance of an element's error
that all elements of a tensor may have in common: at batch 1 errors are nearly the same in all."""

LEVELS = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)
"""Shares of a tensor's elements; the report tells which share of its budget each stays below."""


class Comparison(NamedTuple):
    """How two engines' tensors compare.

    Attributes:
        worst_used: the largest |actual - expected| / budget of all elements.
        worst_at: where that is, both values in full, and the budget there; the judge's own value
            where both engines have the same NaN or infinity, and are wrong.
        elements: how many were compared.
        unlimited: elements whose budget is not finite, beside an overflow: nothing is judged there.
        choices: kinks at which the engines chose differently.
        aggregate_used: the largest share that a tensor's scale factor or bias has of its budget.
        aggregate_at: the tensor, the fitted scale factor and bias, and their standard errors.
        tensors: for each its `parameter`, `elements`, its `worst` element's share of its budget,
            and, of gradients, its `aggregate_used`; `quantiles` of the shares where asked for.
    """

    worst_used: float
    worst_at: dict[str, Any]
    elements: int
    unlimited: int
    choices: int
    aggregate_used: float
    aggregate_at: dict[str, Any] | None
    tensors: list[dict[str, Any]]

    @property
    def passed(self) -> bool:
        """Whether every element and every tensor is within its budget."""
        return self.worst_used <= 1 and self.aggregate_used <= 1


def check_gradients(
    actual: Mapping[str, Array],
    expected: Mapping[str, Array],
    budgets: Mapping[str, Budget],
    kinks: int,
) -> dict[str, Any]:
    """Compare the gradients of two engines; `expected` names the tensors there must be.

    A NaN or infinity agrees with the same one in the same place, and with nothing else; nor with
    that one where the judge's own value is far from an overflow: then both engines are wrong.

    Args:
        actual, expected: the gradients by the parameters' names.
        budgets: of every gradient, for these parameters and data.
        kinks: how many comparisons were in doubt.

    Raises:
        ValueError: an engine returned other tensors, shapes or dtypes than the expected ones.
    """
    found = compare(actual, expected, budgets, quantiles=True)
    ulps = {name: ulp_distance(actual[name], expected[name]) for name in expected}
    return {
        "passed": found.passed,
        "elements": found.elements,
        "worst_budget_used": found.worst_used,
        "worst_at": found.worst_at,
        "max_ulp": max((float(d.max(initial=0.0)) for d in ulps.values()), default=0.0),
        "kinks": kinks,
        "choices": found.choices,
        "unlimited": found.unlimited,
        "aggregate_used": found.aggregate_used,
        "aggregate_at": found.aggregate_at,
        "per_parameter": found.tensors,
    }


def at_zero(start: Start) -> Start:
    """Return the start of a chain with other data, and the first unit of each hidden layer 0.

    Its ReLU's input is exactly 0 for every sample, whatever the order of summation. So there is no
    kink in doubt, and the derivative is torch's, which is 0. With other data it is seen if an
    engine keeps those, or the targets, that it was given first.
    """
    other = elsewhere(start)
    parameters = {name: array.copy() for name, array in start.parameters.items()}
    last = list(parameters)[-1].partition(".")[0]
    for name in parameters:
        if name.partition(".")[0] != last:
            parameters[name][0] = 0
    return replace(other, parameters=parameters)


def describe_gradients(verdict: Document, architecture: Document, settings: Document) -> str:
    """Return how many elements were compared, and how much of their budgets they use."""
    where = ""
    if verdict.get("at_zero"):
        where = "; with other data, and where the inputs of some ReLUs are exactly 0"
    return f"{verdict['elements']:,} elements; {words.budget(verdict)}{where}"


def compare(
    actual: Mapping[str, Array],
    expected: Mapping[str, Array],
    budgets: Mapping[str, Budget],
    what: str = "gradients",
    *,
    quantiles: bool = False,
) -> Comparison:
    """Compare tensors with their budgets; of gradients each tensor as a whole, too.

    See `check_gradients`.
    """
    require_same(actual, expected, what)
    with np.errstate(all="ignore"):
        differences = {n: np.subtract(actual[n], expected[n], dtype=np.float64) for n in expected}
        allowed = {name: tolerance(budgets[name]) for name in expected}
        slack = {name: budgets[name].slack for name in expected}
        choices = explain_kinks(actual, expected, differences, budgets, allowed, slack)
        worst, at, unlimited = 0.0, ("", 0), 0
        aggregate, aggregate_at = 0.0, None
        tensors: list[dict[str, Any]] = []
        for name, difference in differences.items():
            budget, allowed_of, sides = budgets[name], allowed[name], (actual[name], expected[name])
            used = shares(difference, allowed_of, budget, *sides)
            unlimited += int(np.count_nonzero(~np.isfinite(allowed_of)))
            top = used.max(initial=0.0)
            tensors.append({"parameter": name, "elements": used.size, "worst": float(top)})
            if quantiles:
                tensors[-1]["quantiles"] = _quantiles(used)
            if top > worst or not at[0]:
                worst, at = float(top), (name, int(used.argmax()) if used.size else 0)
            if what != "gradients":
                continue
            share, fit = _aggregate(difference, expected[name], budget, slack[name])
            tensors[-1]["aggregate_used"] = share
            if share > aggregate:
                aggregate, aggregate_at = share, {"parameter": name, **fit}
    name, flat = at
    index = np.unravel_index(flat, expected[name].shape)
    place = {
        "parameter": name,
        **values_at(index, actual[name], expected[name]),
        "budget": float(allowed[name][index]),
    }
    if worst == math.inf and same(actual[name], expected[name])[index]:
        place |= {"judge": float(budgets[name].value[index]).hex(), "wrong": "both"}
    elif worst > 1 and (finite := budgets[name].finite) and not math.isfinite(place["budget"]):
        right = (_if_finite(side[name], budgets[name])[index] <= 1 for side in (actual, expected))
        judge = float(finite[0][index]).hex()
        place |= {"budget": None, "judge": judge, "wrong": wrong_of(*right)}
    return Comparison(
        worst,
        place,
        sum(tensor.size for tensor in expected.values()),
        int(unlimited),
        choices,
        aggregate,
        aggregate_at,
        tensors,
    )


def tolerance(budget: Budget) -> Array:
    """Return the largest difference allowed to each element."""
    allowed = _of_rounding(budget, budget.deviation)
    if budget.slack is not None:
        allowed += budget.slack
    return allowed


def _of_rounding(budget: Budget, deviation: Array) -> Array:
    """Return the largest difference that rounding may make.

    Underflow may lose the smallest normal number. The variances themselves underflow for float64
    values below its square root, 1.5e-154, and some roundings of such values are allowed.
    """
    info = np.finfo(budget.value.dtype)
    lost = float(info.smallest_normal)
    if info.bits == 64:
        lost += 16 * float(info.eps) * math.sqrt(lost)
    allowed: Array = deviation * (math.sqrt(2) * Z)
    allowed += lost
    return allowed


def shares(
    difference: Array, allowed: Array, budget: Budget, actual: Array, expected: Array
) -> Array:
    """Return the share of what is allowed that each element uses.

    It is inf where one side is not finite and the other is not the same, or both are the same and
    the judge's value is far from an overflow. Where the order of summation decides whether an
    element overflows, it may be infinite or NaN; what is finite is judged by what it is if nothing
    overflows. If that is not known the share is 0, and nothing is judged.
    """
    used = np.abs(difference)
    used /= allowed
    if math.isfinite(float(used.max(initial=0.0)) + float(allowed.sum())):
        return used
    used = np.where(np.isfinite(allowed), used, 0)
    finite = np.isfinite(actual), np.isfinite(expected)
    largest = np.finfo(budget.value.dtype).max
    alike = same(actual, expected)
    alike &= ~(np.abs(budget.value, dtype=np.float64) + allowed < largest)
    used = np.where(np.logical_and(*finite), used, np.where(alike, 0, np.inf))
    either = False if budget.slack is None else ~np.isfinite(budget.slack)
    if budget.finite is not None:  # then an engine that computes in more bits may have less
        either |= ~np.isfinite(budget.value) & np.logical_or(*finite)
    shares = np.maximum(*(_if_finite(side, budget) for side in (actual, expected)))
    return np.where(either, shares, used)


def _if_finite(side: Array, budget: Budget) -> Array:
    """Return the shares that the finite elements use of what is allowed if nothing overflows."""
    if budget.finite is None:
        return np.zeros(side.shape)
    value, deviation = budget.finite
    allowed = _of_rounding(budget, deviation)
    far = np.abs(side - value)
    used = np.where(np.isnan(far), np.inf, far / allowed)
    return np.where(np.isfinite(side) & np.isfinite(allowed), used, 0)


def _aggregate(
    difference: Array, expected: Array, budget: Budget, slack: Array | None
) -> tuple[float, dict[str, float]]:
    """Fit difference = scale·expected + noise, and = bias + noise, by weighted least squares.

    Each has the standard error √((1 + COMMON·n) / Σw·f²), w = 1/(2σ²), f = expected or 1: of
    independent errors it would be √(1 / Σw·f²).
    """
    judged = budget.deviation > 0
    if not math.isfinite(float(budget.deviation.sum() + difference.sum())):
        judged &= np.isfinite(budget.deviation) & np.isfinite(difference)
        difference, expected = np.where(judged, difference, 0), np.where(judged, expected, 0)
    judged = judged.ravel()
    smallest = float(np.finfo(budget.value.dtype).smallest_normal)
    weights = np.zeros(judged.shape)
    np.divide(0.5, np.square(budget.deviation.ravel() + smallest), out=weights, where=judged)
    errors, values = (np.asarray(a, np.float64).ravel() for a in (difference, expected))
    common = 1 + COMMON * np.count_nonzero(judged)
    scaled = weights * values
    worst = 0.0
    fit: dict[str, float] = {}
    for name, weighted, information in (
        ("scale", scaled, float(scaled @ values)),
        ("bias", weights, float(weights.sum())),
    ):
        if not (0 < information < math.inf):
            continue
        found = float(weighted @ errors) / information
        free = 0.0
        if slack is not None:
            free = float(np.abs(weighted) @ np.where(judged, slack.ravel(), 0)) / information
        error = math.sqrt(common / information)
        fit |= {name: found, f"{name}_error": error}
        worst = max(worst, max(abs(found) - free, 0.0) / (AGGREGATE_Z * error))
    return worst, fit


def _quantiles(used: Array) -> list[float]:
    """Return at each of the LEVELS a share of the budget that is there, not one between two."""
    if used.size == 0:
        return [0.0] * len(LEVELS)
    return [float(q) for q in np.quantile(used, LEVELS, method="inverted_cdf")]
