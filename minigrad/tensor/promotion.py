"""What dtype operands are brought to, and what they must not be."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from minigrad.dtypes import beyond, bool_, float32, python_number, result_type
from minigrad.ops import Rule
from minigrad.tensor.base import is_tensor

if TYPE_CHECKING:
    from minigrad.tensor import Tensor

PLAIN = frozenset({int, float})
"""Numbers that NumPy takes for weak; not np.float64, which is a float too, nor bool."""


def is_operand(value: Any) -> bool:
    """Return whether `value` can be combined with a tensor: a tensor or a number."""
    return is_tensor(value) or isinstance(value, (int, float, np.generic))


def promote(rule: Rule, x: Any, y: Any, floating_point: bool = False) -> tuple[Any, Any]:
    """Return both operands converted to their common dtype; Python numbers stay weak.

    Raises:
        TypeError: an operand is neither tensor nor number.
        OverflowError: an int is too large for that dtype.
        RuntimeError: the operation is not defined for bools.
    """
    operands = []
    for operand in (x, y):
        operand = python_number(operand)
        if not is_tensor(operand) and not isinstance(operand, (int, float)):
            raise TypeError(
                f"{rule.name}: operands must be tensors or numbers, not {type(operand).__name__}: "
                "tensor(...) makes one of a list, from_numpy(...) of an array"
            )
        operands.append(operand)
    dtype = result_type(*(z._array if is_tensor(z) else z for z in operands))
    if floating_point and dtype.kind != "f":
        dtype = float32
    if rule.name == "sub" and any(_is_bool(z) for z in operands):
        refuse_bool("sub", "~mask is not here either: compare with mask == False")
    if rule.name in ("pow", "power") and dtype == bool_:
        refuse_bool(rule.name, "convert them first, for example with .long()", NotImplementedError)
    try:
        x, y = (z.to(dtype) if is_tensor(z) else dtype.type(z).item() for z in operands)
    except OverflowError as error:
        number = next(z for z in operands if not is_tensor(z))
        raise beyond(rule.name, number, dtype) from error
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
