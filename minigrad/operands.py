"""What operations of several operands leave to their callers: promotion, checks, conversion."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from minigrad.arguments import Number, is_tensor, require_tensor
from minigrad.dtypes import bool_, float32, result_type
from minigrad.ops import RULES, Rule

if TYPE_CHECKING:
    from minigrad.tensor import Tensor


def binary(rule: Rule, x: Any, y: Any, floating_point: bool = False) -> Tensor:
    """Apply a rule to two operands, one of them a tensor, in the dtype torch would use.

    Raises:
        TypeError: an operand is neither tensor, array nor number.
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
        x, y = promote(rule, first, x, y, floating_point)
    try:
        result: Tensor = first._apply(rule, x, y)
        return result
    except ValueError as error:
        shapes = [list(np.shape(z._array if is_tensor(z) else z)) for z in (x, y)]
        raise RuntimeError(
            f"{rule.name}: shapes {shapes[0]} and {shapes[1]} do not broadcast: counted from the "
            "last axis, two lengths must be equal or one of them 1"
        ) from error


PLAIN = frozenset({int, float})
"""Numbers that NumPy takes for weak; not np.float64, which is a float too, nor bool."""


def is_operand(value: Any) -> bool:
    """Return whether `value` can be combined with a tensor: a tensor, an array or a number."""
    return is_tensor(value) or isinstance(value, (int, float, np.generic, np.ndarray))


def promote(
    rule: Rule, first: Any, x: Any, y: Any, floating_point: bool = False
) -> tuple[Any, Any]:
    """Return both operands converted to their common dtype; Python numbers stay weak.

    Raises:
        TypeError: an operand is neither tensor, array nor number.
        RuntimeError: the operation is not defined for bools.
    """
    operands = []
    for operand in (x, y):
        if isinstance(operand, np.generic):
            operand = operand.item()
        elif isinstance(operand, np.ndarray):
            operand = type(first)(operand)
        if not is_tensor(operand) and not isinstance(operand, (int, float)):
            raise TypeError(
                f"{rule.name}: operands must be tensors or numbers, not {type(operand).__name__}"
            )
        operands.append(operand)
    dtype = result_type(*(z._array if is_tensor(z) else z for z in operands))
    if floating_point and dtype.kind != "f":
        dtype = float32
    if rule.name == "sub" and any(_is_bool(z) for z in operands):
        refuse_bool("sub", "~mask is not here either: compare with mask == False")
    if rule.name in ("pow", "power") and dtype == bool_:
        refuse_bool(rule.name, "convert them first, for example with .long()", NotImplementedError)
    x, y = (z.to(dtype) if is_tensor(z) else dtype.type(z).item() for z in operands)
    return x, y


def _is_bool(operand: Any) -> bool:
    return isinstance(operand, bool) or (is_tensor(operand) and operand._array.dtype == bool_)


def refuse_bool(operation: str, remedy: str, kind: type[RuntimeError] = RuntimeError) -> NoReturn:
    """Raise what torch raises where an operation is not defined for bools."""
    raise kind(f"{operation}: not supported for tensors of dtype bool: {remedy}")


def not_bool(operation: str, x: Any, kind: type[RuntimeError] = RuntimeError) -> Any:
    """Return the tensor itself.

    Raises:
        RuntimeError: its dtype is bool.
    """
    if x._array.dtype == bool_:
        refuse_bool(operation, "convert it first, for example with .long()", kind)
    return x


def choose(condition: Any, x: Any, y: Any) -> Tensor:
    """Apply `where`.

    Raises:
        TypeError: the condition is no tensor, or x or y is neither tensor nor number.
        RuntimeError: the condition is not of dtype bool, or the shapes do not broadcast.
    """
    require_tensor("where", condition)
    if condition._array.dtype != bool_:
        raise RuntimeError(
            "where: expected condition to be a tensor of dtype bool, not "
            f"{condition._array.dtype}: compare first, for example condition != 0"
        )
    x, y = promote(RULES["where"], condition, x, y)
    if not is_tensor(x) and not is_tensor(y):
        # Two numbers alone would be combined in NumPy's default dtype.
        x = type(condition)(np.asarray(x, result_type(x, y)))
    shapes = [list(np.shape(z._array if is_tensor(z) else z)) for z in (condition, x, y)]
    try:
        chosen: Tensor = condition._apply(RULES["where"], condition, x, y)
        return chosen
    except ValueError as error:
        raise RuntimeError(
            f"where: shapes {shapes[0]}, {shapes[1]} and {shapes[2]} do not broadcast: counted "
            "from the last axis, lengths must be equal or 1"
        ) from error


def scaled(operation: str, x: Any, other: Any, alpha: Number) -> Any:
    """Return alpha·other.

    Raises:
        TypeError: alpha is no number.
        RuntimeError: alpha is a float, but both operands are integers.
    """
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


def floating(x: Any) -> Tensor:
    """Return the tensor itself if it is floating point, else as float32."""
    tensor: Tensor = x if x._array.dtype.kind == "f" else x.to(float32)
    return tensor


def refuse_negative(x: Any, exponent: Any) -> None:
    """Raise where integers are raised to negative powers.

    torch does so for a number; for a tensor it returns 0, which nobody can want.
    """
    base, power = getattr(x, "_array", x), getattr(exponent, "_array", exponent)
    if np.result_type(base, power).kind in "ib" and np.any(np.less(power, 0)):
        raise RuntimeError(
            "pow: Integers to negative integer powers are not allowed: convert the base first, "
            "for example with .float()"
        )
