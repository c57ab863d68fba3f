"""torch's names for the rules: the methods of `Tensor`, which are also minigrad's functions.

Each is written once. Its first parameter is called `input`, as in torch's functions, so the same
object serves as `tensor.sum(dim=0)` and as `minigrad.sum(tensor, dim=0)`. What is done here is
what a rule leaves to its caller: torch's argument forms, checks, type promotion.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from minigrad.arguments import (
    BATCHED_MATMUL,
    POW_NUMBER,
    POW_TENSOR,
    RECIPROCAL,
    RSUB,
    SQUEEZE,
    SQUEEZE_DIM,
    TRANSPOSE,
    UNSQUEEZE,
    Dims,
    Number,
    T,
    axes_of,
    axis_of,
    binary,
    fit_shape,
    floating,
    index_rule,
    is_tensor,
    plain_key,
    reduce,
    require_tensor,
    scaled,
    transposed,
    varargs,
)
from minigrad.dtypes import DType, as_dtype, float32, float64, int64
from minigrad.grad_mode import grad_mode
from minigrad.ops import RULES
from minigrad.tape import Array, Node

if TYPE_CHECKING:
    from minigrad.tensor import Size, Tensor

WHERE = RULES["where"]


class Methods:
    """Operations on `Tensor` under torch's names."""

    __slots__ = ()

    if TYPE_CHECKING:
        _apply: Callable[..., Tensor]
        _in_place: Callable[[Callable[[Tensor], Tensor]], Tensor]
        _array: Array
        _node: Node | None
        _requires_grad: bool
        _version: list[int]
        dtype: DType
        is_leaf: bool
        ndim: int
        shape: Size

    # ---- element by element -----------------------------------------------------------------

    def add(input, other: Any, *, alpha: Number = 1) -> Tensor:
        """input + alpha·other, broadcast."""
        return binary(RULES["add"], input, other if alpha == 1 else scaled(other, alpha))

    def sub(input, other: Any, *, alpha: Number = 1) -> Tensor:
        """input - alpha·other, broadcast."""
        return binary(RULES["sub"], input, other if alpha == 1 else scaled(other, alpha))

    def mul(input, other: Any) -> Tensor:
        """input·other element by element, broadcast."""
        return binary(RULES["mul"], input, other)

    def div(input, other: Any) -> Tensor:
        """input / other, broadcast; integers are divided as float32."""
        return binary(RULES["div"], input, other, floating_point=True)

    def pow(input, exponent: Any) -> Tensor:
        """Input to the power of exponent, broadcast."""
        if isinstance(exponent, (int, float)) and exponent == 2:
            return input.square()  # correctly rounded, which a general power is not
        return binary(POW_TENSOR if _isrequire_tensor(exponent) else "pow", input, exponent)

    def maximum(input, other: Tensor) -> Tensor:
        """The larger of each pair; NaN where either is."""
        return binary(RULES["maximum"], input, require_tensor("maximum", other))

    def minimum(input, other: Tensor) -> Tensor:
        """The smaller of each pair; NaN where either is."""
        return binary(RULES["minimum"], input, require_tensor("minimum", other))

    def eq(input, other: Any) -> Tensor:
        """Whether the elements are equal, a bool tensor."""
        return binary(RULES["eq"], input, other)

    def ne(input, other: Any) -> Tensor:
        """Whether the elements differ, a bool tensor."""
        return binary(RULES["ne"], input, other)

    def lt(input, other: Any) -> Tensor:
        """Whether input is less than other, a bool tensor."""
        return binary(RULES["lt"], input, other)

    def le(input, other: Any) -> Tensor:
        """Whether input is at most other, a bool tensor."""
        return binary(RULES["le"], input, other)

    def gt(input, other: Any) -> Tensor:
        """Whether input is greater than other, a bool tensor."""
        return binary(RULES["gt"], input, other)

    def ge(input, other: Any) -> Tensor:
        """Whether input is at least other, a bool tensor."""
        return binary(RULES["ge"], input, other)

    def neg(input) -> Tensor:
        """-input."""
        return input._apply(RULES["neg"], input)

    def abs(input) -> Tensor:
        """|input|; the gradient at 0 is 0."""
        return input._apply(RULES["abs"], input)

    def square(input) -> Tensor:
        """input²."""
        return input._apply(RULES["square"], input)

    def exp(input) -> Tensor:
        """e to the power of input."""
        return input._apply(RULES["exp"], floating(input))

    def log(input) -> Tensor:
        """Natural logarithm; NaN below 0, -inf at 0."""
        return input._apply(RULES["log"], floating(input))

    def sqrt(input) -> Tensor:
        """Square root; NaN below 0."""
        return input._apply(RULES["sqrt"], floating(input))

    def tanh(input) -> Tensor:
        """Hyperbolic tangent."""
        return input._apply(RULES["tanh"], floating(input))

    def sigmoid(input) -> Tensor:
        """1 / (1 + e^-input)."""
        return input._apply(RULES["sigmoid"], floating(input))

    def relu(input) -> Tensor:
        """max(input, 0); the gradient at 0 is 0."""
        return input._apply(RULES["relu"], input)

    def clone(input) -> Tensor:
        """A copy with memory of its own that passes gradients on."""
        return input._apply(RULES["clone"], input)

    def to(input, dtype: Any) -> Tensor:
        """The same values as another dtype; itself if it has that dtype already."""
        wanted = as_dtype(dtype)
        return input if wanted == input.dtype else input._apply(RULES["astype"], input, dtype=wanted)  # type: ignore[return-value]

    def float(input) -> Tensor:
        """The same values as float32."""
        return input.to(float32)

    def double(input) -> Tensor:
        """The same values as float64."""
        return input.to(float64)

    def long(input) -> Tensor:
        """The same values as int64, truncated."""
        return input.to(int64)

    # ---- reductions -------------------------------------------------------------------------

    def sum(input, dim: Dims = None, keepdim: bool = False) -> Tensor:
        """Sum over `dim` (one axis or several; all by default); integers and bools as int64."""
        x = input if input.dtype.kind == "f" else input.to(int64)
        return reduce("sum", x, dim, keepdim, "SumBackward1")

    def mean(input, dim: Dims = None, keepdim: bool = False) -> Tensor:
        """Mean over `dim` (one axis or several; all by default).

        Raises:
            RuntimeError: the dtype is not floating point.
        """
        if input.dtype.kind != "f":
            raise RuntimeError(
                "mean: the input dtype should be floating point, "
                f"not {input.dtype}: convert it first, for example with .float()"
            )
        return reduce("mean", input, dim, keepdim, "MeanBackward1")

    def amax(input, dim: Dims = None, keepdim: bool = False) -> Tensor:
        """Largest element over `dim`; equal ones share its gradient evenly."""
        return reduce("amax", input, dim, keepdim)

    def amin(input, dim: Dims = None, keepdim: bool = False) -> Tensor:
        """Smallest element over `dim`; equal ones share its gradient evenly."""
        return reduce("amin", input, dim, keepdim)

    # ---- matrix products --------------------------------------------------------------------

    def matmul(input, other: Tensor) -> Tensor:
        """Matrix product over the last two axes, the others broadcast; a vector on the left
        counts as a row, on the right as a column.

        Raises:
            RuntimeError: the inner sizes or the dtypes differ, or an input has no axes.
        """
        x, y = input, require_tensor("matmul", other)
        inner = (x.shape[-1:], y.shape[-2:][:1])
        if x.ndim == 0 or y.ndim == 0 or inner[0] != inner[1]:
            raise RuntimeError(
                f"matmul: shapes {list(x.shape)} and {list(y.shape)} cannot be multiplied: the "
                "last axis of the first must be as long as the last but one of the second"
            )
        if x.dtype != y.dtype:
            raise RuntimeError(
                f"matmul: expected both to have the same dtype, but got {x.dtype} and {y.dtype}"
            )
        if x.ndim == 1 and y.ndim == 1:
            return (x * y).sum()
        if x.ndim == 1:
            return x.unsqueeze(0).matmul(y).squeeze(-2)
        if y.ndim == 1:
            return x.matmul(y.unsqueeze(1)).squeeze(-1)
        return input._apply(RULES["matmul"] if x.ndim == y.ndim == 2 else BATCHED_MATMUL, x, y)

    # ---- shape ------------------------------------------------------------------------------

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
        return input._apply(RULES["reshape"], input, shape=fit_shape(input, varargs(shape)))

    def view(input, *shape: Any) -> Tensor:
        """`reshape` that never copies.

        Raises:
            RuntimeError: the elements do not fit the shape, or would have to be copied.
        """
        wanted = fit_shape(input, varargs(shape))
        try:
            np.reshape(np.asarray(input._array), wanted, copy=False)
        except ValueError:
            raise RuntimeError(
                f"view: shape {list(wanted)} is not compatible with the strides of this tensor of "
                f"shape {list(input.shape)} without a copy. Use .reshape(...) instead."
            ) from None
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
        return input._apply(SQUEEZE if dim is None else SQUEEZE_DIM, input, shape=tuple(kept))

    def unsqueeze(input, dim: int) -> Tensor:
        """With an axis of length 1 before axis `dim`."""
        axis = axis_of("unsqueeze", dim, input.ndim + 1)
        shape = (*input.shape[:axis], 1, *input.shape[axis:])
        return input._apply(UNSQUEEZE, input, shape=shape)

    def permute(input, *dims: Any) -> Tensor:
        """With the axes in another order."""
        axes = tuple(axis_of("permute", d, input.ndim) for d in varargs(dims))
        if sorted(axes) != list(range(input.ndim)):
            raise RuntimeError(
                f"permute: dims {list(varargs(dims))} must name each of the {input.ndim} axes of "
                f"the tensor of shape {list(input.shape)} once"
            )
        return input._apply(RULES["permute"], input, axes=axes)

    def transpose(input, dim0: int, dim1: int) -> Tensor:
        """With two axes exchanged."""
        return transposed(input, dim0, dim1, TRANSPOSE)

    def t(input) -> Tensor:
        """Transpose of a matrix; a vector or a scalar as it is."""
        if input.ndim > 2:
            raise RuntimeError(
                f"t() expects a tensor with at most 2 axes, not {input.ndim}: use .mT or "
                ".transpose(dim0, dim1)"
            )
        return input if input.ndim < 2 else transposed(input, 0, 1, T)  # type: ignore[return-value]

    def expand(input, *sizes: Any) -> Tensor:
        """Repeated along axes of length 1 and new axes in front; -1 keeps a length."""
        wanted = varargs(sizes)
        kept = (*wanted[: len(wanted) - input.ndim], *input.shape)
        shape = tuple(k if n == -1 else n for n, k in zip(wanted, kept, strict=False))
        try:
            fits = np.broadcast_shapes(input.shape, shape) == shape
        except ValueError:
            fits = False
        if not fits or len(wanted) < input.ndim:
            raise RuntimeError(
                f"expand: shape {list(input.shape)} cannot be expanded to {list(wanted)}: "
                "each length must be kept, be 1 before, or stand in front"
            )
        return input._apply(RULES["expand"], input, shape=shape)

    @property
    def T(input) -> Tensor:  # noqa: N802 - torch's name
        """With the axes in reverse order."""
        return input._apply(RULES["permute"], input, axes=tuple(reversed(range(input.ndim))))

    @property
    def mT(input) -> Tensor:  # noqa: N802 - torch's name
        """With the last two axes exchanged."""
        return transposed(input, -2, -1, TRANSPOSE)

    def __getitem__(input, key: Any) -> Tensor:
        return input._apply(index_rule(key), input, key=plain_key(key))

    # ---- in place ---------------------------------------------------------------------------

    def add_(input, other: Any, *, alpha: Number = 1) -> Tensor:
        """Input += alpha·other."""
        return input._in_place(lambda x: x.add(other, alpha=alpha))

    def sub_(input, other: Any, *, alpha: Number = 1) -> Tensor:
        """Input -= alpha·other."""
        return input._in_place(lambda x: x.sub(other, alpha=alpha))

    def mul_(input, other: Any) -> Tensor:
        """Input *= other."""
        return input._in_place(lambda x: x.mul(other))

    def div_(input, other: Any) -> Tensor:
        """Input /= other."""
        return input._in_place(lambda x: x.div(other))

    def copy_(input, src: Tensor) -> Tensor:
        """Take over the values of src, broadcast and converted to this dtype."""
        source = requirerequire_tensor("copy_", src).to(input.dtype)
        return input._in_place(lambda x: x._apply(WHERE, True, source, x))

    def fill_(input, value: Number) -> Tensor:
        """Set every element to a number."""
        return input._in_place(lambda x: x._apply(WHERE, True, value, x))

    def zero_(input) -> Tensor:
        """Set every element to 0."""
        return input.fill_(0)

    def __setitem__(input, key: Any, value: Any) -> None:
        key = plain_key(key)
        if grad_mode.enabled and (input._requires_grad or getattr(value, "_requires_grad", False)):
            input._in_place(lambda x: x._apply(RULES["index_put"], x, value, key=key))
        else:
            input._array[key] = value._array if is_tensor(value) else value
            input._version[0] += 1

    # ---- operators --------------------------------------------------------------------------

    def __radd__(input, other: Any) -> Tensor:
        return input + other

    def __rsub__(input, other: Any) -> Tensor:
        return binary(RSUB, other, input)

    def __rmul__(input, other: Any) -> Tensor:
        return input * other

    def __rtruediv__(input, other: Any) -> Tensor:
        return binary(RECIPROCAL, other, input, floating_point=True)

    def __rpow__(input, other: Any) -> Tensor:
        return binary(POW_NUMBER, other, input)

    def __pow__(input, other: Any) -> Tensor:
        return input.pow(other)

    __add__, __sub__, __mul__, __truediv__, __matmul__ = add, sub, mul, div, matmul
    __iadd__, __isub__, __imul__, __itruediv__ = add_, sub_, mul_, div_
    __neg__, __abs__ = neg, abs
    __eq__, __ne__ = eq, ne  # type: ignore[assignment]
    __lt__, __le__, __gt__, __ge__ = lt, le, gt, ge
