"""Matrix products."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from minigrad.ops import RULES
from minigrad.tensor.base import Mixin, own, require_tensor
from minigrad.tensor.promotion import not_bool

if TYPE_CHECKING:
    from minigrad.tensor import Tensor

BATCHED_MATMUL = RULES["matmul"].named("UnsafeViewBackward0")
DOT = RULES["sum"].named("DotBackward0")
MATRIX_VECTOR = RULES["reshape"].named("MvBackward0")
UNSAFE_VIEW = RULES["reshape"].named("UnsafeViewBackward0")
VECTOR_MATRIX = RULES["reshape"].named("SqueezeBackward4")


class MatrixProducts(Mixin):
    """Matrix products of `Tensor` under torch's names."""

    def matmul(input, other: Tensor) -> Tensor:
        """Matrix product over the last two axes, the others broadcast; a vector on the left
        counts as a row, on the right as a column.

        Raises:
            RuntimeError: the inner sizes or the dtypes differ, or an input has no axes.
        """
        x: Any = input
        y = require_tensor("matmul", other)
        require_factors("matmul", x, y)
        if x.ndim == 1 and y.ndim == 1:
            return input._apply(DOT, x * y, axis=None)
        if x.ndim == 1:
            rows = x.unsqueeze(0).matmul(y)
            shape = (*rows.shape[:-2], rows.shape[-1])
            return own(
                input._apply(VECTOR_MATRIX if y.ndim == 2 else UNSAFE_VIEW, rows, shape=shape)
            )
        if y.ndim == 1:
            columns = x.matmul(y.unsqueeze(1))
            rule = MATRIX_VECTOR if x.ndim == 2 else UNSAFE_VIEW
            return own(input._apply(rule, columns, shape=columns.shape[:-1]))
        if x.ndim == y.ndim == 2:
            return input._apply(RULES["matmul"], x, y)
        try:
            return input._apply(BATCHED_MATMUL, x, y)
        except ValueError as error:
            raise RuntimeError(
                f"matmul: shapes {list(x.shape)} and {list(y.shape)} cannot be multiplied: the "
                "axes before the last two must broadcast, that is be equal or 1"
            ) from error

    def mm(input, mat2: Tensor) -> Tensor:
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
        return input._apply(RULES["matmul"], input, mat2)

    __matmul__ = matmul


def require_factors(operation: str, x: Any, y: Any) -> None:
    """Check that two tensors can be multiplied.

    Raises:
        RuntimeError: their inner sizes or dtypes differ, or one has no axes.
        NotImplementedError: they are of dtype bool.
    """
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
