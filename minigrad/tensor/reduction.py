"""Sums, means, deviations and norms over axes."""

import math
import warnings
from collections.abc import Sequence
from typing import Any, Self, TypeAlias, TypeVar

import numpy as np

from minigrad.dtypes import as_dtype, int64, python_number
from minigrad.grad_mode import grad_mode
from minigrad.ops import RULE_OF, Rule
from minigrad.ops import reduction as rules
from minigrad.tensor.base import Number, TensorBase
from minigrad.tensor.conversion import Conversions

Dims: TypeAlias = int | Sequence[int] | None
VOID: Any = object()
"""The default of an argument for which None stands for something, as for those of NumPy's names."""


class Reductions(Conversions):
    """Reductions of `Tensor` under torch's names.

    As in torch, `dim` and `keepdim` may also be called by NumPy's names, `axis` and `keepdims`.
    """

    def sum(
        input,
        dim: Dims = VOID,
        keepdim: bool = False,
        *,
        dtype: Any = None,
        axis: Dims = VOID,
        keepdims: bool = VOID,
    ) -> Self:
        """Sum over `dim` (one axis or several; all by default); integers and bools as int64.

        Raises:
            RuntimeError: the dtype is an integer's, and a gradient is asked for.
            TypeError: keepdim=True without `dim`.
        """
        kind = as_dtype(dtype) if dtype is not None else input.dtype
        if kind.kind != "f" and dtype is not None and input._node is not None:
            raise RuntimeError(f"sum: no gradient with dtype {kind}: sum .detach() of the tensor")
        x = input.to(kind if dtype is not None or kind.kind == "f" else int64)
        out = reduce(RULE_OF[rules.sum], x, dim, keepdim, axis, keepdims, "SumBackward1")
        return out.to(kind) if dtype is not None else out

    def mean(
        input,
        dim: Dims = VOID,
        keepdim: bool = False,
        *,
        dtype: Any = None,
        axis: Dims = VOID,
        keepdims: bool = VOID,
    ) -> Self:
        """Mean over `dim` (one axis or several; all by default).

        Raises:
            RuntimeError: the dtype is not floating point.
            TypeError: keepdim=True without `dim`.
        """
        x = input if dtype is None else input.to(as_dtype(dtype))
        require_floating("mean", x)
        return reduce(RULE_OF[rules.mean], x, dim, keepdim, axis, keepdims, "MeanBackward1")

    def var(
        input,
        dim: Dims = None,
        unbiased: bool | None = None,
        keepdim: bool = False,
        *,
        correction: Number | None = None,
        axis: Dims = VOID,
        keepdims: bool = VOID,
    ) -> Self:
        """Variance over `dim` (one axis or several; all by default).

        The squared distances from the mean are added up and divided by their number less
        `correction`: 1 by default, 0 with `unbiased=False`. A bool in the place of dim is
        `unbiased`.

        Raises:
            TypeError: `unbiased` and `correction` are given, or `unbiased` and `keepdim` without
                `dim`.
            RuntimeError: the dtype is not floating point.
        """
        return spread(RULE_OF[rules.var], input, dim, unbiased, keepdim, correction, axis, keepdims)

    def std(
        input,
        dim: Dims = None,
        unbiased: bool | None = None,
        keepdim: bool = False,
        *,
        correction: Number | None = None,
        axis: Dims = VOID,
        keepdims: bool = VOID,
    ) -> Self:
        """Standard deviation over `dim`, the root of the variance; see `var`."""
        return spread(RULE_OF[rules.std], input, dim, unbiased, keepdim, correction, axis, keepdims)

    def norm(
        input,
        p: Any = "fro",
        dim: Dims = None,
        keepdim: bool = False,
        dtype: Any = None,
        *,
        axis: Dims = VOID,
        keepdims: bool = VOID,
    ) -> Self:
        """The p-th root of the sum of |input|ᵖ over `dim`; Euclidean by default.

        For p=0 it is how many elements are not 0, for inf and -inf the largest and the smallest
        |input|. The gradient at 0 is 0.

        Raises:
            RuntimeError: `p` is neither a number nor "fro", the dtype is not floating point, or
                there are no elements and `p` is negative or infinite.
        """
        order = python_number(2 if p in ("fro", None) else p)
        if not isinstance(order, (int, float)) or isinstance(order, bool):
            raise RuntimeError(f"norm: p must be a number or 'fro', not {p!r}")
        dims = dim if axis is VOID else axis
        if p == "fro" and isinstance(dims, (tuple, list)) and len(dims) > 2:
            raise RuntimeError(
                f"norm: 'fro' is that of a vector or a matrix, not of {len(dims)} axes: give p=2"
            )
        x = input if dtype is None else input.to(as_dtype(dtype))
        require_floating("norm", x)
        axes = range(x.ndim) if dims in (None, (), []) else axes_of("norm", dims, x.ndim)
        if (order < 0 or order == math.inf) and 0 in [x.shape[a] for a in axes if x.ndim]:
            raise RuntimeError(
                f"norm: p={p} of no elements is not defined, and shape {list(x.shape)} has none "
                "there: reduce an axis of another length than 0"
            )
        return reduce(RULE_OF[rules.norm], x, dim, keepdim, axis, keepdims, p=order)


T = TypeVar("T", bound=Conversions)


def reduce(
    rule: Rule,
    x: T,
    dim: Dims,
    keepdim: bool,
    axis: Dims,
    keepdims: bool,
    torch_name: str | None = None,
    **options: Any,
) -> T:
    """Apply a reduction over `dim`; None and the empty sequence mean all axes."""
    keepdim = kept(rule.name, keepdim, keepdims)
    if dim is VOID and axis is VOID:
        if keepdim:
            raise TypeError(f"{rule.name}: keepdim needs dim: give dim=None for all axes")
        return x._apply(rule, x, axis=None)
    dim = one_of(rule.name, "dim", dim, "axis", axis, default=(None, (), VOID))
    axes = () if dim is None else axes_of(rule.name, dim, x.ndim)
    if torch_name is not None:
        rule = rule.named(torch_name)
    axis = None if not axes else axes if x.ndim else ()
    return x._apply(rule, x, axis=axis, keepdims=keepdim, **options)


def spread(
    rule: Rule,
    x: T,
    dim: Dims,
    unbiased: bool | None,
    keepdim: bool,
    correction: Number | None,
    axis: Dims,
    keepdims: bool,
) -> T:
    """Apply `var` or `std`."""
    if isinstance(dim, bool):
        dim, unbiased = None, dim
    dims = dim if axis is VOID else axis
    if unbiased is not None and correction is not None:
        raise TypeError(f"{rule.name}: give unbiased or correction, not both")
    if unbiased is not None and dims is None and kept(rule.name, keepdim, keepdims):
        raise TypeError(f"{rule.name}: with unbiased give keepdim and dim, or neither")
    require_floating(rule.name, x)
    less = correction if correction is not None else 1 if unbiased in (None, True) else 0
    if isinstance(dims, (tuple, list)) and not dims:
        dims = None
        if x._node is not None and grad_mode.enabled:
            raise NotImplementedError(
                f"{rule.name}: torch's gradient over dim=() is wrong: give dim=None for all axes"
            )
    axes = range(x.ndim) if dims is None else axes_of(rule.name, dims, x.ndim)
    if x.numel() == 0 or math.prod(x.shape[a] for a in axes if x.ndim) <= less:
        warnings.warn(
            f"{rule.name}: degrees of freedom is <= 0: the results have no more elements each than "
            f"the correction, {less}",
            stacklevel=4,
        )
    return reduce(rule, x, dim, keepdim, axis, keepdims, correction=less)


def require_floating(operation: str, x: TensorBase) -> None:
    """Raise where the dtype is not floating point."""
    if x.dtype.kind != "f":
        raise RuntimeError(
            f"{operation}: the input dtype should be floating point, not {x.dtype}: convert it "
            "first, for example with .float()"
        )


def kept(operation: str, keepdim: Any, keepdims: Any) -> bool:
    """Return whether reduced axes are kept, which has two names."""
    keepdim = one_of(operation, "keepdim", keepdim, "keepdims", keepdims, default=(False,))
    if keepdim is not False and keepdim is not True:
        raise TypeError(f"{operation}: keepdim must be True or False, not {keepdim!r}")
    return keepdim


def axis_of(operation: str, dim: int | None, ndim: int) -> int:
    """Return an axis counted from the front; raise an IndexError where there is none."""
    if isinstance(dim, bool) or not isinstance(dim, (int, np.integer)):
        raise TypeError(f"{operation}: dim must be an int, not {type(dim).__name__}")
    axes = max(ndim, 1)
    if not -axes <= dim < axes:
        raise IndexError(
            f"{operation}: Dimension out of range (expected to be in range of "
            f"[{-axes}, {axes - 1}], but got {dim})"
        )
    return int(dim) % axes


def axes_of(operation: str, dim: int | Sequence[int], ndim: int) -> tuple[int, ...]:
    """Return several axes counted from the front; raise where one is named twice."""
    dims: Sequence[Any] = dim if isinstance(dim, (tuple, list)) else [dim]
    axes = tuple(axis_of(operation, d, ndim) for d in dims)
    if len(set(axes)) != len(axes):
        raise RuntimeError(f"{operation}: dim {tuple(dims)} names an axis twice")
    return axes


def one_of(
    operation: str, name: str, given: Any, other_name: str, other: Any, default: Any = (None,)
) -> Any:
    """Return an argument that has two names, torch's, `dim`, and NumPy's, `axis`, but one value.

    Args:
        operation: its name, for messages.
        name, given: torch's name, and what was given under it.
        other_name, other: NumPy's name, and what was given under it, or `VOID`.
        default: the values of `given` that count as nothing.
    """
    if other is VOID:
        return given
    if not any(given is nothing or given == nothing for nothing in default):
        raise TypeError(
            f"{operation}: got an unexpected keyword argument {other_name!r}: {name} has the same "
            "meaning and is given too"
        )
    return other
