"""Matrix products."""

from typing import Any, Self

from minigrad.layout import contiguous
from minigrad.ops import RULE_OF, linalg, shape
from minigrad.tensor.arithmetic import Elementwise, stored
from minigrad.tensor.base import TensorBase, require_tensor
from minigrad.tensor.conversion import not_bool
from minigrad.tensor.shape import Shapes

BATCHED_MATMUL = RULE_OF[linalg.matmul].named("UnsafeViewBackward0")
UNSAFE_VIEW = RULE_OF[shape.reshape].named("UnsafeViewBackward0")
VECTOR_MATRIX = RULE_OF[shape.reshape].named("SqueezeBackward4")


class MatrixProducts(Elementwise, Shapes):
    """Matrix products of `Tensor` under torch's names."""

    def matmul(input, other: TensorBase) -> Self:
        """Matrix product over the last two axes, the others broadcast; a vector on the left
        counts as a row, on the right as a column.

        Raises:
            RuntimeError: the inner sizes or the dtypes differ, or an input has no axes.
        """
        y: Any = require_tensor("matmul", other)
        require_factors("matmul", input, y)
        if input.ndim == 1 and y.ndim == 1:
            return input._apply(RULE_OF[linalg.dot], input, y)
        if input.ndim == 1:
            rows = input.unsqueeze(0).matmul(y)
            rule = VECTOR_MATRIX if y.ndim == 2 else UNSAFE_VIEW
            lengths = (*rows.shape[:-2], rows.shape[-1])
            return input._apply(rule, rows, shape=lengths)._own()
        if y.ndim == 1 and input.ndim == 2:
            return input._apply(RULE_OF[linalg.mv], input, y)._own()
        if y.ndim == 1:
            columns = input.matmul(y.unsqueeze(1))
            return input._apply(UNSAFE_VIEW, columns, shape=columns.shape[:-1])._own()
        if input.ndim == y.ndim == 2:
            return input._apply(RULE_OF[linalg.matmul], input, y)
        try:
            result = input._apply(BATCHED_MATMUL, input, y)
            return stored(result, contiguous(result._array))
        except ValueError as error:
            raise RuntimeError(
                f"matmul: shapes {list(input.shape)} and {list(y.shape)} cannot be multiplied: the "
                "axes before the last two must broadcast, that is be equal or 1"
            ) from error

    def mm(input, mat2: TensorBase) -> Self:
        """Product of two matrices: `matmul` for these alone.

        Raises:
            RuntimeError: an input is no matrix, or the inner sizes or the dtypes differ.
        """
        for x in (input, require_tensor("mm", mat2)):
            if x.ndim != 2:
                raise RuntimeError(
                    f"mm: both must be a matrix, but one has shape {list(x.shape)}: matmul takes "
                    "vectors and batches too"
                )
        require_factors("mm", input, mat2)
        return input._apply(RULE_OF[linalg.matmul], input, mat2)

    def dot(input, tensor: TensorBase) -> Self:
        """Sum of the products of two vectors' elements: `matmul` for these alone.

        Raises:
            RuntimeError: an input is no vector, or the lengths or the dtypes differ.
        """
        return input._product("dot", tensor, 1, 1)

    def mv(input, vec: TensorBase) -> Self:
        """Product of a matrix and a vector: `matmul` for these alone.

        Raises:
            RuntimeError: an input has another number of axes, or lengths or dtypes differ.
        """
        return input._product("mv", vec, 2, 1)

    def _product(input, name: str, other: TensorBase, axes: int, others: int) -> Self:
        if (input.ndim, require_tensor(name, other).ndim) != (axes, others):
            raise RuntimeError(
                f"{name}: expected {axes} and {others} axes, not shapes {list(input.shape)} and "
                f"{list(other.shape)}: matmul takes matrices, vectors and batches"
            )
        require_factors(name, input, other)
        return input.matmul(other)

    def outer(input, vec2: TensorBase) -> Self:
        """Each element of a vector times each of another, (n,) and (m,) to (n, m).

        Raises:
            RuntimeError: an input is no vector.
        """
        if input.ndim != 1 or require_tensor("outer", vec2).ndim != 1:
            raise RuntimeError(
                f"outer: expected two vectors, not shapes {list(input.shape)} and "
                f"{list(vec2.shape)}: give .flatten() of each"
            )
        return input.reshape(-1, 1) * vec2

    __matmul__ = matmul


def require_factors(operation: str, x: Any, y: Any) -> None:
    """Raise where two tensors cannot be multiplied."""
    if x.ndim == 0 or y.ndim == 0 or x.shape[-1] != y.shape[-2:][0]:
        raise RuntimeError(
            f"{operation}: shapes {list(x.shape)} and {list(y.shape)} cannot be multiplied: each "
            "needs an axis, and the last axis of the first must be as long as the last but one (or "
            "only one) of the second"
        )
    if x.dtype != y.dtype:
        raise RuntimeError(
            f"{operation}: expected both to have the same dtype, but got {x.dtype} and {y.dtype}: "
            "convert one, for example with .double()"
        )
    not_bool(operation, x, NotImplementedError)
