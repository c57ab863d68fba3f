"""The methods that change a tensor in place."""

from collections.abc import Callable, Sequence
from typing import Any, Self

import numpy as np

from minigrad.dtypes import number_as, python_number
from minigrad.grad_mode import grad_mode
from minigrad.ops import RULE_OF, Rule, elementwise
from minigrad.random import Generator, chosen
from minigrad.tensor.arithmetic import Elementwise
from minigrad.tensor.base import Number, TensorBase, require_tensor
from minigrad.tensor.overlap import require_apart, require_same_or_apart
from minigrad.tensor.views import OUTDATED, outdated_view

COPY = RULE_OF[elementwise.fill].named("torch::autograd::CopyBackwards")
FILL = RULE_OF[elementwise.fill].named("FillBackward2")
FILL_TENSOR = RULE_OF[elementwise.fill].named("FillBackward3")
NORMAL = RULE_OF[elementwise.fill].named("NormalBackward0")
UNIFORM = RULE_OF[elementwise.fill].named("UniformBackward0")
ZERO = RULE_OF[elementwise.fill].named("ZeroBackward0")


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
        if input._node is not None:
            input._node.strides = value._array.strides

    def add_(input, other: Any, *, alpha: Number = 1) -> Self:
        """Input += alpha·other."""
        return input._in_place("add_", lambda x: x.add(other, alpha=alpha), other)

    def sub_(input, other: Any, *, alpha: Number = 1) -> Self:
        """Input -= alpha·other."""
        return input._in_place("sub_", lambda x: x.sub(other, alpha=alpha), other)

    def mul_(input, other: Any) -> Self:
        """Input *= other."""
        return input._in_place("mul_", lambda x: x.mul(other), other)

    def div_(input, other: Any) -> Self:
        """Input /= other."""
        return input._in_place("div_", lambda x: x.div(other), other)

    def pow_(input, exponent: Any) -> Self:
        """Input **= exponent."""
        return input._in_place("pow_", lambda x: x.pow(exponent), exponent)

    def relu_(input) -> Self:
        """max(input, 0), in place."""
        return input._in_place("relu_", lambda x: x.relu())

    def copy_(input, other: Any) -> Self:
        """Take over the values of other, broadcast and converted to this dtype.

        Raises:
            TypeError: other is neither tensor nor number.
            RuntimeError: its shape does not fit.
        """
        other = python_number(other)
        if isinstance(other, (int, float)):
            return input._set("copy_", COPY, other)
        require_tensor("copy_", other)
        require_fit("copy_", other.shape, input.shape)
        require_apart("copy_", input, other)
        return input._set("copy_", COPY, other.to(input.dtype))

    def fill_(input, value: Any) -> Self:
        """Set every element to a number, or to the value of a tensor without axes.

        Raises:
            TypeError: the value is neither.
            RuntimeError: it is a tensor with axes, or a number that the dtype cannot hold
                (OverflowError for an int of more than 64 bits).
        """
        value = python_number(value)
        if isinstance(value, InPlace):
            if value.ndim != 0:
                raise RuntimeError(
                    f"fill_: only a tensor of no axes can be the value, not one of shape "
                    f"{list(value.shape)}: use copy_"
                )
            input._refuse_gradient("fill_", value)
            return input._set("fill_", FILL_TENSOR, value.to(input.dtype))
        if not isinstance(value, (int, float)):
            raise TypeError(f"fill_: expected a number or a tensor, not {type(value).__name__}")
        return input._set("fill_", FILL, value)

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
        return input._draw("uniform_", UNIFORM, lambda shape: draw(shape, from_, to, input.dtype))

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
        return input._draw(
            "normal_", NORMAL, lambda shape: draw(shape, mean, std, input.dtype, blocks)
        )

    def zero_(input) -> Self:
        """Set every element to 0."""
        return input._set("zero_", ZERO, 0)

    def _set(input, name: str, rule: Rule, values: Any) -> Self:
        """Replace all values by a number, a tensor or an array; the old ones get no gradient."""
        if isinstance(values, (int, float)):
            values = number_as(name, values, input.dtype)
        return input._in_place(name, lambda x: x._apply(rule, x, values))

    def _draw(input, name: str, rule: Rule, draw: Callable[[list[int]], Any]) -> Self:
        """Fill with `draw(shape)`, in the order of the elements in memory, as torch does."""
        array: Any = getattr(input._array, "_array", input._array)  # of what flows through rules
        order = sorted(range(array.ndim), key=lambda axis: -array.strides[axis])
        draw([0])  # refuses what is wrong with the arguments, and draws nothing
        if not array.flags.writeable or 0 in array.strides:
            input._in_place(name, lambda x: x)  # refuses, too

        def drawn(x: Self) -> Self:
            values = draw([array.shape[axis] for axis in order])
            return x._apply(rule, x, np.transpose(values, np.argsort(order)))

        return input._in_place(name, drawn)

    def _in_place(input, name: str, operation: Callable[[Self], Self], *operands: Any) -> Self:
        """Replace the values by those of `operation(input)`, and follow its result on the tape.

        The operation sees a copy of the values, which keeps what its derivative needs. `name` is
        what messages call it.

        Raises:
            RuntimeError: an operand, what the operation reads besides, shares a part of the
                memory that is changed.
        """
        for operand in operands:
            if isinstance(operand, InPlace):
                require_same_or_apart(name, input, operand)
        before = input
        if grad_mode.enabled:
            input._refuse_leaf(name)
            if input._node is OUTDATED:
                raise outdated_view(name)
            if input._node is not None:
                input._refuse_view(name)
            before = input._wrapped(np.copy(input._array), input._node)
        result = operation(before)
        if result.shape != input.shape or not np.can_cast(result.dtype, input.dtype, "same_kind"):
            raise RuntimeError(
                f"{name}: the result of shape {list(result.shape)} and dtype {result.dtype} does "
                f"not fit into the tensor of shape {list(input.shape)} and dtype {input.dtype}"
            )
        node = result._node
        if node is not None:
            input._refuse_view(name)
            node.dtype = input.dtype  # of the values that are kept, and so of their gradient
        input._write(..., np.astype(result._array, input.dtype), name)
        if node is not None:
            input._continue_from(node)
        return input

    def _refuse_gradient(input, name: str, value: Any) -> None:
        """Raise where torch would have integers require a gradient."""
        if input.dtype.kind != "f" and value._node is not None and grad_mode.enabled:
            raise RuntimeError(
                f"{name}: the value requires a gradient, and a tensor of dtype {input.dtype} "
                "cannot have one: give value.detach(), or convert the tensor with .float()"
            )

    def _refuse_leaf(input, name: str) -> None:
        if input._node is not None and input.is_leaf:
            raise RuntimeError(
                f"{name}: a leaf Tensor that requires grad is being used in an in-place operation, "
                "which would lose the values its gradient belongs to. Do it under no_grad(), or "
                "use the operation that is not in place."
            )

    def _refuse_view(input, name: str) -> None:
        if input._base is not None:
            raise RuntimeError(
                f"{name}: minigrad does not record an in-place operation on a view. Change the "
                "tensor it is a view of by index assignment, base[...] = value, instead."
            )

    __iadd__, __isub__, __imul__, __itruediv__, __ipow__ = add_, sub_, mul_, div_, pow_


def require_fit(operation: str, shape: Sequence[int], place: Sequence[int]) -> None:
    """Raise a RuntimeError where values of `shape` cannot be broadcast to `place`."""
    lengths = zip(reversed(shape), reversed(place), strict=False)
    if len(shape) > len(place) or any(n not in (1, m) for n, m in lengths):
        raise RuntimeError(
            f"{operation}: values of shape {list(shape)} do not fit the place of shape "
            f"{list(place)}: counted from the last axis, each length must be the same or 1"
        )
