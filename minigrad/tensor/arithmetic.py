"""Arithmetic, comparisons and functions of corresponding elements."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from minigrad.dtypes import beyond, bool_, int64, python_number, result_type
from minigrad.ops import RULES, Rule
from minigrad.tensor.base import Mixin, Number, is_tensor, require_tensor
from minigrad.tensor.promotion import (
    PLAIN,
    floating,
    is_operand,
    not_bool,
    promote,
    refuse_negative,
)

if TYPE_CHECKING:
    from minigrad.tensor import Tensor

POW_NUMBER = RULES["pow"].named("PowBackward2")
POW_TENSOR = RULES["pow"].named("PowBackward1")
RECIPROCAL = RULES["div"].named("MulBackward0")
RSUB = RULES["sub"].named("RsubBackward1")


class Elementwise(Mixin):
    """Element by element operations of `Tensor` under torch's names."""

    def add(input, other: Any, *, alpha: Number = 1) -> Tensor:
        """Input + alpha·other, broadcast."""
        return binary(
            RULES["add"], input, other if alpha == 1 else scaled("add", input, other, alpha)
        )

    def sub(input, other: Any, *, alpha: Number = 1) -> Tensor:
        """Input - alpha·other, broadcast."""
        return binary(
            RULES["sub"], input, other if alpha == 1 else scaled("sub", input, other, alpha)
        )

    def mul(input, other: Any) -> Tensor:
        """input·other element by element, broadcast."""
        return binary(RULES["mul"], input, other)

    def div(input, other: Any) -> Tensor:
        """Input / other, broadcast; integers are divided as float32."""
        return binary(RULES["div"], input, other, floating_point=True)

    def pow(input, exponent: Any) -> Tensor:
        """Input to the power of exponent, broadcast.

        Raises:
            RuntimeError: integers to negative powers, or the shapes do not broadcast.
        """
        exponent = python_number(exponent)
        if is_tensor(exponent):
            refuse_negative(input, exponent)
            return binary(POW_TENSOR, input, exponent)
        if not isinstance(exponent, (int, float)):
            raise TypeError(
                f"pow: exponent must be a tensor or a number, not {type(exponent).__name__}"
            )
        x, number = input, exponent
        if type(exponent) not in PLAIN or x._array.dtype.kind != "f":
            x, number = promote(RULES["power"], x, exponent)
            refuse_negative(x, number)
        if number == 2:
            return input._apply(RULES["square"], x)
        try:
            return input._apply(RULES["power"], x, exponent=number)
        except OverflowError as error:
            raise beyond("pow", number, x._array.dtype) from error

    def maximum(input, other: Tensor) -> Tensor:
        """The larger of each pair; NaN where either is."""
        return binary(RULES["maximum"], input, require_tensor("maximum", other))

    def minimum(input, other: Tensor) -> Tensor:
        """The smaller of each pair; NaN where either is."""
        return binary(RULES["minimum"], input, require_tensor("minimum", other))

    def where(input, condition: Tensor, other: Any) -> Tensor:
        """Input where the condition holds, else other, broadcast; see `minigrad.where`."""
        return where(condition, input, other)

    def eq(input, other: Any) -> Tensor:
        """Whether the elements are equal, a bool tensor."""
        return binary(RULES["eq"], input, other)

    def ne(input, other: Any) -> Tensor:
        """Whether the elements differ, a bool tensor."""
        return binary(RULES["ne"], input, other)

    def lt(input, other: Any) -> Tensor:
        """Whether input is less than other, a bool tensor."""
        return binary(RULES["lt"], input, other)

    def le(input, other: Any) -> Tensor:
        """Whether input is at most other, a bool tensor."""
        return binary(RULES["le"], input, other)

    def gt(input, other: Any) -> Tensor:
        """Whether input is greater than other, a bool tensor."""
        return binary(RULES["gt"], input, other)

    def ge(input, other: Any) -> Tensor:
        """Whether input is at least other, a bool tensor."""
        return binary(RULES["ge"], input, other)

    def neg(input) -> Tensor:
        """-input."""
        return input._apply(RULES["neg"], not_bool("neg", input))

    def abs(input) -> Tensor:
        """|input|; the gradient at 0 is 0."""
        return input._apply(RULES["abs"], not_bool("abs", input, NotImplementedError))

    def square(input) -> Tensor:
        """input²; of bools as int64."""
        x = input.to(int64) if input._array.dtype == bool_ else input
        return input._apply(RULES["square"], x)

    def exp(input) -> Tensor:
        """E to the power of input."""
        return input._apply(RULES["exp"], floating(input))

    def log(input) -> Tensor:
        """Natural logarithm; NaN below 0, -inf at 0."""
        return input._apply(RULES["log"], floating(input))

    def sqrt(input) -> Tensor:
        """Square root; NaN below 0."""
        return input._apply(RULES["sqrt"], floating(input))

    def tanh(input) -> Tensor:
        """Hyperbolic tangent."""
        return input._apply(RULES["tanh"], floating(input))

    def sigmoid(input) -> Tensor:
        """1 / (1 + e^-input)."""
        return input._apply(RULES["sigmoid"], floating(input))

    def relu(input) -> Tensor:
        """max(input, 0); the gradient at 0 is 0."""
        if input._array.dtype is bool_:
            not_bool("relu", input)
        return input._apply(RULES["relu"], input)

    def clone(input) -> Tensor:
        """A copy with memory of its own that passes gradients on."""
        return input._apply(RULES["clone"], input)

    # ---- operators --------------------------------------------------------------------------

    def __radd__(input, other: Any) -> Tensor:
        return input.add(other)

    def __rsub__(input, other: Any) -> Tensor:
        return binary(RSUB, other, input)

    def __rmul__(input, other: Any) -> Tensor:
        return input.mul(other)

    def __rtruediv__(input, other: Any) -> Tensor:
        return binary(RECIPROCAL, other, input, floating_point=True)

    def __rpow__(input, other: Any) -> Tensor:
        refuse_negative(other, input)
        return binary(POW_NUMBER, other, input)

    def __pow__(input, other: Any) -> Tensor:
        return input.pow(other)

    def __eq__(input, other: Any) -> Any:
        return input.eq(other) if is_operand(other) else NotImplemented

    def __ne__(input, other: Any) -> Any:
        return input.ne(other) if is_operand(other) else NotImplemented

    __hash__ = object.__hash__
    __add__, __sub__, __mul__, __truediv__ = add, sub, mul, div
    __neg__, __abs__ = neg, abs  # noqa: A003
    __lt__, __le__, __gt__, __ge__ = lt, le, gt, ge


def binary(rule: Rule, x: Any, y: Any, floating_point: bool = False) -> Tensor:
    """Apply a rule to two operands, one of them a tensor, in the dtype torch would use.

    Raises:
        TypeError: an operand is neither tensor nor number.
        OverflowError: an int is too large for that dtype.
        RuntimeError: the shapes do not broadcast, or the operation is not defined for bools.
    """
    first = x if is_tensor(x) else y
    dtype = first._array.dtype
    same = (
        y._array.dtype == dtype
        if x is first and is_tensor(y)
        else type(y if x is first else x) in PLAIN
    )
    if not same or dtype.kind != "f":
        x, y = promote(rule, x, y, floating_point)
    try:
        result: Tensor = first._apply(rule, x, y)
        return result
    except OverflowError as error:
        raise beyond(rule.name, y if x is first else x, dtype) from error
    except ValueError as error:
        shapes = [list(np.shape(z._array if is_tensor(z) else z)) for z in (x, y)]
        raise RuntimeError(
            f"{rule.name}: shapes {shapes[0]} and {shapes[1]} do not broadcast: counted from the "
            "last axis, two lengths must be equal or one of them 1"
        ) from error


def scaled(operation: str, x: Any, other: Any, alpha: Number) -> Any:
    """Return alpha·other.

    Raises:
        TypeError: alpha is no number.
        RuntimeError: alpha is a float, but both operands are integers.
    """
    alpha = python_number(alpha)
    if not isinstance(alpha, (int, float)):
        raise TypeError(f"{operation}: alpha must be a number, not {type(alpha).__name__}")
    integers = not any(
        isinstance(z, float) or (is_tensor(z) and z._array.dtype.kind == "f") for z in (x, other)
    )
    if isinstance(alpha, float) and integers:
        raise RuntimeError(
            f"{operation}: alpha={alpha} must not be a floating point number where both operands "
            "are integers: convert one of them first, for example with .float()"
        )
    if not is_operand(other):
        return other  # which will be refused with the operation's name
    return other * alpha


def where(condition: Tensor, input: Any, other: Any) -> Tensor:
    """Return input where the condition holds, else other, broadcast.

    Args:
        condition: a bool tensor.
        input, other: tensors or numbers, which are brought to their common dtype.

    Raises:
        TypeError: the condition is no tensor, or input or other neither tensor nor number.
        RuntimeError: the condition is not of dtype bool, or the shapes do not broadcast.
    """
    require_tensor("where", condition)
    if condition._array.dtype != bool_:
        raise RuntimeError(
            "where: expected condition to be a tensor of dtype bool, not "
            f"{condition._array.dtype}: compare first, for example condition != 0"
        )
    x, y = promote(RULES["where"], input, other)
    if not is_tensor(x) and not is_tensor(y):
        # Two numbers alone would be combined in NumPy's default dtype.
        x = condition._tensor(np.asarray(x, result_type(x, y)))
    shapes = [list(np.shape(z._array if is_tensor(z) else z)) for z in (condition, x, y)]
    try:
        return condition._apply(RULES["where"], condition, x, y)
    except ValueError as error:
        raise RuntimeError(
            f"where: shapes {shapes[0]}, {shapes[1]} and {shapes[2]} do not broadcast: counted "
            "from the last axis, lengths must be equal or 1"
        ) from error
