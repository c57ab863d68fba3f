"""The methods that move, select or repeat elements and compute nothing."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from minigrad.arguments import (
    Dims,
    Mixin,
    axes_of,
    axis_of,
    fit_shape,
    is_viewable,
    reshape_rule,
    transposed,
    varargs,
)
from minigrad.keys import complaint, index_rule, plain_key
from minigrad.names import (
    SQUEEZE,
    SQUEEZE_DIM,
    SQUEEZE_DIMS,
    TRANSPOSE,
    UNSQUEEZE,
    T,
)
from minigrad.ops import RULES

if TYPE_CHECKING:
    from minigrad.tensor import Size, Tensor


class Reshaping(Mixin):
    """Shapes and indexing of `Tensor` under torch's names."""

    def size(input, dim: int | None = None) -> Size | int:
        """The shape, or the length of one axis."""
        return input.shape if dim is None else input.shape[axis_of("size", dim, input.ndim)]

    def dim(input) -> int:
        """The number of axes."""
        return input.ndim

    def numel(input) -> int:
        """The number of elements."""
        return math.prod(input.shape)

    def reshape(input, *shape: Any) -> Tensor:
        """The same elements in another shape; one length may be -1.

        Raises:
            RuntimeError: the elements do not fit the shape.
        """
        wanted = fit_shape("reshape", input, varargs("reshape", shape))
        return input._apply(reshape_rule(input, wanted), input, shape=wanted)

    def view(input, *size: Any) -> Tensor:
        """`reshape` that never copies.

        Raises:
            RuntimeError: the elements do not fit the shape, or would have to be copied.
        """
        wanted = fit_shape("view", input, varargs("view", size))
        if not is_viewable(input, wanted):
            raise RuntimeError(
                f"view: shape {list(wanted)} is not compatible with the strides of this tensor of "
                f"shape {list(input.shape)} without a copy. Use .reshape(...) instead."
            )
        return input._apply(RULES["reshape"], input, shape=wanted)

    def flatten(input, start_dim: int = 0, end_dim: int = -1) -> Tensor:
        """The axes from start_dim to end_dim as one."""
        if input.ndim == 0:
            return input.reshape(1)
        start = axis_of("flatten", start_dim, input.ndim)
        end = axis_of("flatten", end_dim, input.ndim)
        if start > end:
            raise RuntimeError(f"flatten: start_dim {start_dim} comes after end_dim {end_dim}")
        if start == end:
            return input  # type: ignore[return-value]
        middle = math.prod(input.shape[start : end + 1])
        return input.reshape(*input.shape[:start], middle, *input.shape[end + 1 :])

    def squeeze(input, dim: Dims = None) -> Tensor:
        """Without the axes of length 1, or without those of them in `dim`."""
        axes = range(input.ndim) if dim is None else axes_of("squeeze", dim, input.ndim)
        kept = [n for a, n in enumerate(input.shape) if n != 1 or a not in axes]
        rule = SQUEEZE if dim is None else SQUEEZE_DIM if isinstance(dim, int) else SQUEEZE_DIMS
        return input._apply(rule, input, shape=tuple(kept))

    def unsqueeze(input, dim: int) -> Tensor:
        """With an axis of length 1 before axis `dim`."""
        axis = axis_of("unsqueeze", dim, input.ndim + 1)
        shape = (*input.shape[:axis], 1, *input.shape[axis:])
        return input._apply(UNSQUEEZE, input, shape=shape)

    def permute(input, *dims: Any) -> Tensor:
        """With the axes in another order."""
        wanted = varargs("permute", dims)
        if len(wanted) == input.ndim:
            axes = tuple(axis_of("permute", d, input.ndim) for d in wanted)
        if len(wanted) != input.ndim or len(set(axes)) != input.ndim:
            raise RuntimeError(
                f"permute: dims {list(wanted)} must name each of the {input.ndim} axes of "
                f"the tensor of shape {list(input.shape)} once"
            )
        return input._apply(RULES["permute"], input, axes=axes)

    def transpose(input, dim0: int, dim1: int) -> Tensor:
        """With two axes exchanged."""
        return transposed(input, dim0, dim1, TRANSPOSE)

    def t(input) -> Tensor:
        """Transpose of a matrix; a view of a vector or a scalar as it is."""
        if input.ndim > 2:
            raise RuntimeError(
                f"t: expected at most 2 axes, not shape {list(input.shape)}: use .mT or "
                ".transpose(dim0, dim1)"
            )
        return transposed(input, 0, 0 if input.ndim < 2 else 1, T)

    def expand(input, *size: Any) -> Tensor:
        """Repeated along axes of length 1 and new axes in front; -1 keeps a length."""
        wanted = varargs("expand", size)
        new = len(wanted) - input.ndim
        kept = (*wanted[:new], *input.shape)
        shape = tuple(k if n == -1 else n for n, k in zip(wanted, kept, strict=False))
        fits = new >= 0 and all(
            n >= 0 and (i < new or k in (1, n))
            for i, (n, k) in enumerate(zip(shape, kept, strict=True))
        )
        if not fits:
            raise RuntimeError(
                f"expand: shape {list(input.shape)} cannot be expanded to {list(wanted)}: "
                "each length must be kept, be 1 before, or stand in front"
            )
        return input._apply(RULES["expand"], input, shape=shape)

    @property
    def T(input) -> Tensor:
        """With the axes in reverse order."""
        return input._apply(RULES["permute"], input, axes=tuple(reversed(range(input.ndim))))

    @property
    def mT(input) -> Tensor:
        """With the last two axes exchanged.

        Raises:
            RuntimeError: there is a single axis.
        """
        if input.ndim == 1:
            raise RuntimeError(
                f"mT: expected a matrix or a batch of them, not shape {list(input.shape)}: "
                "a vector has no axes to exchange; .unsqueeze(0) makes it a row"
            )
        return transposed(input, -2 if input.ndim else -1, -1, TRANSPOSE)

    def __getitem__(input, key: Any) -> Tensor:
        plain = plain_key(key)
        try:
            return input._apply(index_rule(plain, input.shape), input, key=plain)
        except (IndexError, TypeError) as error:
            raise type(error)(complaint(error, input.shape)) from error
