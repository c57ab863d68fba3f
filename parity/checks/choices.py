"""Choices at kinks: where two correct engines may differ, and by what."""

import math
from collections.abc import Mapping

import numpy as np

from parity.checks.budget import Budget
from parity.engines.protocol import Array

UNDECIDED = 0.1
"""The largest standard error, in budgets, of a coefficient that tells the choice at a kink."""


def explain_kinks(
    actual: Mapping[str, Array],
    expected: Mapping[str, Array],
    differences: dict[str, Array],
    budgets: Mapping[str, Budget],
    allowed: dict[str, Array],
    slack: dict[str, Array | None],
) -> int:
    """Find the kinks at which the engines chose differently; subtract what that changed.

    How far each engine is from the judge is fitted by the shifts, weighted by the budgets. A
    coefficient near 1 is a choice that the engine made and the judge did not. It is believed: were
    it wrong, the differences would grow. It is 0 or 1: at a kink there are two derivatives, and
    any other is wrong. A kink whose coefficient cannot be told, because it changes too little or
    the same as another kink, is added to the slack. Of these, too, each engine may be away from the
    judge by what lies between none of the shifts and all of them, and not in the other direction.
    """
    touched = [name for name in differences if budgets[name].shifts]
    if not any((np.abs(differences[n]) > allowed[n]).any() for n in touched):
        return 0
    numbers = sorted({number for name in touched for number in budgets[name].shifts})
    normal, right = np.zeros((len(numbers),) * 2), np.zeros((len(numbers), 2))
    for name in touched:
        weights = 1 / np.where(np.isfinite(differences[name]), allowed[name], np.inf).ravel()
        rows = [i for i, number in enumerate(numbers) if number in budgets[name].shifts]
        shifts = np.stack([budgets[name].shifts[numbers[i]].ravel() * weights for i in rows])
        shifts = np.where(np.isfinite(shifts), shifts, 0)
        normal[np.ix_(rows, rows)] += shifts @ shifts.T
        for side, tensors in enumerate((actual, expected)):
            far = np.subtract(tensors[name], budgets[name].value, dtype=np.float64).ravel()
            right[rows, side] += shifts @ np.nan_to_num(far * weights)
    # Scaled to a diagonal of 1, with so little added that what is not determined has huge errors.
    scale = np.sqrt(np.where(np.diag(normal) > 0, np.diag(normal), 1))
    inverse = np.linalg.inv(normal / np.outer(scale, scale) + 1e-10 * np.eye(len(numbers)))
    taken = np.clip(np.round(inverse @ (right / scale[:, None]) / scale[:, None]), 0, 1)
    chosen = taken[:, 0] - taken[:, 1]
    undecided = np.sqrt(np.diag(inverse)) / scale > UNDECIDED
    for name in touched:
        known, of = allowed[name], budgets[name].shifts
        for choice, unknown, number in zip(chosen, undecided, numbers, strict=True):
            if number not in of:
                continue
            if unknown:
                allowed[name] = allowed[name] + np.abs(of[number])
                slack[name] = np.abs(of[number]) + (0 if slack[name] is None else slack[name])
            elif choice:
                differences[name] = differences[name] - choice * of[number]
        if allowed[name] is known:
            continue
        for side, tensors in enumerate((actual, expected)):
            times = np.where(undecided, np.nan, taken[:, side])
            moved = dict(zip(numbers, times.tolist(), strict=True))
            beyond = _beyond(tensors[name], budgets[name], moved)
            # Judged is the worse of the two: this side by itself, or the difference of both.
            worse = np.abs(beyond) * allowed[name] > np.abs(differences[name]) * known
            differences[name] = np.where(worse, beyond, differences[name])
            allowed[name] = np.where(worse, known, allowed[name])
    return int(np.count_nonzero(chosen * ~undecided))


def _beyond(tensor: Array, budget: Budget, moved: Mapping[int, float]) -> Array:
    """Return how far an engine is from where its choices can take it from the judge.

    Args:
        tensor: of the engine.
        budget: of the tensor.
        moved: for each kink 1 if the engine chose otherwise, else 0; NaN if that is not known.
    """
    low = high = np.zeros(tensor.shape)
    for number, shift in budget.shifts.items():
        times = moved[number]
        low = low + (np.minimum(shift, 0) if math.isnan(times) else times * shift)
        high = high + (np.maximum(shift, 0) if math.isnan(times) else times * shift)
    far = np.subtract(tensor, budget.value, dtype=np.float64)
    beyond: Array = far - np.clip(far, low, high)
    return beyond
