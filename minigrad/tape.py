"""The tape: a node for every recorded operation, and the sweep that runs them backwards.

A *node* remembers which rule made a value, which nodes made its inputs (its parents), and the few
arrays that the derivatives need. Nothing here knows about `Tensor`: what travels through
`sweep` are arrays, or tensors when the backward pass is itself to be recorded.

Nodes are numbered as they are created. An operation can only use values that exist already, so a
node's parents always have smaller numbers than the node itself: **creation order is a topological
order**. The sweep therefore needs no sorting pass and no recursion; a heap that always hands out
the youngest node is enough (torch's engine orders its queue in the same way, by
`sequence_nr`).
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import numpy as np

Array: TypeAlias = Any
"""Whatever speaks NumPy's protocol: an ndarray, a `Tensor`, or an array type of `minigrad.arrays`."""

_numbers = itertools.count()


class Node:
    """One recorded operation; the `grad_fn` of the tensor it made.

    Attributes:
        rule: the `minigrad.ops.Rule` that made the value; None for a leaf.
        parents: for each input of the rule the node that made it, or None if it needs no gradient.
        saved: for each input that needs a gradient the arguments of its derivative, else None.
            The whole attribute is None once the sweep has used and released it.
        number: position in creation order.
        shape, dtype: of the value, hence of its gradient.
        versions: for each saved value that belongs to a tensor its counter of in-place changes,
            with the count when it was saved.
        grad: a leaf's accumulated gradient, or an inner node's where `retains_grad` asks for it.
        hooks: functions called with the complete gradient, which they may replace.
    """

    __slots__ = (
        "dtype",
        "grad",
        "hooks",
        "number",
        "parents",
        "retains_grad",
        "rule",
        "saved",
        "shape",
        "versions",
    )

    def __init__(
        self,
        rule: Any,
        parents: list[Node | None],
        saved: list[list[Any] | None] | None,
        versions: list[tuple[list[int], int]],
        value: Array,
    ) -> None:
        self.rule = rule
        self.parents = parents
        self.saved = saved
        self.versions = versions
        self.number = next(_numbers)
        self.shape = value.shape
        self.dtype = value.dtype
        self.grad: Any = None
        self.retains_grad = False
        self.hooks: list[Callable[[Array], Array]] | None = None

    def __lt__(self, other: Node) -> bool:
        """Younger first, which makes `heapq`'s smallest element the next one to be swept."""
        return self.number > other.number

    def name(self) -> str:
        """torch's name of the node, for example `AddmmBackward0`."""
        return self.rule.torch_name if self.rule is not None else "AccumulateGrad"

    def __repr__(self) -> str:
        return f"<{self.name()}>"


def leaf(value: Array) -> Node:
    """Return the node of a tensor that no operation made: the place where gradients are left."""
    return Node(None, [], None, [], value)


def sweep(
    roots: list[tuple[Node, Array]],
    retain_graph: bool = False,
    wrap: Callable[[Array, Node | None], Array] | None = None,
) -> Iterator[tuple[Node, Array]]:
    """Walk from the roots to the leaves and yield every node with its complete gradient.

    A node is yielded once all its consumers have been swept, that is when its gradient is
    complete, and before its own derivatives run. Its gradient is dropped right afterwards, so at
    any moment only the gradients of the frontier are alive.

    Args:
        roots: the nodes to start from, each with the gradient of the result by its value.
        retain_graph: keep the saved arrays, so that the graph can be swept again.
        wrap: when given, saved arrays are passed through it with the node that made them before
            a derivative sees them. `Tensor` is handed in here for `create_graph=True`: the rules
            then run on tensors, and the backward pass is recorded like any other computation.

    Raises:
        RuntimeError: a node's saved arrays have been released by an earlier sweep.
    """
    gradients: dict[Node, Array] = {}
    queue: list[Node] = []
    for node, gradient in roots:
        _accumulate(gradients, queue, node, gradient)
    while queue:
        node = heapq.heappop(queue)
        grad_out = gradients.pop(node)
        for hook in node.hooks or ():
            grad_out = hook(grad_out)
        yield node, grad_out
        if node.rule is None:
            continue
        saved = _unpack(node)
        if not retain_graph:
            node.saved = None
        for derivative, parent, arguments in zip(node.rule.derivatives, node.parents, saved):
            if parent is None:
                continue
            if wrap is not None:
                arguments = derivative.wrap(arguments, node, wrap)
            grad = derivative.function(grad_out, *arguments)
            if parent.rule is None and _is_shared(grad, grad_out, arguments):
                grad = np.copy(grad)  # a leaf's gradient is the user's to change in place
            if grad.shape != parent.shape:
                grad = unbroadcast(grad, parent.shape)
            if grad.dtype != parent.dtype:
                grad = np.astype(grad, parent.dtype)
            _accumulate(gradients, queue, parent, grad)


def _unpack(node: Node) -> list[Any]:
    """Return what the node saved, if it is still there and still what it was."""
    if node.saved is None:
        raise RuntimeError(
            f"{node.name()}: Trying to backward through the graph a second time, after the arrays "
            "it had saved were released. Pass retain_graph=True to the first call of backward() "
            "or grad() if a second one is wanted."
        )
    for counter, version in node.versions:
        if counter[0] != version:
            raise RuntimeError(
                f"{node.name()}: a value needed for the gradient has been modified by an inplace "
                f"operation: it is at version {counter[0]}, expected {version}. Change a clone() "
                "of it instead, or use the operation that is not in place."
            )
    return node.saved


def _is_shared(grad: Array, grad_out: Array, arguments: list[Any]) -> bool:
    """Return whether something else may refer to the memory of `grad`."""
    return (
        grad is grad_out
        or getattr(grad, "base", None) is not None
        or any(grad is argument for argument in arguments)
    )


def _accumulate(gradients: dict[Node, Array], queue: list[Node], node: Node, grad: Array) -> None:
    """Add `grad` to the node's gradient; a node seen for the first time joins the queue."""
    if node in gradients:
        gradients[node] = np.add(gradients[node], grad)
    else:
        gradients[node] = grad
        heapq.heappush(queue, node)


def unbroadcast(grad: Array, shape: tuple[int, ...]) -> Array:
    """Sum `grad` down to `shape`: the derivative of broadcasting.

    Broadcasting repeats a value along new or stretched axes; the derivative of a repetition is
    the sum over the repetitions. This is the only place where broadcasting is undone, so no rule
    has to think of it.
    """
    added = grad.ndim - len(shape)
    stretched = [
        added + i for i, n in enumerate(shape) if n == 1 and grad.shape[added + i] != 1
    ]
    summed = np.add.reduce(grad, axis=(*range(added), *stretched), keepdims=True)
    return np.reshape(summed, shape)


def ancestors(node: Node) -> list[Node]:
    """Return `node` and everything it was made from, in creation order (a topological order)."""
    found = {node}
    unvisited = [node]
    while unvisited:
        for parent in unvisited.pop().parents:
            if parent is not None and parent not in found:
                found.add(parent)
                unvisited.append(parent)
    return sorted(found, reverse=True)
