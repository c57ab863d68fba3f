"""Sums, means and extrema over axes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from minigrad.dtypes import int64
from minigrad.ops import RULES
from minigrad.tensor.base import Mixin
from minigrad.tensor.dims import Dims, axes_of, under_one_name

if TYPE_CHECKING:
    from minigrad.tensor import Tensor


class Reductions(Mixin):
    """Reductions of `Tensor` under torch's names.

    As in torch, `dim` and `keepdim` may also be called by NumPy's names, `axis` and `keepdims`.
    """

    def sum(
        input,
        dim: Dims = None,
        keepdim: bool = False,
        *,
        axis: Dims = None,
        keepdims: bool | None = None,
    ) -> Tensor:
        """Sum over `dim` (one axis or several; all by default); integers and bools as int64."""
        x = input if input.dtype.kind == "f" else input.to(int64)
        return reduce("sum", x, dim, keepdim, axis, keepdims, "SumBackward1")

    def mean(
        input,
        dim: Dims = None,
        keepdim: bool = False,
        *,
        axis: Dims = None,
        keepdims: bool | None = None,
    ) -> Tensor:
        """Mean over `dim` (one axis or several; all by default).

        Raises:
            RuntimeError: the dtype is not floating point.
        """
        if input.dtype.kind != "f":
            raise RuntimeError(
                "mean: the input dtype should be floating point, "
                f"not {input.dtype}: convert it first, for example with .float()"
            )
        return reduce("mean", input, dim, keepdim, axis, keepdims, "MeanBackward1")

    def amax(
        input,
        dim: Dims = (),
        keepdim: bool = False,
        *,
        axis: Dims = None,
        keepdims: bool | None = None,
    ) -> Tensor:
        """Largest element over `dim`; equal ones share its gradient evenly."""
        return extremum("amax", input, dim, keepdim, axis, keepdims)

    def amin(
        input,
        dim: Dims = (),
        keepdim: bool = False,
        *,
        axis: Dims = None,
        keepdims: bool | None = None,
    ) -> Tensor:
        """Smallest element over `dim`; equal ones share its gradient evenly."""
        return extremum("amin", input, dim, keepdim, axis, keepdims)


def reduce(
    name: str,
    x: Mixin,
    dim: Dims,
    keepdim: bool,
    axis: Dims,
    keepdims: bool | None,
    torch_name: str | None = None,
) -> Tensor:
    """Apply a reduction over `dim`; None and the empty sequence mean all axes.

    Raises:
        TypeError: dim is not made of ints, keepdim is not a bool, or one is given twice, under
            torch's name and under NumPy's.
        IndexError: there is no such axis.
        RuntimeError: an axis is named twice.
    """
    if axis is not None:
        dim = under_one_name(name, "dim", None if dim == () else dim, "axis", axis)
    if keepdims is not None:
        keepdim = under_one_name(name, "keepdim", keepdim, "keepdims", keepdims, False)
    if keepdim is not False and keepdim is not True:
        raise TypeError(f"{name}: keepdim must be True or False, not {keepdim!r}")
    rule = RULES[name]
    if dim is None:
        return x._apply(rule, x, axis=None, keepdims=keepdim)
    if torch_name is not None:
        rule = rule.named(torch_name)
    axes = axes_of(name, dim, x.ndim)
    return x._apply(rule, x, axis=axes if x.ndim and axes else None, keepdims=keepdim)


def extremum(
    name: str, x: Mixin, dim: Dims, keepdim: bool, axis: Dims, keepdims: bool | None
) -> Tensor:
    """Apply `amax` or `amin`, which have no value where there is nothing to choose from.

    Raises:
        IndexError: an axis of length 0 would be reduced.
        RuntimeError: all axes would, and the tensor has no elements.
    """
    if 0 in x._array.shape:
        dims = dim if axis is None else axis
        axes = () if dims is None else axes_of(name, dims, x.ndim)
        if not axes:
            raise RuntimeError(
                f"{name}: a tensor of shape {list(x.shape)} has no elements to choose from: name "
                "axes of other lengths than 0 in dim"
            )
        for a in axes:
            if x.shape[a] == 0:
                raise IndexError(
                    f"{name}: axis {a} of shape {list(x.shape)} has length 0, and there is "
                    "nothing to choose from: reduce an axis of another length"
                )
    return reduce(name, x, dim, keepdim, axis, keepdims)
