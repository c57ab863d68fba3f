"""Sums, means and extrema over axes."""

from collections.abc import Sequence
from typing import Any, Self, TypeAlias, TypeVar

import numpy as np

from minigrad.dtypes import int64
from minigrad.ops import RULE_OF, Rule
from minigrad.ops import reduction as rules
from minigrad.tensor.conversion import Conversions

Dims: TypeAlias = int | Sequence[int] | None
VOID: Any = object()
"""The default of an argument of NumPy's name, which may be given as None."""


class Reductions(Conversions):
    """Reductions of `Tensor` under torch's names.

    As in torch, `dim` and `keepdim` may also be called by NumPy's names, `axis` and `keepdims`.
    """

    def sum(
        input, dim: Dims = None, keepdim: bool = False, *, axis: Dims = VOID, keepdims: bool = VOID
    ) -> Self:
        """Sum over `dim` (one axis or several; all by default); integers and bools as int64."""
        x = input if input.dtype.kind == "f" else input.to(int64)
        return reduce(RULE_OF[rules.sum], x, dim, keepdim, axis, keepdims, "SumBackward1")

    def mean(
        input, dim: Dims = None, keepdim: bool = False, *, axis: Dims = VOID, keepdims: bool = VOID
    ) -> Self:
        """Mean over `dim` (one axis or several; all by default).

        Raises:
            RuntimeError: the dtype is not floating point.
        """
        if input.dtype.kind != "f":
            raise RuntimeError(
                "mean: the input dtype should be floating point, "
                f"not {input.dtype}: convert it first, for example with .float()"
            )
        return reduce(RULE_OF[rules.mean], input, dim, keepdim, axis, keepdims, "MeanBackward1")

    def amax(
        input, dim: Dims = (), keepdim: bool = False, *, axis: Dims = VOID, keepdims: bool = VOID
    ) -> Self:
        """Largest element over `dim`; equal ones share its gradient evenly."""
        return extremum(RULE_OF[rules.amax], input, dim, keepdim, axis, keepdims)

    def amin(
        input, dim: Dims = (), keepdim: bool = False, *, axis: Dims = VOID, keepdims: bool = VOID
    ) -> Self:
        """Smallest element over `dim`; equal ones share its gradient evenly."""
        return extremum(RULE_OF[rules.amin], input, dim, keepdim, axis, keepdims)


T = TypeVar("T", bound=Conversions)


def reduce(
    rule: Rule,
    x: T,
    dim: Dims,
    keepdim: bool,
    axis: Dims,
    keepdims: bool,
    torch_name: str | None = None,
) -> T:
    """Apply a reduction over `dim`; None and the empty sequence mean all axes."""
    dim = one_of(rule.name, "dim", dim, "axis", axis, default=(None, ()))
    keepdim = one_of(rule.name, "keepdim", keepdim, "keepdims", keepdims, default=(False,))
    if keepdim is not False and keepdim is not True:
        raise TypeError(f"{rule.name}: keepdim must be True or False, not {keepdim!r}")
    if dim is None:
        return x._apply(rule, x, axis=None, keepdims=keepdim)
    axes = axes_of(rule.name, dim, x.ndim)
    if torch_name is not None:
        rule = rule.named(torch_name)
    return x._apply(rule, x, axis=axes if x.ndim and axes else None, keepdims=keepdim)


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
