"""What the rules leave to their callers: torch's argument forms, checks, and type promotion."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from minigrad.dtypes import float32, result_type
from minigrad.ops import RULES, Rule

if TYPE_CHECKING:
    from minigrad.tensor import Tensor

Number: TypeAlias = float | int | bool
Dims: TypeAlias = int | Sequence[int] | None

# The same rules under torch's other names for them.
ADVANCED_INDEX = RULES["index"].named("IndexBackward0")
BATCHED_MATMUL = RULES["matmul"].named("UnsafeViewBackward0")
POW_NUMBER = RULES["pow"].named("PowBackward2")
POW_TENSOR = RULES["pow"].named("PowBackward1")
RECIPROCAL = RULES["div"].named("MulBackward0")
RSUB = RULES["sub"].named("RsubBackward1")
SELECT = RULES["index"].named("SelectBackward0")
SLICE = RULES["index"].named("SliceBackward0")
SQUEEZE = RULES["reshape"].named("SqueezeBackward0")
SQUEEZE_DIM = RULES["reshape"].named("SqueezeBackward1")
T = RULES["permute"].named("TBackward0")
STACK = RULES["cat"].named("StackBackward0")
TRANSPOSE = RULES["permute"].named("TransposeBackward0")
UNSQUEEZE = RULES["reshape"].named("UnsqueezeBackward0")


def is_tensor(value: Any) -> bool:
    """Return whether `value` is a `Tensor`."""
    return hasattr(value, "_requires_grad")


def require_tensor(operation: str, value: Any) -> Tensor:
    """Return `value` if it is a tensor.

    Raises:
        TypeError: it is something else.
    """
    if not is_tensor(value):
        raise TypeError(
            f"{operation}: the argument must be a Tensor, not {type(value).__name__}: "
            "make one with tensor(...)"
        )
    tensor: Tensor = value
    return tensor


def binary(rule: Rule, x: Any, y: Any, floating_point: bool = False) -> Any:
    """Apply a rule to two operands, one of them a tensor, in the dtype torch would use.

    Raises:
        TypeError: an operand is neither tensor, array nor number.
        RuntimeError: the shapes do not broadcast.
    """
    first = x if is_tensor(x) else y
    dtype = first._array.dtype
    same = (
        y._array.dtype == dtype
        if x is first and is_tensor(y)
        else isinstance(y if x is first else x, (int, float))
    )
    if not same or dtype.kind != "f":
        x, y = promote(rule, first, x, y, floating_point)
    try:
        return first._apply(rule, x, y)
    except ValueError as error:
        shapes = [list(np.shape(z._array if is_tensor(z) else z)) for z in (x, y)]
        raise RuntimeError(
            f"{rule.name}: shapes {shapes[0]} and {shapes[1]} do not broadcast: counted from the "
            "last axis, two lengths must be equal or one of them 1"
        ) from error


def promote(
    rule: Rule, first: Tensor, x: Any, y: Any, floating_point: bool = False
) -> tuple[Any, Any]:
    """Return both operands converted to their common dtype; Python numbers stay weak."""
    operands = []
    for operand in (x, y):
        if isinstance(operand, np.generic):
            operand = operand.item()
        elif isinstance(operand, np.ndarray):
            operand = type(first)(operand)
        if not is_tensor(operand) and not isinstance(operand, (int, float)):
            raise TypeError(
                f"{rule.name}: operands must be tensors or numbers, not {type(operand).__name__}"
            )
        operands.append(operand)
    dtype = result_type(*(z._array if is_tensor(z) else z for z in operands))
    if floating_point and dtype.kind != "f":
        dtype = float32
    x, y = (z.to(dtype) if is_tensor(z) else dtype.type(z).item() for z in operands)
    return x, y


def scaled(other: Any, alpha: Number) -> Any:
    """Return alpha·other."""
    return other * alpha


def floating(x: Any) -> Tensor:
    """Return the tensor itself if it is floating point, else as float32."""
    tensor: Tensor = x if x._array.dtype.kind == "f" else x.to(float32)
    return tensor


def axis_of(operation: str, dim: int, ndim: int) -> int:
    """Return an axis counted from the front.

    Raises:
        IndexError: there is no such axis.
        TypeError: it is not an integer.
    """
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
    """Return several axes counted from the front.

    Raises:
        IndexError: there is no such axis.
        RuntimeError: one is named twice.
    """
    dims = [dim] if isinstance(dim, int) else dim
    axes = tuple(axis_of(operation, d, ndim) for d in dims)
    if len(set(axes)) != len(axes):
        raise RuntimeError(f"{operation}: dim {tuple(dims)} names an axis twice")
    return axes


def reduce(name: str, x: Any, dim: Dims, keepdim: bool, torch_name: str | None = None) -> Any:
    """Apply a reduction over `dim`; None and the empty sequence mean all axes."""
    rule = RULES[name]
    if dim is None or dim == () or dim == []:
        return x._apply(rule, x, axis=None, keepdims=keepdim)
    if torch_name is not None:
        rule = rule.named(torch_name)
    axes = axes_of(name, dim, x.ndim)
    return x._apply(rule, x, axis=axes if x.ndim else None, keepdims=keepdim)


def varargs(values: Sequence[Any]) -> tuple[int, ...]:
    """Return the integers of `f(2, 3)` and of `f((2, 3))` alike."""
    if len(values) == 1 and isinstance(values[0], Sequence):
        values = values[0]
    return tuple(int(v) for v in values)


def fit_shape(x: Any, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return `shape` with a single -1 replaced by what the other lengths leave.

    Raises:
        RuntimeError: the elements do not fit.
    """
    size = x.numel()
    if shape.count(-1) == 1:
        known = math.prod(n for n in shape if n != -1)
        if known and size % known == 0:
            shape = tuple(size // known if n == -1 else n for n in shape)
    if math.prod(shape) != size or min(shape, default=0) < 0:
        raise RuntimeError(
            f"reshape: shape '{list(shape)}' is invalid for input of size {size} "
            f"(shape {list(x.shape)}): the lengths must multiply to {size}, and one may be -1"
        )
    return shape


def transposed(x: Any, dim0: int, dim1: int, rule: Rule) -> Any:
    """Exchange two axes."""
    axes = list(range(x.ndim))
    a, b = axis_of("transpose", dim0, x.ndim), axis_of("transpose", dim1, x.ndim)
    if axes:
        axes[a], axes[b] = b, a
    return x._apply(rule, x, axes=tuple(axes))


def plain_key(key: Any) -> Any:
    """Return an index with every tensor and list in it as an ndarray."""
    if isinstance(key, tuple):
        return tuple(plain_key(part) for part in key)
    if is_tensor(key):
        return key._array
    return np.asarray(key) if isinstance(key, list) else key


def index_rule(key: Any) -> Rule:
    """Return the rule for an index, under the name torch gives the last step of that index."""
    parts = key if isinstance(key, tuple) else (key,)
    if any(isinstance(plain_key(part), np.ndarray) for part in parts):
        return ADVANCED_INDEX
    named = [part for part in parts if part is not Ellipsis]
    return SELECT if named and isinstance(named[-1], (int, np.integer)) else SLICE


