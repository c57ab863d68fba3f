"""`BudgetedArray`: values that know how far rounding may have moved them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from minigrad.arrays.budgeted import kinks, smooth, summation
from minigrad.arrays.budgeted.matrix_products import matmul
from minigrad.arrays.budgeted.values import (
    Budgeted,
    concatenated,
    converted,
    operand,
    unit_roundoff,
)
from minigrad.arrays.wrapped import WrappedArray

DOUBLE = np.dtype(np.float64)


class BudgetedArray(WrappedArray):
    """An array for which the vocabulary of the rules computes values and their budgets.

    It wraps an ndarray, without a copy. All operations are NumPy's on the values, bit for bit.

    Args:
        array: the values.
        variance: σ² of each in units of u², float64; None for exact values.
        slack: an absolute bound on what kinks may change, float64; None for no kinks.

    Raises (all operations):
        TypeError: the call is not in `minigrad.vocabulary`, or rounds to integers.
    """

    __slots__ = ("_array", "_budgeted", "_is_view")

    QUESTIONS = WrappedArray.QUESTIONS | {np.any}

    def __init__(self, array: Any, variance: Any = None, slack: Any = None) -> None:
        self._array = np.asarray(array)
        self._budgeted = Budgeted(self._array, variance, slack)
        self._is_view = False

    @classmethod
    def of(cls, budgeted: Budgeted, *, is_view: bool = False) -> BudgetedArray:
        """Return the array of a call's result; a view is in the memory of another array."""
        out = cls.__new__(cls)
        out._array = np.asarray(budgeted.value)
        out._budgeted = budgeted._replace(value=out._array)
        out._is_view = is_view
        return out

    # ---- what it is -------------------------------------------------------------------------

    @property
    def variance(self) -> Any:
        """σ² of each value, float64, in units of u²."""
        return _filled(self._budgeted.variance, self.shape)

    @property
    def deviation(self) -> Any:
        """The standard deviation of each value's rounding error, float64, absolute."""
        return np.sqrt(self.variance) * unit_roundoff(self.dtype)

    @property
    def slack(self) -> Any:
        """How much kinks may change each value, float64, absolute."""
        return _filled(np.asarray(self._budgeted.total_slack()), self.shape)

    @property
    def unfollowed_slack(self) -> Any:
        """The part of the slack that is not in `shifts`; None if there is none."""
        slack = self._budgeted.slack
        return None if slack is None else _filled(slack, self.shape)

    @property
    def shifts(self) -> dict[int, Any]:
        """For each kink that is followed, how the other choice would move each value."""
        return {n: _filled(shift, self.shape) for n, shift in self._budgeted.shifts.items()}

    @property
    def mT(self) -> BudgetedArray:
        """The matrix with its axes exchanged, in the same memory."""
        return BudgetedArray.of(self._budgeted.mT, is_view=True)

    def __getitem__(self, key: Any) -> BudgetedArray:
        key = self._plain(key)
        return BudgetedArray.of(self._budgeted.map(lambda part: part[key]), is_view=True)

    def __setitem__(self, key: Any, value: Any) -> None:
        key, old = self._plain(key), self._budgeted
        new = converted(_budgeted(value), self.dtype)
        old.value[key] = new.value
        if old.exact and new.exact:
            return

        def written(own: Any, part: Any) -> Any:
            if key is ... and not self._is_view:
                return None if part is None else np.array(_filled(part, self.shape))
            if part is None and own is None:
                return None
            if own is None or own.shape != self.shape or not own.flags.writeable:
                if self._is_view:
                    raise TypeError(
                        "BudgetedArray: inexact values were written into a view of an exact array, "
                        "which could not know of it. Write to the array itself."
                    )
                own = np.array(_filled(own, self.shape))
            own[key] = 0 if part is None else part
            return own

        shifts = {
            number: written(old.shifts.get(number), new.shifts.get(number))
            for number in old.shifts | new.shifts
        }
        self._budgeted = Budgeted(
            old.value,
            written(old.variance, new.variance),
            written(old.slack, new.slack),
            {number: shift for number, shift in shifts.items() if shift is not None},
        )

    # ---- NumPy's calls ----------------------------------------------------------------------

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
        with np.errstate(all="ignore"):
            return super().__array_ufunc__(ufunc, method, *inputs, **options)

    def _call(self, ufunc: np.ufunc, inputs: tuple[Any, ...], out: Any) -> Any:
        dtype = np.result_type(*map(self._plain, inputs))
        operands = [_budgeted(x, dtype) for x in inputs]
        if ufunc is np.matmul:
            result = matmul(*operands)
        elif ufunc in smooth.SMOOTH:
            result = smooth.elementwise(ufunc, *operands)
        else:
            result = kinks.choice(ufunc, *operands)
        if out is None:
            return BudgetedArray.of(result)
        out[...] = BudgetedArray.of(result)
        return out

    def _reduce(self, ufunc: np.ufunc, x: Any, options: dict[str, Any]) -> Any:
        if ufunc is np.add:
            return BudgetedArray.of(summation.add_reduce(x._budgeted, **options))
        return BudgetedArray.of(kinks.extremum(ufunc, x._budgeted, **options))

    def _add_at(self, out: Any, key: Any, values: Any) -> None:
        if not isinstance(out, BudgetedArray):
            self._refuse(f"add.at of a {type(out).__name__}")
        out._budgeted = summation.add_at(out._budgeted, self._plain(key), _budgeted(values))

    def _copy_to(self, out: Any, values: Any) -> None:
        out[...] = values

    def _function(
        self, function: Callable[..., Any], arguments: tuple[Any, ...], options: dict[str, Any]
    ) -> Any:
        x, *others = arguments
        if function is np.where:
            return BudgetedArray.of(kinks.where(*map(_budgeted, arguments)))
        if function is np.concatenate:
            return BudgetedArray.of(concatenated(list(map(_budgeted, x)), *others, **options))
        if function is np.astype:
            return BudgetedArray.of(converted(x._budgeted, *others, **options).map(np.copy))
        if function is np.zeros_like:
            return BudgetedArray(np.zeros_like(x._array, **options))
        if function is np.transpose and x.ndim == 2 and others[0][0] % 2 == 1:
            return x.mT
        moved = x._budgeted.map(lambda part: function(part, *others, **options))
        return BudgetedArray.of(moved, is_view=function is not np.copy)


def _budgeted(value: Any, dtype: Any = DOUBLE) -> Budgeted:
    """Return an operand of a call as the functions of this package take it."""
    return value._budgeted if isinstance(value, BudgetedArray) else operand(value, dtype)


def _filled(part: Any, shape: tuple[int, ...]) -> Any:
    return np.zeros(shape) if part is None else np.broadcast_to(part, shape)
