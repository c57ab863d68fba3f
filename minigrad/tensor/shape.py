"""Moving and repeating elements: nothing is computed."""

import math
import warnings
from collections.abc import Sequence
from typing import Any, Self, TypeVar

import numpy as np

from minigrad.ops import RULE_OF, Rule
from minigrad.ops import shape as rules
from minigrad.tensor.conversion import Conversions
from minigrad.tensor.reduction import VOID, Dims, axes_of, axis_of, one_of
from minigrad.tensor.size import Size

ALIAS = RULE_OF[rules.alias]
EXPAND_NOTHING = ALIAS.named("ExpandBackward0")
RESHAPE_ALIAS = RULE_OF[rules.reshape].named("ReshapeAliasBackward0")
SQUEEZE = RULE_OF[rules.reshape].named("SqueezeBackward0")
SQUEEZE_DIM = RULE_OF[rules.reshape].named("SqueezeBackward1")
SQUEEZE_DIMS = RULE_OF[rules.reshape].named("SqueezeBackward2")
TRANSPOSED = RULE_OF[rules.permute].named("TBackward0")
TRANSPOSE = RULE_OF[rules.permute].named("TransposeBackward0")
UNSAFE_VIEW = RULE_OF[rules.reshape].named("UnsafeViewBackward0")
UNSQUEEZE = RULE_OF[rules.reshape].named("UnsqueezeBackward0")


class Shapes(Conversions):
    """Shapes of `Tensor` under torch's names; as in torch, `dim` may also be called `axis`."""

    def size(input, dim: int | None = None, *, axis: int | None = VOID) -> Size | int:
        """The shape, or the length of one axis."""
        dim = one_of("size", "dim", dim, "axis", axis)
        return input.shape if dim is None else input.shape[axis_of("size", dim, input.ndim)]

    def dim(input) -> int:
        """The number of axes."""
        return input.ndim

    def reshape(input, *lengths: Any, shape: Sequence[int] | None = None) -> Self:
        """The same elements in another shape; one length may be -1.

        Raises:
            RuntimeError: the elements do not fit the shape.
        """
        wanted = fit_shape("reshape", input, varargs("reshape", lengths, shape))
        return input._apply(reshape_rule(input, wanted), input, shape=wanted)

    def view(input, *lengths: Any, size: Sequence[int] | None = None) -> Self:
        """`reshape` that never copies.

        Raises:
            RuntimeError: the elements do not fit the shape, or would have to be copied.
        """
        wanted = fit_shape("view", input, varargs("view", lengths, size))
        if not is_viewable(input, wanted):
            raise RuntimeError(
                f"view: shape {list(wanted)} is not compatible with the strides of this tensor of "
                f"shape {list(input.shape)} without a copy. Use .reshape(...) instead."
            )
        return input._apply(RULE_OF[rules.reshape], input, shape=wanted)

    def flatten(input, start_dim: int = 0, end_dim: int = -1) -> Self:
        """The axes from start_dim to end_dim as one."""
        start = axis_of("flatten", start_dim, input.ndim)
        end = axis_of("flatten", end_dim, input.ndim)
        if start > end:
            raise RuntimeError(f"flatten: start_dim {start_dim} comes after end_dim {end_dim}")
        if input.ndim == 0:
            return input.reshape(1)
        if start == end:
            return input
        middle = math.prod(input.shape[start : end + 1])
        return input.reshape(*input.shape[:start], middle, *input.shape[end + 1 :])

    def squeeze(input, dim: Dims = None, *, axis: Dims = VOID) -> Self:
        """Without the axes of length 1, or without those of them in `dim`."""
        dim = one_of("squeeze", "dim", dim, "axis", axis)
        axes = range(input.ndim) if dim is None else axes_of("squeeze", dim, input.ndim)
        kept = [n for a, n in enumerate(input.shape) if n != 1 or a not in axes]
        rule = SQUEEZE if dim is None else SQUEEZE_DIM if isinstance(dim, int) else SQUEEZE_DIMS
        if len(kept) == input.ndim:  # as in torch, the derivative is what it gets
            rule = ALIAS.named(rule.torch_name)
        return input._apply(rule, input, shape=tuple(kept))

    def unsqueeze(input, dim: int | None = None, *, axis: int | None = VOID) -> Self:
        """With an axis of length 1 before axis `dim`."""
        dim = one_of("unsqueeze", "dim", dim, "axis", axis)
        place = axis_of("unsqueeze", dim, input.ndim + 1)
        shape = (*input.shape[:place], 1, *input.shape[place:])
        return input._apply(UNSQUEEZE, input, shape=shape)

    def permute(input, *axes: Any, dims: Sequence[int] | None = None) -> Self:
        """With the axes in another order."""
        wanted = varargs("permute", axes, dims)
        if len(wanted) == input.ndim:
            axes = tuple(axis_of("permute", d, input.ndim) for d in wanted)
        if len(wanted) != input.ndim or len(set(axes)) != input.ndim:
            raise RuntimeError(
                f"permute: dims {list(wanted)} must name each of the {input.ndim} axes of "
                f"the tensor of shape {list(input.shape)} once"
            )
        return input._apply(RULE_OF[rules.permute], input, axes=axes)

    def transpose(input, dim0: int, dim1: int) -> Self:
        """With two axes exchanged."""
        return transposed(input, dim0, dim1, TRANSPOSE)

    def t(input) -> Self:
        """Transpose of a matrix; a view of a vector or a scalar as it is."""
        if input.ndim > 2:
            raise RuntimeError(
                f"t: expected at most 2 axes, not shape {list(input.shape)}: use .mT or "
                ".transpose(dim0, dim1)"
            )
        return transposed(input, 0, 0 if input.ndim < 2 else 1, TRANSPOSED)

    def expand(input, *lengths: Any, size: Sequence[int] | None = None) -> Self:
        """Repeated along axes of length 1 and new axes in front; -1 keeps a length."""
        wanted = varargs("expand", lengths, size)
        new = len(wanted) - input.ndim
        kept = (*wanted[:new], *input.shape)
        shape = tuple(k if n == -1 else n for n, k in zip(wanted, kept, strict=False))
        repeats = shape != (1,) * new + input.shape
        rule = RULE_OF[rules.expand] if repeats else EXPAND_NOTHING
        try:
            return input._apply(rule, input, shape=shape)
        except ValueError as error:
            raise RuntimeError(
                f"expand: shape {list(input.shape)} cannot be expanded to {list(wanted)}: "
                "each length must be kept, be 1 before, or stand in front"
            ) from error

    @property
    def T(input) -> Self:
        """With the axes in reverse order; warns, as torch does, where there are not two."""
        if input.ndim != 2:
            warnings.warn(
                f"T: deprecated for shape {list(input.shape)}: a vector and a scalar stay as they "
                "are; use .mT for a batch of matrices, or .permute(...)",
                stacklevel=2,
            )
        return input._apply(RULE_OF[rules.permute], input, axes=tuple(reversed(range(input.ndim))))

    @property
    def mT(input) -> Self:
        """With the last two axes exchanged; a scalar stays as it is, with torch's warning.

        Raises:
            RuntimeError: there is a single axis.
        """
        if input.ndim == 1:
            raise RuntimeError(
                f"mT: expected a matrix or a batch of them, not shape {list(input.shape)}: "
                "a vector has no axes to exchange; .unsqueeze(0) makes it a row"
            )
        if input.ndim == 0:
            warnings.warn("mT: deprecated for a tensor without axes, which it leaves", stacklevel=2)
            return input
        return transposed(input, -2, -1, TRANSPOSE)


def fit_shape(operation: str, x: Any, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return `shape` with a single -1 replaced by what the other lengths leave."""
    size = x.numel()
    if shape.count(-1) == 1:
        known = math.prod(n for n in shape if n != -1)
        if known and size % known == 0:
            shape = tuple(size // known if n == -1 else n for n in shape)
    if math.prod(shape) != size or min(shape, default=0) < 0:
        raise RuntimeError(
            f"{operation}: shape '{list(shape)}' is invalid for input of size {size} "
            f"(shape {list(x.shape)}): the lengths must multiply to {size}, and one may be -1 if "
            "the others determine it"
        )
    return shape


T = TypeVar("T", bound=Shapes)


def transposed(x: T, dim0: int, dim1: int, rule: Rule) -> T:
    """Exchange two axes."""
    axes = list(range(x.ndim))
    a, b = axis_of("transpose", dim0, x.ndim), axis_of("transpose", dim1, x.ndim)
    if axes:
        axes[a], axes[b] = b, a
    return x._apply(rule, x, axes=tuple(axes))


def is_viewable(x: Any, shape: tuple[int, ...]) -> bool:
    """Return whether a tensor's elements need not be copied to have this shape."""
    # An array laid out alike: the values do not matter, and may not be there to be read.
    layout = np.lib.stride_tricks.as_strided(np.zeros(()), x.shape, x._array.strides)
    try:
        np.reshape(layout, shape, copy=False)
    except ValueError:
        return False
    return True


def reshape_rule(x: Any, shape: tuple[int, ...]) -> Rule:
    """Return the rule for a reshape, under the name torch gives it for a tensor laid out so."""
    if x._array.flags.c_contiguous:
        return RULE_OF[rules.reshape]
    return RESHAPE_ALIAS if is_viewable(x, shape) else UNSAFE_VIEW


def fitting(operation: str, size: tuple[int, ...]) -> tuple[int, ...]:
    """Return a size; raise a RuntimeError where memory cannot have it."""
    if min(size, default=0) < 0:
        raise RuntimeError(f"{operation}: size {list(size)}: lengths must not be negative")
    if math.prod(n for n in size if n) >= 2**60:  # of 8 bytes each
        raise RuntimeError(f"{operation}: size {list(size)} is more than memory can have")
    return size


def varargs(
    operation: str, values: Sequence[Any], whole: Sequence[int] | None = None
) -> tuple[int, ...]:
    """Return the integers of `f(2, 3)`, of `f((2, 3))` and of `f(shape=(2, 3))` alike.

    `values` are the arguments by position, `whole` is the one by keyword.
    """
    if whole is not None:
        if values or not isinstance(whole, (tuple, list)):
            raise TypeError(
                f"{operation}: expected ints, or one tuple of them by position or by keyword, but "
                f"got {[*values, whole]}"
            )
        values = whole
    elif not values:
        raise TypeError(f"{operation}: expected ints, or one tuple of them, but nothing was given")
    if len(values) == 1 and isinstance(values[0], (tuple, list)):
        values = values[0]
    return tuple(_as_int(operation, v) for v in values)


def _as_int(operation: str, value: Any) -> int:
    number = value.__index__() if hasattr(value, "__index__") else None
    if number is None or isinstance(value, bool) or not -(2**63) <= number < 2**63:
        given = f"{type(value).__name__} {value!r}"
        raise TypeError(f"{operation}: expected ints of 64 bits, or one tuple of them, not {given}")
    return int(number)
