"""The same values as another data type; and on the CPU, where they are already."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from minigrad.devices import device
from minigrad.dtypes import DType, as_dtype, float32, float64, int64
from minigrad.ops import RULES
from minigrad.tensor.base import Mixin, is_tensor

if TYPE_CHECKING:
    from minigrad.tensor import Tensor

CPU = device("cpu")


class Conversions(Mixin):
    """Conversions of `Tensor` under torch's names."""

    @property
    def device(input) -> device:
        """Where the values are: always the CPU."""
        return CPU

    def to(input, *target: Any, device: Any = None, dtype: Any = None) -> Tensor:
        """The same values as another dtype; itself if it has that dtype already.

        Called as `to(dtype)`, `to(device)`, `to(device, dtype)` or `to(other)`, a tensor of the
        dtype that is wanted.

        Raises:
            TypeError: the dtype is not supported, or the arguments are none of these.
            RuntimeError: the device is not the CPU.
        """
        wanted = dtype_among("to", target, device, dtype)
        if wanted is None or wanted == input.dtype:
            return input  # type: ignore[return-value]
        if wanted.kind != "f":
            input = input.detach()  # integers have no derivative
        return input._apply(RULES["astype"], input, dtype=wanted)

    def float(input) -> Tensor:
        """The same values as float32."""
        return input.to(float32)

    def double(input) -> Tensor:
        """The same values as float64."""
        return input.to(float64)

    def long(input) -> Tensor:
        """The same values as int64, truncated."""
        return input.to(int64)

    def cpu(input) -> Tensor:
        """The tensor itself."""
        return input  # type: ignore[return-value]


def dtype_among(operation: str, target: tuple[Any, ...], place: Any, dtype: Any) -> DType | None:
    """Return the dtype that is asked for in one of torch's forms of `to`; None if none is.

    Raises:
        TypeError: it is none of these forms, or the dtype is not supported.
        RuntimeError: a device is named that is not the CPU.
    """
    rest = list(target)
    if rest and is_tensor(rest[0]):
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
