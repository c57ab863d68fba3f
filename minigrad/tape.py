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
from collections.abc import Callable, Collection, Iterator, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np

from minigrad.changes import Array as Array
from minigrad.changes import changed as changed
from minigrad.changes import changes, numbers


class Node:
    """One recorded operation; the `grad_fn` of the tensor it made.

    Attributes:
        rule: the `minigrad.ops.Rule` that made the value; None for a leaf.
        parents: for each input of the rule the node that made it, or None if it needs no gradient.
        plan: the derivatives to run, with the places of their arguments in `saved`.
        saved: what the derivatives need; None once a sweep has used and released it.
        number: position in creation order.
        shape, dtype: of the value, hence of its gradient.
        grad: a leaf's accumulated gradient, or an inner node's where `retains_grad` asks for it.
        hooks: functions called with the complete gradient, which they may replace.
    """

    # Few nodes have these; the rest share the values given here.
    grad: Any = None
    hooks: Sequence[Callable[[Array], Array]] = ()
    retains_grad: bool = False

    __slots__ = (
        "__dict__",
        "dtype",
        "number",
        "parents",
        "plan",
        "rule",
        "saved",
        "shape",
    )

    def __init__(
        self,
        rule: Any,
        parents: list[Node | None],
        plan: Any,
        saved: Sequence[Any] | None,
        value: Array,
    ) -> None:
        self.rule = rule
        self.parents = parents
        self.plan = plan
        self.saved = saved
        self.number = next(numbers)
        self.shape = value.shape
        self.dtype = value.dtype

    def name(self) -> str:
        """Return torch's name of the node, for example `AddmmBackward0`."""
        return self.rule.torch_name if self.rule is not None else "AccumulateGrad"

    def __repr__(self) -> str:
        return f"<{self.name()} object at {id(self):#x}>"


def leaf(value: Array) -> Node:
    """Return the node of a tensor that no operation made: the place where gradients are left."""
    return Node(None, [], None, None, value)


OUTDATED = Node(SimpleNamespace(torch_name="OutdatedView"), [], None, None, np.zeros(()))
"""The node of every view whose tensor was since changed in place by a recorded operation.

It stands for a record that there is not: whatever needs one raises `outdated_view`.
"""


def outdated_view(operation: str) -> RuntimeError:
    """Return the error for asking something of such a view that needs its record."""
    return RuntimeError(
        f"{operation}: this view was taken before its tensor was changed in place by a recorded "
        "operation, which minigrad does not follow through views. Take the view again."
    )


def sweep(
    roots: list[tuple[Node, Array]],
    retain_graph: bool = False,
    watched: Collection[Node] = (),
    wrap: Callable[[Array, Node | None], Array] | None = None,
) -> Iterator[tuple[Node, Array]]:
    """Walk from the roots to the leaves; yield leaves with their gradients.

    A node's turn comes once all its consumers have had theirs, that is when its gradient is
    complete. The gradient is dropped as soon as the node's derivatives have used it, so at any
    moment only the gradients of the frontier are alive.

    Args:
        roots: the nodes to start from, each with the gradient of the result by its value.
        retain_graph: keep the saved arrays, so that the graph can be swept again.
        watched: nodes whose gradients alone are wanted. They are yielded, and only what leads from
            the roots to them is run and released; without any, everything is.
        wrap: when given, saved values are passed through it with the node that made them before
            a derivative sees them. `Tensor` is handed in here for `create_graph=True`: the rules
            then run on tensors, and the backward pass is recorded like any other computation.

    Raises:
        RuntimeError: a node's saved arrays have been released by an earlier sweep, or have been
            changed in place.
    """
    gradients: dict[Node, Array] = {}  # complete or not, of nodes that wait for their turn
    queue: list[tuple[int, Node]] = []  # a heap: the youngest inner node first
    needed = _leading_to(watched, roots) if watched else None
    for node, grad in roots:
        if needed is None or node in needed:
            _accumulate(gradients, queue, node, grad)
    while queue:
        _, node = heapq.heappop(queue)
        grad_out = gradients.pop(node)
        for hook in node.hooks:
            grad_out = hook(grad_out)
        if node.retains_grad or node in watched:
            yield node, grad_out
        derivatives = node.plan.derivatives
        if needed is not None:
            derivatives = [step for step in derivatives if node.parents[step[0]] in needed]
            if not derivatives:
                continue
        saved = _unpack(node)
        if not retain_graph and node.plan.values:  # shapes and options alone are kept, as in torch
            node.saved = None
        if wrap is not None:
            makers = (node, *node.parents)
            made = [wrap(saved[i], makers[p]) for i, p in enumerate(node.plan.values)]
            saved = (*made, *saved[len(made) :])
        for i, derivative, arguments in derivatives:
            parent = node.parents[i]
            assert parent is not None
            grad = derivative(grad_out, *arguments(saved))
            if parent.rule is None and (wrap is not None or _is_shared(grad, grad_out, saved)):
                grad = np.copy(grad)  # a leaf's gradient is the user's to change in place
            if grad.shape != parent.shape:
                grad = unbroadcast(grad, parent.shape)
            if grad.dtype is not parent.dtype and grad.dtype != parent.dtype:
                grad = np.astype(grad, parent.dtype)
            _accumulate(gradients, queue, parent, grad)
    for leaf_node, grad in gradients.items():
        for hook in leaf_node.hooks:
            grad = hook(grad)
        yield leaf_node, grad


def _leading_to(targets: Collection[Node], roots: list[tuple[Node, Array]]) -> set[Node]:
    """Return the targets and all that was made from one of them on the way to the roots."""
    needed = set(targets)
    for node in ancestors(*(node for node, _ in roots)):
        if not needed.isdisjoint(node.parents):
            needed.add(node)
    return needed


def _unpack(node: Node) -> Sequence[Any]:
    """Return what the node saved, if it is still there and still what it was."""
    if node.saved is None:
        raise RuntimeError(
            f"{node.name()}: Trying to backward through the graph a second time, after the arrays "
            "it had saved were released. Pass retain_graph=True to the first call of backward() "
            "or grad() if a second one is wanted."
        )
    if node.number < changes.latest:
        for value in node.saved:
            if hasattr(value, "base") and changes.last(value) > node.number:
                raise RuntimeError(
                    f"{node.name()}: one of the variables needed for gradient computation has been "
                    f"modified by an inplace operation, a value of shape {list(value.shape)}. "
                    "Change a clone() of it instead, or use the operation that is not in place."
                )
    return node.saved


def _is_shared(grad: Array, grad_out: Array, saved: Sequence[Any]) -> bool:
    """Return whether something else may refer to the memory of `grad`."""
    if grad is grad_out or getattr(grad, "base", None) is not None:
        return True
    return id(grad) in map(id, saved)


def _accumulate(
    gradients: dict[Node, Array], queue: list[tuple[int, Node]], node: Node, grad: Array
) -> None:
    """Add `grad` to the node's gradient; an inner node seen for the first time joins the queue."""
    if node in gradients:
        gradients[node] = np.add(gradients[node], grad)
    else:
        gradients[node] = grad
        if node.rule is not None:
            heapq.heappush(queue, (-node.number, node))


def unbroadcast(grad: Array, shape: tuple[int, ...]) -> Array:
    """Sum `grad` down to `shape`: the derivative of broadcasting.

    Broadcasting repeats a value along new or stretched axes; the derivative of a repetition is
    the sum over the repetitions. This is the only place where broadcasting is undone, so no rule
    has to think of it.
    """
    added = grad.ndim - len(shape)
    stretched = [added + i for i, n in enumerate(shape) if n == 1 and grad.shape[added + i] != 1]
    summed = np.add.reduce(grad, axis=(*range(added), *stretched), keepdims=True)
    return np.reshape(summed, shape)


def ancestors(*nodes: Node) -> list[Node]:
    """Return the nodes and all they were made from, in creation order (a topological order)."""
    found = set(nodes)
    unvisited = list(found)
    while unvisited:
        for parent in unvisited.pop().parents:
            if parent is not None and parent not in found:
                found.add(parent)
                unvisited.append(parent)
    return sorted(found, key=lambda node: node.number)
