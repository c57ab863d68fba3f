"""torch's names for the rules: the methods of `Tensor`, which are also minigrad's functions.

Each is written once. Its first parameter is called `input`, as in torch's functions, so the same
object serves as `tensor.sum(dim=0)` and as `minigrad.sum(tensor, dim=0)`. What is done here is
what a rule leaves to its caller: torch's argument forms, checks, type promotion.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from minigrad.arguments import Dims, Number, extremum, is_tensor, own, reduce, require_tensor
from minigrad.dtypes import as_dtype, bool_, float32, float64, int64
from minigrad.inplace import InPlace
from minigrad.names import (
    BATCHED_MATMUL,
    DOT,
    MATRIX_VECTOR,
    POW_NUMBER,
    POW_TENSOR,
    RECIPROCAL,
    RSUB,
    UNSAFE_VIEW,
    VECTOR_MATRIX,
)
from minigrad.operands import (
    PLAIN,
    binary,
    choose,
    floating,
    is_operand,
    not_bool,
    promote,
    refuse_negative,
    scaled,
)
from minigrad.ops import RULES
from minigrad.reshaping import Reshaping

if TYPE_CHECKING:
    from minigrad.tensor import Tensor


class Methods(Reshaping, InPlace):
    """Operations on `Tensor` under torch's names."""

    # ---- element by element -----------------------------------------------------------------

    def add(input, other: Any, *, alpha: Number = 1) -> Tensor:
        """Input + alpha·other, broadcast."""
        return binary(
            RULES["add"], input, other if alpha == 1 else scaled("add", input, other, alpha)
        )

    def sub(input, other: Any, *, alpha: Number = 1) -> Tensor:
        """Input - alpha·other, broadcast."""
        return binary(
            RULES["sub"], input, other if alpha == 1 else scaled("sub", input, other, alpha)
        )

    def mul(input, other: Any) -> Tensor:
        """input·other element by element, broadcast."""
        return binary(RULES["mul"], input, other)

    def div(input, other: Any) -> Tensor:
        """Input / other, broadcast; integers are divided as float32."""
        return binary(RULES["div"], input, other, floating_point=True)

    def pow(input, exponent: Any) -> Tensor:
        """Input to the power of exponent, broadcast.

        Raises:
            RuntimeError: integers to negative powers, or the shapes do not broadcast.
        """
        if is_tensor(exponent):
            refuse_negative(input, exponent)
            return binary(POW_TENSOR, input, exponent)
        if not isinstance(exponent, (int, float)):
            raise TypeError(
                f"pow: exponent must be a tensor or a number, not {type(exponent).__name__}"
            )
        x, number = input, exponent
        if type(exponent) not in PLAIN or x._array.dtype.kind != "f":
            x, number = promote(RULES["power"], x, x, exponent)
            refuse_negative(x, number)
        if number == 2:
            return input._apply(RULES["square"], x)
        return input._apply(RULES["power"], x, exponent=number)

    def maximum(input, other: Tensor) -> Tensor:
        """The larger of each pair; NaN where either is."""
        return binary(RULES["maximum"], input, require_tensor("maximum", other))

    def minimum(input, other: Tensor) -> Tensor:
        """The smaller of each pair; NaN where either is."""
        return binary(RULES["minimum"], input, require_tensor("minimum", other))

    def where(input, condition: Tensor, other: Any) -> Tensor:
        """Input where the condition holds, else other, broadcast; see `minigrad.where`."""
        return choose(condition, input, other)

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
        return input._apply(RULES["neg"], not_bool("neg", input))

    def abs(input) -> Tensor:
        """|input|; the gradient at 0 is 0."""
        return input._apply(RULES["abs"], not_bool("abs", input, NotImplementedError))

    def square(input) -> Tensor:
        """input²; of bools as int64."""
        x = input.to(int64) if input._array.dtype == bool_ else input
        return input._apply(RULES["square"], x)

    def exp(input) -> Tensor:
        """E to the power of input."""
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
        if input._array.dtype is bool_:
            not_bool("relu", input)
        return input._apply(RULES["relu"], input)

    def clone(input) -> Tensor:
        """A copy with memory of its own that passes gradients on."""
        return input._apply(RULES["clone"], input)

    def to(input, dtype: Any) -> Tensor:
        """The same values as another dtype; itself if it has that dtype already."""
        wanted = as_dtype(dtype)
        if wanted == input.dtype:
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

    def amax(input, dim: Dims = (), keepdim: bool = False) -> Tensor:
        """Largest element over `dim`; equal ones share its gradient evenly."""
        return extremum("amax", input, dim, keepdim)

    def amin(input, dim: Dims = (), keepdim: bool = False) -> Tensor:
        """Smallest element over `dim`; equal ones share its gradient evenly."""
        return extremum("amin", input, dim, keepdim)

    # ---- matrix products --------------------------------------------------------------------

    def matmul(input, other: Tensor) -> Tensor:
        """Matrix product over the last two axes, the others broadcast; a vector on the left
        counts as a row, on the right as a column.

        Raises:
            RuntimeError: the inner sizes or the dtypes differ, or an input has no axes.
        """
        x, y = input, require_tensor("matmul", other)
        shapes = f"shapes {list(x.shape)} and {list(y.shape)}"
        if x.ndim == 0 or y.ndim == 0 or x.shape[-1] != y.shape[-2:][0]:
            raise RuntimeError(
                f"matmul: {shapes} cannot be multiplied: each needs an axis, and the last axis of "
                "the first must be as long as the last but one (or only one) of the second"
            )
        if x.dtype != y.dtype:
            raise RuntimeError(
                f"matmul: expected both to have the same dtype, but got {x.dtype} and {y.dtype}: "
                "convert one, for example with .double()"
            )
        not_bool("matmul", x, NotImplementedError)
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
                f"matmul: {shapes} cannot be multiplied: the axes before the last two must "
                "broadcast, that is be equal or 1"
            ) from error

    # ---- operators --------------------------------------------------------------------------

    def __radd__(input, other: Any) -> Tensor:
        return input.add(other)

    def __rsub__(input, other: Any) -> Tensor:
        return binary(RSUB, other, input)

    def __rmul__(input, other: Any) -> Tensor:
        return input.mul(other)

    def __rtruediv__(input, other: Any) -> Tensor:
        return binary(RECIPROCAL, other, input, floating_point=True)

    def __rpow__(input, other: Any) -> Tensor:
        refuse_negative(other, input)
        return binary(POW_NUMBER, other, input)

    def __pow__(input, other: Any) -> Tensor:
        return input.pow(other)

    def __eq__(input, other: Any) -> Any:
        return input.eq(other) if is_operand(other) else NotImplemented

    def __ne__(input, other: Any) -> Any:
        return input.ne(other) if is_operand(other) else NotImplemented

    __hash__ = object.__hash__
    __add__, __sub__, __mul__, __truediv__, __matmul__ = add, sub, mul, div, matmul
    __neg__, __abs__ = neg, abs  # noqa: A003
    __lt__, __le__, __gt__, __ge__ = lt, le, gt, ge
