"""The largest and the smallest elements, and where they are."""

from typing import Any, ClassVar, NamedTuple, Self, TypeAlias, TypeVar

from minigrad.dtypes import bool_
from minigrad.ops import RULE_OF, RULES, Rule, elementwise, reduction
from minigrad.ops import extrema as rules
from minigrad.tensor.arithmetic import Elementwise
from minigrad.tensor.base import TensorBase
from minigrad.tensor.conversion import refuse_bool
from minigrad.tensor.reduction import VOID, Dims, axes_of, axis_of, kept, one_of, reduce
from minigrad.tensor.shape import Shapes

Axis: TypeAlias = int | None


class Extrema(Elementwise, Shapes):
    """Extrema of `Tensor` under torch's names."""

    def amax(
        input, dim: Dims = (), keepdim: bool = False, *, axis: Dims = VOID, keepdims: bool = VOID
    ) -> Self:
        """Largest element over `dim`; equal ones share its gradient evenly."""
        return extremum(RULE_OF[reduction.amax], input, dim, keepdim, axis, keepdims)

    def amin(
        input, dim: Dims = (), keepdim: bool = False, *, axis: Dims = VOID, keepdims: bool = VOID
    ) -> Self:
        """Smallest element over `dim`; equal ones share its gradient evenly."""
        return extremum(RULE_OF[reduction.amin], input, dim, keepdim, axis, keepdims)

    def max(
        input, dim: Any = VOID, keepdim: bool = False, *, axis: int = VOID, keepdims: bool = VOID
    ) -> Any:
        """The largest element; over `dim` with its position; or `maximum` of two tensors.

        Called as `max()`, `max(dim, keepdim)`, which returns `values` and `indices` (of the first
        of equal elements, int64), or `max(other)`. The gradient is shared by equal elements in the
        first form, and goes to the element at `indices` in the second.

        Raises:
            TypeError: dim is no int, or `keepdim` is given without it.
            RuntimeError: there are no elements to choose from.
            IndexError: there is no such axis, or it has length 0.
        """
        return extreme(input, dim, keepdim, axis, keepdims, Largest, input.maximum)

    def min(
        input, dim: Any = VOID, keepdim: bool = False, *, axis: int = VOID, keepdims: bool = VOID
    ) -> Any:
        """The smallest element; over `dim` with its position; or `minimum` of two; see `max`."""
        return extreme(input, dim, keepdim, axis, keepdims, Smallest, input.minimum)

    def argmax(
        input, dim: Axis = None, keepdim: bool = False, *, axis: Axis = VOID, keepdims: bool = VOID
    ) -> Self:
        """The position of the largest element, the first of equal ones, int64.

        It is counted along `dim`, or through all elements in index order.

        Raises:
            RuntimeError: the dtype is bool.
            IndexError: there are no elements to choose from, or no such axis.
        """
        return position(RULE_OF[rules.argmax], input, dim, keepdim, axis, keepdims)

    def argmin(
        input, dim: Axis = None, keepdim: bool = False, *, axis: Axis = VOID, keepdims: bool = VOID
    ) -> Self:
        """The position of the smallest element; see `argmax`."""
        return position(RULE_OF[rules.argmin], input, dim, keepdim, axis, keepdims)


T = TypeVar("T", bound="Extrema")


class Extreme(NamedTuple):
    """What `max` and `min` return over an axis: the elements, and where they are."""

    values: Any
    indices: Any


class Largest(Extreme):
    """Printed as torch prints it."""

    kind: ClassVar = "max"

    def __repr__(self) -> str:
        return f"torch.return_types.{self.kind}(\nvalues={self[0]!r},\nindices={self[1]!r})"


class Smallest(Largest):
    """The same of `min`."""

    kind = "min"


def extremum(rule: Rule, x: T, dim: Dims, keepdim: bool, axis: Dims, keepdims: bool) -> T:
    """Apply `amax` or `amin`, which have no value where there is nothing to choose from."""
    if 0 in x._array.shape:
        dims = dim if axis is VOID else axis
        axes = () if dims is None else axes_of(rule.name, dims, x.ndim)
        if not axes:
            raise RuntimeError(
                f"{rule.name}: a tensor of shape {list(x.shape)} has no elements to choose from: "
                "name axes of other lengths than 0 in dim"
            )
        for a in axes:
            if x.shape[a] == 0:
                raise IndexError(
                    f"{rule.name}: axis {a} of shape {list(x.shape)} has length 0, and there is "
                    "nothing to choose from: reduce an axis of another length"
                )
    return reduce(rule, x, dim, keepdim, axis, keepdims)


def extreme(
    x: T, dim: Any, keepdim: Any, axis: Any, keepdims: Any, kind: type[Largest], pairs: Any
) -> Any:
    """Return the result of one of the forms of `max` and `min`."""
    name = kind.kind
    if isinstance(dim, TensorBase):
        return pairs(dim)
    dim = one_of(name, "dim", dim, "axis", axis, default=(VOID,))
    keep = kept(name, keepdim, keepdims)
    if dim is VOID:
        if keep:
            raise TypeError(f"{name}: keepdim=True keeps an axis: name it in dim")
        if 0 in x.shape:
            raise RuntimeError(
                f"{name}: Expected reduction dim to be specified for a tensor without elements, of "
                f"shape {list(x.shape)}: name an axis of another length than 0"
            )
        return x._apply(RULES[name], x)
    along = axis_of(name, dim, x.ndim)
    indices = first(RULES[f"arg{name}"], x, along, keep)
    node = f"{name.capitalize()}Backward0"
    if x.ndim == 0:
        return kind(x._apply(RULE_OF[elementwise.clone].named(node), x), indices)
    rule = RULE_OF[rules.pick].named(node)
    return kind(x._apply(rule, x, indices, axis=along, keepdims=keep), indices)


def position(rule: Rule, x: T, dim: Any, keepdim: Any, axis: Any, keepdims: Any) -> T:
    """Return the result of `argmax` or `argmin`."""
    dim = one_of(rule.name, "dim", dim, "axis", axis)
    keep = kept(rule.name, keepdim, keepdims)
    if x.dtype == bool_:
        refuse_bool(rule.name, "convert it first, for example with .long()")
    if dim is not None:
        return first(rule, x, axis_of(rule.name, dim, x.ndim), keep)
    place = first(rule, x.reshape(-1), 0, False)
    return place.reshape([1] * x.ndim) if keep else place


def first(rule: Rule, x: T, axis: int, keepdim: bool) -> T:
    """Return the first position of the extremum along an axis."""
    if x.ndim == 0:
        return first(rule, x.reshape(1), 0, False)
    if x.shape[axis] == 0:
        raise IndexError(
            f"{rule.name}: Expected reduction dim {axis} to have non-zero size, but the shape is "
            f"{list(x.shape)}: reduce an axis of another length"
        )
    return x._apply(rule, x, axis=axis, keepdims=keepdim)
