"""Data types: conversions, type promotion, and the dtypes that an operation rejects."""

from collections.abc import Sequence
from typing import Any, NoReturn, Self, TypeVar

import numpy as np

from minigrad.devices import device
from minigrad.dtypes import (
    DType,
    as_dtype,
    beyond,
    beyond_c,
    bool_,
    float32,
    float64,
    get_default_dtype,
    int64,
    number_as,
    python_number,
    result_type,
)
from minigrad.ops import RULE_OF, Rule, elementwise
from minigrad.tensor.base import TensorBase

CPU = device("cpu")
TYPES = {
    float32: "torch.FloatTensor",
    float64: "torch.DoubleTensor",
    int64: "torch.LongTensor",
    bool_: "torch.BoolTensor",
}
"""torch's names of types of tensors."""


class Conversions(TensorBase):
    """Conversions of `Tensor` under torch's names."""

    @property
    def device(input) -> device:
        """Where the values are: always the CPU."""
        return CPU

    def to(input, *target: Any, device: Any = None, dtype: Any = None) -> Self:
        """The same values as another dtype; itself if it has that dtype already.

        Called as `to(dtype)`, `to(device)`, `to(device, dtype)` or `to(other)`, a tensor of the
        dtype that is wanted.

        Raises:
            TypeError: the dtype is not supported, or the arguments are none of these.
            RuntimeError: the device is not the CPU.
        """
        wanted = dtype_among("to", target, device, dtype)
        if wanted is None or wanted == input.dtype:
            return input
        if wanted.kind != "f":
            input = input.detach()  # integers have no derivative
        return input._apply(RULE_OF[elementwise.astype], input, dtype=wanted)

    def float(input) -> Self:
        """The same values as float32."""
        return input.to(float32)

    def double(input) -> Self:
        """The same values as float64."""
        return input.to(float64)

    def long(input) -> Self:
        """The same values as int64, truncated."""
        return input.to(int64)

    def type(input, dtype: Any = None) -> Any:
        """The name of the tensor's type, as 'torch.FloatTensor'; or the values as another type.

        Raises:
            ValueError: there is no type of this name.
            TypeError: the type is neither a dtype nor a name.
        """
        if dtype is None:
            return TYPES[input.dtype]
        if isinstance(dtype, np.dtype):
            return input.to(dtype)
        names = {name: kind for kind, name in TYPES.items()}
        if dtype in names:
            return input.to(names[dtype])
        if isinstance(dtype, str) or hasattr(dtype, "__mro__"):
            raise ValueError(f"type: invalid type {dtype!r}: known are {', '.join(names)}")
        raise TypeError(f"type: dtype must be a dtype or a name, not {dtype!r}")

    def cpu(input) -> Self:
        """The tensor itself."""
        return input


T = TypeVar("T", bound=Conversions)


def dtype_among(operation: str, target: tuple[Any, ...], place: Any, dtype: Any) -> DType | None:
    """Return the dtype that is asked for in one of torch's forms of `to`; None if none is."""
    rest = list(target)
    if rest and isinstance(rest[0], TensorBase):
        rest[0] = rest[0].dtype
    elif rest and isinstance(rest[0], (str, device)):
        place = rest.pop(0)
    if place is not None:
        device(place)
    if len(rest) > 1 or (rest and dtype is not None):
        raise TypeError(
            f"{operation}: expected a dtype, a device, a device and a dtype, or a tensor, but got "
            f"{[*target, *([] if dtype is None else [dtype])]}"
        )
    wanted = rest[0] if rest else dtype
    return None if wanted is None else as_dtype(wanted)


def is_operand(value: Any) -> bool:
    """Return whether `value` can be combined with a tensor: a tensor or a number."""
    return isinstance(value, (Conversions, int, float, np.generic))


def is_plain(number: Any) -> bool:
    """Return whether NumPy takes a number as torch does: not a bool, not np.float64 (a float)."""
    return type(number) is float or (type(number) is int and not beyond_c(number))


def promote(rule: Rule, x: Any, y: Any, floating_point: bool = False) -> tuple[Any, Any]:
    """Return both operands converted to their common dtype; Python numbers stay weak."""
    operands = []
    for operand in (x, y):
        operand = python_number(operand)
        if not isinstance(operand, (Conversions, int, float)):
            raise TypeError(
                f"{rule.name}: operands must be tensors or numbers, not {type(operand).__name__}: "
                "tensor(...) makes one of a list, from_numpy(...) of an array"
            )
        operands.append(operand)
    name = "pow" if rule.name == "power" else rule.name
    arrays: list[Any] = [getattr(z, "_array", z) for z in operands]
    dtype = result_type(*arrays)
    is_bool = bool_ in map(result_type, arrays)
    for number in operands:
        if isinstance(number, int) and (beyond_c(number) or (is_bool and number >= 2**63)):
            raise beyond(name, number, dtype)
    if floating_point and dtype.kind != "f":
        dtype = get_default_dtype()
    if name == "sub" and is_bool:
        refuse_bool("sub", "~mask inverts one")
    if name == "pow" and dtype.kind in "ib":
        if dtype == bool_:
            refuse_bool("pow", "convert them first, for example with .long()", NotImplementedError)
        if np.any(np.less(arrays[1], 0)):  # torch's answer to a tensor of such is 0, which is wrong
            raise RuntimeError(
                "pow: Integers to negative integer powers are not allowed: convert the base first, "
                "for example with .float()"
            )
    x, y = [z.to(dtype) if isinstance(z, Conversions) else _held(name, z, dtype) for z in operands]
    return x, y


def watch_originals(result: TensorBase, given: Sequence[Any], converted: Sequence[Any]) -> None:
    """Have a change of an operand in place be an error where the record saved it converted.

    torch saves the operand itself, and converts it again.
    """
    node = result._node
    if node is not None and node.saved:
        saved = [*map(id, node.saved)]
        pairs = zip(given, converted, strict=True)
        originals = [x for x, y in pairs if x is not y and id(getattr(y, "_array", y)) in saved]
        node.saved = (*node.saved, *(x._array for x in originals if isinstance(x, TensorBase)))


def _held(operation: str, number: float | int, dtype: DType) -> float | int | bool:
    """Return a Python number as it is combined with tensors of this data type.

    A float that is too large counts as infinite, in all but `where`.
    """
    if isinstance(number, float) and operation != "where":
        held: float = dtype.type(number).item()
        return held
    return number_as(operation, number, dtype)


def refuse_bool(operation: str, remedy: str, kind: type[RuntimeError] = RuntimeError) -> NoReturn:
    """Raise what torch raises where an operation is not defined for bools."""
    raise kind(f"{operation}: not supported for tensors of dtype bool: {remedy}")


def not_bool(operation: str, x: T, kind: type[RuntimeError] = RuntimeError) -> T:
    """Return the tensor itself; raise where its dtype is bool."""
    if x._array.dtype == bool_:
        refuse_bool(operation, "convert it first, for example with .long()", kind)
    return x


def floating(x: T) -> T:
    """Return the tensor itself if it is floating point, else in the default dtype."""
    return x if x._array.dtype.kind == "f" else x.to(get_default_dtype())
