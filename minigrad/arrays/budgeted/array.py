"""`BudgetedArray`: values that know how far rounding may have moved them.

The rules, the sweep and the optimiser run on it unchanged, on the same values with the same bits,
and what they compute beside the values is the tolerance by which another correct engine's results
may differ: the *budget*. Beside its values an array has

- a *variance* σ², in units of u², of each value's rounding error (`rounding`
  derives the rule of each call). Without one the values are exact, as where a computation starts.
- a *slack*, which bounds what kinks may change (`kinks`). It is there only once
  there was a kink. Where a choice is in doubt, the slack grows by the distance to what the other
  choice would have given; from there it passes on linearly through absolute values. A slack of a
  mask is 1 where the mask may be either.

maximum, minimum and |x| have kinks, too, but no jumps: they change by no more than their inputs
do. Where it is in doubt which input a maximum is, it takes the larger of both errors. So a ReLU
whose input is slightly below zero returns 0 with the error of its input, and the comparison with 0
in its derivative sees that it is in doubt.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from minigrad.arrays.budgeted import calls
from minigrad.arrays.budgeted import parts as budget_parts
from minigrad.arrays.budgeted import sums as budget_sums
from minigrad.arrays.budgeted.parts import Budgeted
from minigrad.arrays.budgeted.rounding import unit_roundoff
from minigrad.vocabulary import FUNCTIONS, UFUNCS

DOUBLE = np.dtype(np.float64)
QUESTIONS = frozenset({np.any, np.can_cast, np.result_type, np.shape})
"""Asked about arrays besides the vocabulary: the answer is no array of ours."""


class BudgetedArray:
    """An array for which the vocabulary of the rules computes values and their budgets.

    It wraps an ndarray, without a copy. All operations are NumPy's on the values, bit for bit.

    Args:
        array: the values.
        variance: σ² of each in units of u², float64; None for exact values.
        slack: an absolute bound on what kinks may change, float64; None for no kinks.

    Raises (all operations):
        TypeError: the call is not in `minigrad.vocabulary`, or rounds to integers.
    """

    __slots__ = ("_is_view", "_parts")

    def __init__(
        self,
        array: Any,
        variance: Any = None,
        slack: Any = None,
        shifts: dict[int, Any] | None = None,
        repeats: tuple[int, float] | None = None,
        terms: int = 0,
    ) -> None:
        self._parts = Budgeted(np.asarray(array), variance, slack, shifts or {}, repeats, terms)
        self._is_view = False

    # ---- what it is -------------------------------------------------------------------------

    dtype = property(lambda self: self._parts.value.dtype)
    flags = property(lambda self: self._parts.value.flags)
    ndim = property(lambda self: self._parts.value.ndim)
    shape = property(lambda self: self._parts.value.shape)
    size = property(lambda self: self._parts.value.size)

    @property
    def base(self) -> Any:
        """The ndarray that holds the values."""
        return self._parts.value

    @property
    def variance(self) -> Any:
        """σ² of each value, float64, in units of u²."""
        return _filled(self._parts.variance, self.shape)

    @property
    def deviation(self) -> Any:
        """The standard deviation of each value's rounding error, float64, absolute."""
        return np.sqrt(self.variance) * unit_roundoff(self.dtype)

    @property
    def slack(self) -> Any:
        """How much kinks may change each value, float64, absolute."""
        return _filled(np.asarray(self._parts.total_slack()), self.shape)

    @property
    def unfollowed_slack(self) -> Any:
        """The part of the slack that is not in `shifts`; None if there is none."""
        slack = self._parts.slack
        return None if slack is None else _filled(slack, self.shape)

    @property
    def shifts(self) -> dict[int, Any]:
        """For each kink that is followed, how the other choice would move each value."""
        return {n: _filled(shift, self.shape) for n, shift in self._parts.shifts.items()}

    @property
    def mT(self) -> BudgetedArray:
        """The matrix with its axes exchanged, in the same memory."""
        return _view(self._parts.map(lambda part: part.mT).flipped())

    def item(self) -> float | int | bool:
        """Return the value of the only element."""
        value: float | int | bool = self._parts.value.item()
        return value

    def tolist(self) -> Any:
        """Return the values as nested lists of Python numbers."""
        return self._parts.value.tolist()

    def __len__(self) -> int:
        return len(self._parts.value)

    def __repr__(self) -> str:
        return f"BudgetedArray({np.array2string(self._parts.value)})"

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        """Return the values, read-only: written to, they would no longer fit their budgets."""
        view = self._parts.value.view()
        view.flags.writeable = False
        return np.array(view, dtype=dtype, copy=copy)

    def __getitem__(self, key: Any) -> BudgetedArray:
        return _view(self._parts.map(lambda part: part[_plain(key)]))

    def __setitem__(self, key: Any, value: Any) -> None:
        key, new, old = _plain(key), budget_parts.converted(_asked(value), self.dtype), self._parts
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
        self._parts = Budgeted(
            old.value,
            written(old.variance, new.variance),
            written(old.slack, new.slack),
            {number: shift for number, shift in shifts.items() if shift is not None},
        )

    # ---- NumPy's calls ----------------------------------------------------------------------

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
        with np.errstate(all="ignore"):
            if method == "__call__" and ufunc in UFUNCS and not options.keys() - {"out"}:
                (out,) = options.get("out") or (None,)
                dtype = np.result_type(*map(_plain, inputs))
                result = calls.elementwise(ufunc, *(_asked(x, dtype) for x in inputs))
                if out is None:
                    return BudgetedArray(*result)
                out[...] = BudgetedArray(*result)
                return out
            if method == "reduce" and ufunc is np.add:
                return BudgetedArray(*budget_sums.add_reduce(*map(_asked, inputs), **options))
            if method == "reduce" and ufunc in (np.maximum, np.minimum):
                return BudgetedArray(*calls.extremum(ufunc, *map(_asked, inputs), **options))
            if method == "at" and ufunc is np.add and isinstance(inputs[0], BudgetedArray):
                out, key, values = inputs
                out._parts = budget_sums.add_at(out._parts, _plain(key), _asked(values))
                return None
        raise _unknown(f"{ufunc.__name__}.{method} with {sorted(options)}")

    def __array_function__(
        self, function: Callable[..., Any], types: Any, arguments: Any, options: Any
    ) -> Any:
        if function in QUESTIONS:
            return function(*map(_plain, arguments), **options)
        if function is np.copyto:
            out, source = arguments
            out[...] = source
            return None
        if function not in FUNCTIONS:
            raise _unknown(function.__name__)
        x, *others = arguments
        if function is np.where:
            return BudgetedArray(*calls.where(*map(_asked, arguments)))
        if function is np.concatenate:
            return BudgetedArray(
                *budget_parts.concatenated(list(map(_asked, x)), *others, **options)
            )
        if function is np.astype:
            return BudgetedArray(*budget_parts.converted(x._parts, *others, **options).map(np.copy))
        if function is np.zeros_like:
            return BudgetedArray(np.zeros_like(x._parts.value, **options))
        moved = x._parts.map(lambda part: function(part, *others, **options))
        if function is np.transpose and x.ndim == 2 and others[0][0] % 2 == 1:
            moved = moved.flipped()
        return BudgetedArray(*moved) if function is np.copy else _view(moved)


def _plain(value: Any) -> Any:
    """Return `value` with the arrays in it as ndarrays."""
    if isinstance(value, BudgetedArray):
        return value._parts.value
    if isinstance(value, (tuple, list)):
        return type(value)(map(_plain, value))
    return value


def _asked(value: Any, dtype: Any = DOUBLE) -> Budgeted:
    """Return what stands beside budgeted arrays in a call as their calls take it."""
    if isinstance(value, BudgetedArray):
        return value._parts
    return budget_parts.operand(value, dtype)


def _view(parts: Budgeted) -> BudgetedArray:
    view = BudgetedArray(*parts)
    view._is_view = True
    return view


def _filled(part: Any, shape: tuple[int, ...]) -> Any:
    return np.zeros(shape) if part is None else np.broadcast_to(part, shape)


def _unknown(call: str) -> TypeError:
    return TypeError(f"{call}: a BudgetedArray knows the calls in minigrad.vocabulary only")
