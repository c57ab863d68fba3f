"""The gradients that `grad` returns lie in memory as torch's do: `view` shows it."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from minigrad.grad_mode import in_mode
from minigrad.layout import in_order, unrepeated
from minigrad.ops import Rule
from minigrad.tape import Array, Node, unbroadcast
from minigrad.tensor.arithmetic import Elementwise, stored
from minigrad.tensor.inplace import COPY

LOSSES = ("MseLossBackward0", "HuberLossBackward0", "SmoothL1LossBackward0")
IN_INDEX_ORDER = {"MaxBackward1", "MinBackward1", *LOSSES}
"""Nodes whose gradients are stored so, whatever the order of what they are made of."""


def laid_out_as_in_torch(
    wrapped: Callable[[Array], Any], node: Node, parent: Node, derivative: Any, *arguments: Any
) -> Any:
    """Run a derivative; return the gradient, an array or tensor as the arguments are.

    What tensors compute is laid out as in torch. So where an array is in another order than that
    of its indices, the derivative is run on tensors.
    """
    if isinstance(node.rule, Rule) and any(map(_is_turned, arguments)):
        tensors = [wrapped(x) if hasattr(x, "strides") else x for x in arguments]
        grad = in_mode(False, partial(derivative, *tensors))
        grad = getattr(grad, "_array", grad)
    else:
        grad = derivative(*arguments)
    if grad is None:
        return None
    # torch repeats the gradient of a sum, and stores a mean's, or one of another dtype.
    if node.rule.name == "mean" or grad.dtype != parent.dtype:
        return unrepeated(grad)
    if node.name() in IN_INDEX_ORDER or (node.rule is COPY and parent is node.parents[0]):
        order: Sequence[int] = range(grad.ndim)
    elif _is_by_columns(node, parent):
        grad, order = unbroadcast(grad, parent.shape), (1, 0)
    else:
        return grad
    if isinstance(grad, Elementwise):
        return stored(grad, in_order(grad._array, order))
    return in_order(grad, order)


def _is_turned(x: Any) -> bool:
    """Return whether an array is in another order than that of its indices."""
    return getattr(x, "ndim", 0) > 1 and hasattr(x, "flags") and not x.flags.c_contiguous


def _is_by_columns(node: Node, parent: Node) -> bool:
    """Return whether the gradient by a factor of a product is stored column by column."""
    if len(parent.shape) != 2 or node.rule.name not in ("matmul", "linear"):
        return False
    (rows, columns), size = parent.shape, parent.dtype.itemsize
    if node.rule.name == "linear" and parent is node.parents[1]:  # of the weight transposed
        return bool(parent.strides != (columns * size, size))
    return bool(parent.strides == (size, rows * size))
