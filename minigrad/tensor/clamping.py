"""Bounds, and division with a remainder."""

from typing import Any, Self, TypeVar

import numpy as np

from minigrad.dtypes import bool_, int64, python_number, result_type
from minigrad.grad_mode import grad_mode
from minigrad.ops import RULE_OF, Rule, clamping
from minigrad.tensor.arithmetic import broadcast
from minigrad.tensor.base import TensorBase
from minigrad.tensor.conversion import promote, refuse_bool, watch_originals
from minigrad.tensor.inplace import InPlace

BY_NUMBER = RULE_OF[clamping.remainder].named("RemainderBackward0")
CLAMP = RULE_OF[clamping.clamp].named("ClampBackward1")


class Clamping(InPlace):
    """Operations of `Tensor` that cut off, under torch's names."""

    def clamp(input, min: Any = None, max: Any = None) -> Self:
        """Input, but at least min and at most max, numbers or tensors, which are broadcast.

        The gradient goes to the one of the three that the result is.

        Raises:
            TypeError: a bound is neither number nor tensor, or one is a number, one a tensor.
            RuntimeError: neither is given, or the shapes do not broadcast.
            NotImplementedError: numbers are the bounds of bools.
        """
        bounds = [python_number(bound) for bound in (min, max)]
        given = [bound for bound in bounds if bound is not None]
        if not given:
            raise RuntimeError("clamp: At least one of 'min' or 'max' must not be None")
        tensors = all(isinstance(bound, TensorBase) for bound in given)
        if not tensors and not all(isinstance(bound, (int, float)) for bound in given):
            kinds = " and ".join(type(bound).__name__ for bound in given)
            raise TypeError(f"clamp: bounds must be numbers or tensors, all of a kind, not {kinds}")
        dtype = result_type(input._array, *(getattr(bound, "_array", bound) for bound in given))
        x = input.to(dtype)
        if not tensors:
            if dtype == bool_:
                refuse_bool("clamp", "give tensors as bounds", NotImplementedError)
            low, high = (b if b is None else dtype.type(b).item() for b in bounds)
            return broadcast(CLAMP, x, low, high)
        converted = [b if b is None else b.to(dtype) for b in bounds]
        result = broadcast(RULE_OF[clamping.clamp], x, *converted)
        watch_originals(result, [input, *bounds], [x, *converted])
        return result

    def remainder(input, other: Any) -> Self:
        """What is left of input after it was divided by other and rounded down, broadcast.

        Raises:
            RuntimeError: an integer is divided by 0, or the shapes do not broadcast.
            NotImplementedError: both are bools.
        """
        return divided(RULE_OF[clamping.remainder], input, input, other)

    def floor_divide(input, other: Any) -> Self:
        """Input divided by other, rounded down, broadcast.

        Raises:
            RuntimeError: an integer is divided by 0, the shapes do not broadcast, or an operand
                requires a gradient: there is none.
            NotImplementedError: both are bools.
        """
        return divided(RULE_OF[clamping.floor_divide], input, input, other)

    def __rfloordiv__(input, other: Any) -> Self:
        return divided(RULE_OF[clamping.floor_divide], input, other, input)

    def __rmod__(input, other: Any) -> Self:
        return divided(RULE_OF[clamping.remainder], input, other, input)

    def clamp_(input, min: Any = None, max: Any = None) -> Self:
        """`clamp` in place."""
        return input._in_place("clamp_", lambda x: x.clamp(min, max), min, max)

    def remainder_(input, other: Any) -> Self:
        """`remainder` in place."""
        return input._in_place("remainder_", lambda x: x.remainder(other), other)

    def floor_divide_(input, other: Any) -> Self:
        """`floor_divide` in place."""
        return input._in_place("floor_divide_", lambda x: x.floor_divide(other), other)

    clip, clip_ = clamp, clamp_
    __floordiv__, __ifloordiv__ = floor_divide, floor_divide_
    __mod__, __imod__ = remainder, remainder_


T = TypeVar("T", bound=Clamping)


def divided(rule: Rule, input: T, x: Any, y: Any) -> T:
    """Divide, one of the two being `input`, and return the quotient or what is left."""
    if rule.name == "remainder" and not isinstance(y, TensorBase):
        rule = BY_NUMBER
    operands = promote(rule, x, y)
    dtype = result_type(*(getattr(z, "_array", z) for z in operands))
    if dtype == bool_:
        refuse_bool(rule.name, "convert one, for example with .long()", NotImplementedError)
    if dtype == int64 and not np.all(getattr(operands[1], "_array", y)):
        raise RuntimeError(f"{rule.name}: ZeroDivisionError: an integer is divided by 0")
    recorded = any(isinstance(z, TensorBase) and z._node is not None for z in operands)
    constant = rule.name == "floor_divide" or not isinstance(x, TensorBase)
    if constant and recorded and grad_mode.enabled:
        raise RuntimeError(
            f"{rule.name}: derivative for this is not implemented, as in torch: give .detach() of "
            "what requires a gradient"
        )
    return input._binary(rule, x, y)
