"""The methods that change a tensor in place."""

from collections.abc import Callable, Sequence
from typing import Any, Self

import numpy as np

from minigrad.dtypes import number_as, python_number
from minigrad.grad_mode import grad_mode
from minigrad.ops import RULE_OF, elementwise
from minigrad.random import Generator, chosen
from minigrad.tensor.arithmetic import Elementwise
from minigrad.tensor.base import Number, TensorBase, require_tensor

WHERE = RULE_OF[elementwise.where]


class InPlace(Elementwise):
    """In-place operations of `Tensor` under torch's names."""

    @property
    def data(input) -> Self:
        """The values in the same memory, without history; they can be replaced.

        Unlike torch, a change of them is noticed by a graph that needs the old ones.
        """
        return input.detach()

    @data.setter
    def data(input, value: TensorBase) -> None:
        require_tensor("data", value)
        if (value.shape, value.dtype) != (input.shape, input.dtype):
            raise RuntimeError(
                f"data: values of shape {list(value.shape)} and dtype {value.dtype} cannot take "
                f"the place of shape {list(input.shape)} and dtype {input.dtype}"
            )
        input._array = value._array

    def add_(input, other: Any, *, alpha: Number = 1) -> Self:
        """Input += alpha·other."""
        return input._in_place("add_", lambda x: x.add(other, alpha=alpha))

    def sub_(input, other: Any, *, alpha: Number = 1) -> Self:
        """Input -= alpha·other."""
        return input._in_place("sub_", lambda x: x.sub(other, alpha=alpha))

    def mul_(input, other: Any) -> Self:
        """Input *= other."""
        return input._in_place("mul_", lambda x: x.mul(other))

    def div_(input, other: Any) -> Self:
        """Input /= other."""
        return input._in_place("div_", lambda x: x.div(other))

    def copy_(input, other: Any) -> Self:
        """Take over the values of other, broadcast and converted to this dtype.

        Raises:
            TypeError: other is neither tensor nor number.
            RuntimeError: its shape does not fit.
        """
        other = python_number(other)
        if isinstance(other, (int, float)):
            return input._set("copy_", other)
        require_tensor("copy_", other)
        require_fit("copy_", other.shape, input.shape)
        return input._set("copy_", other.to(input.dtype))

    def fill_(input, value: Any) -> Self:
        """Set every element to a number, or to the value of a tensor without axes.

        Raises:
            TypeError: the value is neither.
            RuntimeError: it is a tensor with axes, or a float that the dtype cannot hold.
            OverflowError: it is an int that the dtype cannot hold.
        """
        value = python_number(value)
        if isinstance(value, InPlace):
            if value.ndim != 0:
                raise RuntimeError(
                    f"fill_: only a tensor of no axes can be the value, not one of shape "
                    f"{list(value.shape)}: use copy_"
                )
            return input._set("fill_", value.to(input.dtype))
        if not isinstance(value, (int, float)):
            raise TypeError(f"fill_: expected a number or a tensor, not {type(value).__name__}")
        return input._set("fill_", value)

    def uniform_(
        input, from_: float = 0.0, to: float = 1.0, *, generator: Generator | None = None
    ) -> Self:
        """Fill with uniform values in [from_, to), torch's in every bit.

        Whatever the memory layout, the elements are drawn in their order in memory.

        Raises:
            TypeError: a bound is no number, or the generator no Generator.
            NotImplementedError: the dtype is not floating point.
            RuntimeError: from_ is larger than to.
        """
        draw = chosen("uniform_", generator).uniform
        return input._draw("uniform_", lambda shape: draw(shape, from_, to, input.dtype))

    def normal_(
        input, mean: float = 0.0, std: float = 1.0, *, generator: Generator | None = None
    ) -> Self:
        """Fill with normal values; see `minigrad.random.Generator.normal`.

        The elements are drawn in their order in memory, and in blocks if they are contiguous.

        Raises:
            TypeError: mean or std is no number, or the generator no Generator.
            NotImplementedError: the dtype is not floating point.
            RuntimeError: std is negative.
        """
        draw = chosen("normal_", generator).normal
        blocks = input._array.flags.c_contiguous
        return input._draw("normal_", lambda shape: draw(shape, mean, std, input.dtype, blocks))

    def zero_(input) -> Self:
        """Set every element to 0."""
        return input._set("zero_", 0)

    def _set(input, name: str, values: Any) -> Self:
        """Replace all values by a number, a tensor or an array; the old ones get no gradient."""
        if isinstance(values, (int, float)):
            values = number_as(name, values, input.dtype)
        return input._in_place(name, lambda x: x._apply(WHERE, True, values, x))

    def _draw(input, name: str, draw: Callable[[list[int]], Any]) -> Self:
        """Fill with `draw(shape)`, in the order of the elements in memory, as torch does."""
        array: Any = getattr(input._array, "_array", input._array)  # of what flows through rules
        order = sorted(range(array.ndim), key=lambda axis: -array.strides[axis])
        recorded = grad_mode.enabled and input._node is not None
        if (recorded and (input.is_leaf or input._base is not None)) or not array.flags.writeable:
            draw([0])  # for what is wrong with the arguments
            input._in_place(name, lambda x: x)  # refuses, before a number is drawn

        def drawn(x: Self) -> Self:
            values = draw([array.shape[axis] for axis in order])
            return x._apply(WHERE, True, np.transpose(values, np.argsort(order)), x)

        return input._in_place(name, drawn)

    def _in_place(input, name: str, operation: Callable[[Self], Self]) -> Self:
        """Replace the values by those of `operation(input)`, and follow its result on the tape.

        The operation sees a copy of the values, which keeps what its derivative needs. `name` is
        what messages call it.
        """
        before = input
        if grad_mode.enabled:
            if input._node is not None and input.is_leaf:
                raise RuntimeError(
                    f"{name}: a leaf Tensor that requires grad is being used in an in-place "
                    "operation, which would lose the values its gradient belongs to. Do it under "
                    "no_grad(), or use the operation that is not in place."
                )
            before = input._wrapped(np.copy(input._array), input._node)
        result = operation(before)
        if result.shape != input.shape or not np.can_cast(result.dtype, input.dtype, "same_kind"):
            raise RuntimeError(
                f"{name}: the result of shape {list(result.shape)} and dtype {result.dtype} does "
                f"not fit into the tensor of shape {list(input.shape)} and dtype {input.dtype}"
            )
        if result._node is not None and input._base is not None:
            raise RuntimeError(
                f"{name}: minigrad does not record an in-place operation on a view. Change the "
                "tensor it is a view of by index assignment, base[...] = value, instead."
            )
        result = result.to(input.dtype)
        input._write(..., result._array, name)
        if result._node is not None:
            input._node = result._node
            input._outdate_views()
        return input

    __iadd__, __isub__, __imul__, __itruediv__ = add_, sub_, mul_, div_


def require_fit(operation: str, shape: Sequence[int], place: Sequence[int]) -> None:
    """Raise a RuntimeError where values of `shape` cannot be broadcast to `place`."""
    lengths = zip(reversed(shape), reversed(place), strict=False)
    if len(shape) > len(place) or any(n not in (1, m) for n, m in lengths):
        raise RuntimeError(
            f"{operation}: values of shape {list(shape)} do not fit the place of shape "
            f"{list(place)}: counted from the last axis, each length must be the same or 1"
        )
