"""Comparisons, and what is true of elements: bool tensors, which have no gradient."""

from collections.abc import Callable
from typing import Any, Self, TypeVar

import numpy as np

from minigrad.dtypes import bool_
from minigrad.ops import RULE_OF, Rule, comparison
from minigrad.tensor.base import TensorBase, require_tensor
from minigrad.tensor.conversion import is_operand
from minigrad.tensor.inplace import InPlace
from minigrad.tensor.reduction import VOID, Dims, one_of, reduce

C = TypeVar("C", bound=InPlace)


def compared(forward: Callable[..., Any], what: str) -> Callable[[C, Any], C]:
    """Return the method that compares with a rule."""

    def compare(input: C, other: Any) -> C:
        return input._binary(RULE_OF[forward], input, other)

    compare.__name__, compare.__doc__ = forward.__name__, f"Whether {what}, a bool tensor."
    return compare


class Logic(InPlace):
    """Comparisons and conditions of `Tensor` under torch's names."""

    eq = compared(comparison.eq, "the elements are equal")
    ne = compared(comparison.ne, "the elements differ")
    lt = compared(comparison.lt, "input is less than other")
    le = compared(comparison.le, "input is at most other")
    gt = compared(comparison.gt, "input is greater than other")
    ge = compared(comparison.ge, "input is at least other")

    def isnan(input) -> Self:
        """Whether the elements are NaN, a bool tensor."""
        return input._each(RULE_OF[comparison.isnan])

    def isinf(input) -> Self:
        """Whether the elements are inf or -inf, a bool tensor."""
        return input._each(RULE_OF[comparison.isinf])

    def isfinite(input) -> Self:
        """Whether the elements are neither infinite nor NaN, a bool tensor."""
        return input._each(RULE_OF[comparison.isfinite])

    def any(
        input, dim: Dims = None, keepdim: bool = False, *, axis: Dims = VOID, keepdims: bool = VOID
    ) -> Self:
        """Whether an element is not 0, over `dim` (one axis or several; all by default)."""
        return quantified(RULE_OF[comparison.any], input, dim, keepdim, axis, keepdims)

    def all(
        input, dim: Dims = None, keepdim: bool = False, *, axis: Dims = VOID, keepdims: bool = VOID
    ) -> Self:
        """Whether no element is 0, over `dim` (one axis or several; all by default)."""
        return quantified(RULE_OF[comparison.all], input, dim, keepdim, axis, keepdims)

    def equal(input, other: TensorBase) -> bool:
        """Return whether shapes and elements are equal; NaN equals nothing."""
        other = require_tensor("equal", other)
        return np.array_equal(np.asarray(input._array), np.asarray(other._array))

    def allclose(
        input, other: TensorBase, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False
    ) -> bool:
        """Return whether everywhere |input - other| <= atol + rtol·|other|, broadcast.

        Raises:
            RuntimeError: dtypes differ, a tolerance is negative, or shapes do not broadcast.
        """
        other = require_tensor("allclose", other)
        if input.dtype != other.dtype:
            raise RuntimeError(
                f"allclose: {input.dtype} did not match {other.dtype}: convert one, for example "
                "with .double()"
            )
        if not (rtol >= 0 and atol >= 0):
            raise RuntimeError(f"allclose: rtol={rtol} and atol={atol} must not be negative")
        x, y = np.asarray(input._array), np.asarray(other._array)
        try:
            return bool(np.isclose(x, y, rtol, atol, equal_nan).all())
        except ValueError as error:
            raise RuntimeError(
                f"allclose: shapes {list(x.shape)} and {list(y.shape)} do not broadcast"
            ) from error

    # ---- operators --------------------------------------------------------------------------

    def __eq__(input, other: Any) -> Any:
        return input.eq(other) if is_operand(other) else NotImplemented

    def __ne__(input, other: Any) -> Any:
        return input.ne(other) if is_operand(other) else NotImplemented

    def __invert__(input) -> Self:
        if input.dtype.kind == "f":
            raise TypeError(f"~: implemented for tensors of dtype bool, not {input.dtype}")
        require_bool("~", input)
        return input.eq(False)

    def __and__(input, other: Any) -> Self:
        return input._both(RULE_OF[comparison.logical_and], "&", other)

    def __or__(input, other: Any) -> Self:
        return input._both(RULE_OF[comparison.logical_or], "|", other)

    def __xor__(input, other: Any) -> Self:
        return input._both(RULE_OF[comparison.ne], "^", other)

    def _both(input, rule: Rule, sign: str, other: Any) -> Self:
        """Combine two bool tensors, or one and a bool."""
        require_bool(sign, input, other)
        return input._binary(rule, input, other)

    def __iand__(input, other: Any) -> Self:
        return input._in_place("&=", lambda x: x & other, other)

    def __ior__(input, other: Any) -> Self:
        return input._in_place("|=", lambda x: x | other, other)

    def __ixor__(input, other: Any) -> Self:
        return input._in_place("^=", lambda x: x ^ other, other)

    __hash__ = object.__hash__
    __lt__, __le__, __gt__, __ge__ = lt, le, gt, ge
    __rand__, __ror__, __rxor__ = __and__, __or__, __xor__


T = TypeVar("T", bound=Logic)


def quantified(rule: Rule, x: T, dim: Any, keepdim: bool, axis: Any, keepdims: Any) -> T:
    """Apply `any` or `all`; an empty sequence of axes is none of them, and not all."""
    dims = one_of(rule.name, "dim", dim, "axis", axis)
    if isinstance(dims, (tuple, list)) and not dims:
        return x._apply(rule, x, axis=(), keepdims=False)
    return reduce(rule, x, dims, keepdim, VOID, keepdims)


def require_bool(sign: str, *operands: Any) -> None:
    """Raise where an operand of a logical operator is no bool tensor and no bool."""
    for x in operands:
        if not isinstance(x, bool) and not (isinstance(x, TensorBase) and x.dtype == bool_):
            given = x.dtype if isinstance(x, TensorBase) else type(x).__name__
            raise NotImplementedError(
                f"{sign}: implemented for tensors of dtype bool, not {given}: bits of integers are "
                "not combined here; compare first, for example x != 0"
            )
