"""Arithmetic and functions of corresponding elements."""

from typing import Any, Self, TypeVar

import numpy as np

from minigrad.dtypes import (
    bool_,
    dtype_of_number,
    int64,
    number_as,
    python_number,
    result_type,
)
from minigrad.grad_mode import grad_mode
from minigrad.layout import arranged, contiguous
from minigrad.ops import RULE_OF, Rule, activation
from minigrad.ops import elementwise as rules
from minigrad.tensor.base import Number, TensorBase, require_tensor
from minigrad.tensor.conversion import (
    Conversions,
    floating,
    is_plain,
    not_bool,
    promote,
    watch_originals,
)

POW_NUMBER = RULE_OF[rules.pow].named("PowBackward2")
POW_TENSOR = RULE_OF[rules.pow].named("PowBackward1")
RSUB = RULE_OF[rules.sub].named("RsubBackward1")


class Elementwise(Conversions):
    """Element by element operations of `Tensor` under torch's names."""

    def add(input, other: Any, *, alpha: Number = 1) -> Self:
        """Input + alpha·other, broadcast."""
        return input._plus(RULE_OF[rules.add], other, alpha)

    def sub(input, other: Any, *, alpha: Number = 1) -> Self:
        """Input - alpha·other, broadcast."""
        return input._plus(RULE_OF[rules.sub], other, alpha)

    def mul(input, other: Any) -> Self:
        """input·other element by element, broadcast."""
        return input._binary(RULE_OF[rules.mul], input, other)

    def div(input, other: Any) -> Self:
        """Input / other, broadcast; integers are divided as float32."""
        return input._binary(RULE_OF[rules.div], input, other, floating_point=True)

    def pow(input, exponent: Any) -> Self:
        """Input to the power of exponent, broadcast.

        Raises:
            RuntimeError: integers to negative powers, or the shapes do not broadcast; bools as
                exponents of what requires a gradient, by which torch has no derivative.
        """
        exponent = python_number(exponent)
        if isinstance(exponent, TensorBase):
            if exponent._array.dtype == bool_ and grad_mode.enabled and input._node is not None:
                raise RuntimeError(
                    "pow: torch has no derivative of a power whose exponents are bools: convert "
                    "them first, for example with .long()"
                )
            return input._binary(POW_TENSOR, input, exponent)
        if not isinstance(exponent, (int, float)):
            raise TypeError(
                f"pow: exponent must be a tensor or a number, not {type(exponent).__name__}"
            )
        x, number = input, exponent
        if not is_plain(exponent) or x._array.dtype.kind != "f":
            x, number = promote(RULE_OF[rules.power], x, exponent)
            number = exponent if exponent is False else number  # to torch's derivative no 0
        return x._each(RULE_OF[rules.power], exponent=number)

    def maximum(input, other: TensorBase) -> Self:
        """The larger of each pair; NaN where either is."""
        return input._binary(RULE_OF[rules.maximum], input, require_tensor("maximum", other))

    def minimum(input, other: TensorBase) -> Self:
        """The smaller of each pair; NaN where either is."""
        return input._binary(RULE_OF[rules.minimum], input, require_tensor("minimum", other))

    def where(input, condition: Any, other: Any) -> Self:
        """Input where the condition holds, else other, broadcast; see `minigrad.where`."""
        result: Self = where(condition, input, other)
        return result

    def neg(input) -> Self:
        """-input."""
        return not_bool("neg", input)._each(RULE_OF[rules.neg])

    def abs(input) -> Self:
        """|input|; the gradient at 0 is 0."""
        return not_bool("abs", input, NotImplementedError)._each(RULE_OF[rules.abs])

    def square(input) -> Self:
        """input²; of bools as int64."""
        x = input.to(int64) if input._array.dtype == bool_ else input
        return x._each(RULE_OF[rules.power], exponent=2)

    def exp(input) -> Self:
        """E to the power of input."""
        return floating(input)._each(RULE_OF[rules.exp])

    def log(input) -> Self:
        """Natural logarithm; NaN below 0, -inf at 0."""
        return floating(input)._each(RULE_OF[rules.log])

    def sqrt(input) -> Self:
        """Square root; NaN below 0."""
        return floating(input)._each(RULE_OF[rules.sqrt])

    def tanh(input) -> Self:
        """Hyperbolic tangent."""
        return floating(input)._each(RULE_OF[activation.tanh])

    def sin(input) -> Self:
        """Sine of an angle in radians."""
        return floating(input)._each(RULE_OF[rules.sin])

    def cos(input) -> Self:
        """Cosine of an angle in radians."""
        return floating(input)._each(RULE_OF[rules.cos])

    def sigmoid(input) -> Self:
        """1 / (1 + e^-input)."""
        return floating(input)._each(RULE_OF[activation.sigmoid])

    def relu(input) -> Self:
        """max(input, 0); the gradient at 0 is 0."""
        return not_bool("relu", input)._each(RULE_OF[activation.relu])

    def clone(input) -> Self:
        """A copy with memory of its own that passes gradients on."""
        return input._apply(RULE_OF[rules.clone], input)

    def _each(input, rule: Rule, **options: Any) -> Self:
        """Apply a rule to each element."""
        result = input._apply(rule, input, **options)
        return result if len(result._array.shape) < 3 else in_order_of(result, input)

    def _plus(input, rule: Rule, other: Any, alpha: Number) -> Self:
        """Combine with alpha·other; alpha may be a bool only for bools, a float only for floats."""
        if type(alpha) is int and alpha == 1:
            return input._binary(rule, input, other)
        alpha = python_number(alpha)
        if not isinstance(alpha, (int, float)):
            raise TypeError(f"{rule.name}: alpha must be a number, not {type(alpha).__name__}")
        x, y = operands = promote(rule, input, other)
        dtype = x._array.dtype
        if dtype_of_number(alpha).kind not in {"b": "bi", "i": "i", "f": "if"}[dtype.kind]:
            raise RuntimeError(
                f"{rule.name}: alpha={alpha} must not be a floating point number for integers, nor "
                "a bool for numbers: convert one operand with .float(), or give an int as alpha"
            )
        factor = number_as(rule.name, alpha, dtype)
        if isinstance(y, Conversions):
            y = y._apply(RULE_OF[rules.scale], y, factor=factor)
        else:
            y = y and factor if dtype == bool_ else y * factor
        return in_order_of(input._binary(rule, x, y), *operands)

    def _binary(input, rule: Rule, x: Any, y: Any, floating_point: bool = False) -> Self:
        """Apply a rule to two operands, one of them `input`, in the dtype torch would use."""
        dtype = input._array.dtype
        other = y if x is input else x
        same = other._array.dtype == dtype if isinstance(other, TensorBase) else is_plain(other)
        converts = not same or dtype.kind != "f"
        if converts:
            given = x, y
            x, y = promote(rule, x, y, floating_point)
        try:
            result = input._apply(rule, x, y)
        except ValueError as error:
            shapes = [list(np.shape(getattr(z, "_array", z))) for z in (x, y)]
            raise RuntimeError(
                f"{rule.name}: shapes {shapes[0]} and {shapes[1]} do not broadcast: counted from "
                "the last axis, two lengths must be equal or one of them 1"
            ) from error
        if converts:
            watch_originals(result, given, (x, y))
        out = result._array
        own = input._array
        if len(out.shape) < 2 or (
            (own.shape == out.shape or len(own.shape) < len(out.shape))
            and (own.flags.c_contiguous and out.flags.c_contiguous)
        ):
            return result
        return in_order_of(result, x, y)

    # ---- operators --------------------------------------------------------------------------

    def __pos__(input) -> Self:
        return not_bool("+", input)

    def __radd__(input, other: Any) -> Self:
        return input.add(other)

    def __rsub__(input, other: Any) -> Self:
        return input._binary(RSUB, other, input)

    def __rmul__(input, other: Any) -> Self:
        return input.mul(other)

    def __rtruediv__(input, other: Any) -> Self:
        return floating(input)._each(RULE_OF[rules.reciprocal]).mul(other)

    def __rpow__(input, other: Any) -> Self:
        result = input._binary(POW_NUMBER, other, input)
        return stored(result, contiguous(result._array))  # in index order, as torch does

    def __pow__(input, other: Any) -> Self:
        return input.pow(other)

    __add__, __sub__, __mul__, __truediv__ = add, sub, mul, div
    __neg__, __abs__ = neg, abs  # noqa: A003


T = TypeVar("T", bound=Elementwise)


def in_order_of(result: T, *operands: Any) -> T:
    """Have a result laid out in memory as torch does: the first operand that says so decides."""
    arrays = [x._array for x in operands if isinstance(x, TensorBase)]
    return stored(result, arranged(result._array, *arrays))


def stored(result: T, array: Any) -> T:
    """Have a result, and its record, hold the same values in another array."""
    out, result._array = result._array, array
    if array is not out and result._node is not None and result._node.saved is not None:
        result._node.saved = [array if x is out else x for x in result._node.saved]
        result._node.strides = array.strides
    return result


def where(condition: T, input: Any, other: Any) -> T:
    """Return input where the condition holds, else other, broadcast.

    Args:
        condition: a bool tensor.
        input, other: tensors or numbers, which are brought to their common dtype.

    Raises:
        TypeError: the condition is no tensor, or input or other neither tensor nor number.
        RuntimeError: the condition is not of dtype bool, or the shapes do not broadcast.
    """
    require_tensor("where", condition)
    x, y = promote(RULE_OF[rules.where], input, other)
    if condition._array.dtype != bool_:
        raise RuntimeError(
            "where: expected condition to be a tensor of dtype bool, not "
            f"{condition._array.dtype}: compare first, for example condition != 0"
        )
    if not isinstance(x, TensorBase) and not isinstance(y, TensorBase):
        # Two numbers alone would be combined in NumPy's default dtype.
        x = condition._wrapped(np.asarray(x, result_type(x, y)))
    return broadcast(RULE_OF[rules.where], condition, x, y)


def broadcast(rule: Rule, input: T, *others: Any) -> T:
    """Apply a rule to tensors that are broadcast, numbers and None."""
    operands = (input, *others)
    try:
        return in_order_of(input._apply(rule, *operands), *operands)
    except ValueError as error:
        shapes = [str(list(z.shape)) for z in operands if isinstance(z, TensorBase)]
        raise RuntimeError(
            f"{rule.name}: shapes {', '.join(shapes)} do not broadcast: counted from the last "
            "axis, lengths must be equal or 1"
        ) from error
