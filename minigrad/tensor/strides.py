"""How a tensor lies in memory, and shapes that are another tensor's."""

import math
from typing import Any, Self

from minigrad.layout import contiguous
from minigrad.ops import RULE_OF, elementwise
from minigrad.tensor.arithmetic import stored
from minigrad.tensor.base import TensorBase, require_tensor
from minigrad.tensor.inplace import InPlace
from minigrad.tensor.reduction import axis_of
from minigrad.tensor.shape import Shapes


class Strides(InPlace, Shapes):
    """Layout of `Tensor` in memory, under torch's names."""

    def stride(input, dim: int | None = None) -> Any:
        """How many elements apart neighbours along each axis are in memory, or along one axis.

        Along an axis of length 1 there are none, and the number may be another than torch's.

        Raises:
            IndexError: there is no such axis.
        """
        array: Any = getattr(input._array, "_array", input._array)
        steps = tuple(step // array.itemsize for step in array.strides)
        if array.size == 0:  # NumPy has 0 there
            lengths = [max(n, 1) for n in input.shape]
            steps = tuple(math.prod(lengths[i + 1 :]) for i in range(len(lengths)))
        if dim is None:
            return steps
        if not steps:
            raise IndexError(f"stride: dim is {dim}, but the tensor has no dimensions")
        return steps[axis_of("stride", dim, input.ndim)]

    def is_contiguous(input) -> bool:
        """Whether the elements lie in index order, without gaps."""
        return bool(input._array.flags.c_contiguous)

    def contiguous(input) -> Self:
        """The tensor itself if its elements lie in index order, else a copy where they do."""
        if input.is_contiguous():
            return input
        copy = input._apply(RULE_OF[elementwise.clone], input)
        return stored(copy, contiguous(copy._array))

    def view_as(input, other: TensorBase) -> Self:
        """The same elements in another tensor's shape; see `view`."""
        return input.view(require_tensor("view_as", other).shape)

    def reshape_as(input, other: TensorBase) -> Self:
        """The same elements in another tensor's shape; see `reshape`."""
        return input.reshape(require_tensor("reshape_as", other).shape)

    def expand_as(input, other: TensorBase) -> Self:
        """Repeated to another tensor's shape; see `expand`."""
        return input.expand(require_tensor("expand_as", other).shape)
