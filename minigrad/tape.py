"""The tape: a node for every recorded operation, and the sweep that runs them backwards.

A *node* remembers which rule made a value, which nodes made its inputs (its parents), and the few
arrays that the derivatives need. Nothing here knows about `Tensor`: what travels through
`sweep` are arrays, or tensors when the backward pass is itself to be recorded.

Nodes are numbered as they are created. An operation can only use values that exist already, so a
node's parents always have smaller numbers than the node itself: **creation order is a topological
order**. The sweep therefore needs no sorting pass and no recursion; a heap that always hands out
the youngest node is enough (as in torch, by `sequence_nr`). In-place changes are numbered from the
same sequence, so a node can tell whether an array that it saved has been changed since.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, TypeAlias
from weakref import KeyedRef, ref

import numpy as np

from minigrad.graph import ancestors as ancestors
from minigrad.graph import leading_to, next_functions
from minigrad.layout import arranged, contiguous, copied

Array: TypeAlias = Any
"""Any array that speaks NumPy's protocol: an ndarray, a `Tensor`, or another array type."""
NO_HOOKS: Mapping[int, Any] = {}
numbers = itertools.count(1)
"""The sequence that numbers nodes and in-place changes."""


class Node:
    """One recorded operation; the `grad_fn` of the tensor it made.

    Attributes:
        rule: the `minigrad.ops.Rule` that made the value; None for a leaf.
        parents: for each input of the rule the node that made it, or None if it needs no gradient.
        plan: the derivatives to run, with the places of their arguments in `saved`.
        saved: what the derivatives need; None once a sweep has used and released it.
        number: position in creation order.
        shape, dtype: of the value, hence of its gradient.
        strides: of the value.
        variable: a weak reference to the tensor whose `.grad` its gradient is added to: a leaf, or
            a tensor that asked for it by `retain_grad`.
        hooks: by number functions called with the complete gradient, which they may replace.
        attributes: of a leaf's tensor.
    """

    attributes: dict[str, Any]
    # A value that nodes share in their class would take six times as long to read.
    __slots__ = ("attributes", "dtype", "hooks", "number", "parents", "plan",
                 "rule", "saved", "shape", "strides", "variable")  # fmt: skip

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
        self.strides = value.strides
        self.dtype = value.dtype
        self.variable: ref[Any] | None = None
        self.hooks: Mapping[int, Callable[[Array], Array]] = NO_HOOKS

    def name(self) -> str:
        """Return torch's name of the node, for example `AddmmBackward0`."""
        return self.rule.torch_name if self.rule is not None else "AccumulateGrad"

    next_functions = property(next_functions)

    def __repr__(self) -> str:
        return f"<{self.name()} object at {id(self):#x}>"


def leaf(tensor: Array) -> Node:
    """Return the node of a tensor that no operation made."""
    node = Node(None, [], None, None, getattr(tensor, "_array", tensor))
    node.variable = ref(tensor)
    node.attributes = getattr(tensor, "__dict__", {})
    return node


def sweep(
    roots: list[tuple[Node, Array]],
    retain_graph: bool = False,
    watched: Collection[Node] = (),
    wrap: Callable[[Array, Node | None], Array] | None = None,
    passed: Callable[[Node, Array], Any] = lambda node, grad: grad,
    returned: Callable[..., Array] | None = None,
    lent: dict[Node, Array] | None = None,
) -> Iterator[tuple[Node, Array]]:
    """Walk from the roots to the leaves; yield leaves with their gradients.

    A node is run once all its consumers have been run: then its gradient is complete. That is
    dropped once the node's derivatives have used it: only gradients of the frontier are alive.

    Args:
        roots: the nodes to start from, each with the gradient of the result by its value.
        retain_graph: keep the saved arrays, so that the graph can be swept again.
        watched: if given, the only nodes whose gradients are wanted. Only they are yielded, and a
            root if there is no other; only nodes between the roots and them are run and released.
        wrap: if given, called with each saved value and the node that made it; derivatives get
            what it returns: with `create_graph=True` tensors, and the pass is recorded.
        passed: called with an inner node to yield, or with hooks, and its gradient; returns the
            tensor to yield and to go on with.
        returned: if given, gradients are not to be stored: they may share memory, and a watched
            inner node is not run. It is called with a node, its parent, a derivative and the
            derivative's arguments, and returns the gradient, laid out in memory as torch does it.
        lent: is filled with what the gradients of leaves are copies of, where they are.

    Raises:
        RuntimeError: what a node saved has been released by an earlier sweep, or changed in place.
    """
    gradients: dict[Node, Array] = {}  # of nodes that are still to be run, complete or not
    lent = {} if lent is None else lent
    needed = leading_to(watched, roots) if watched else None
    if needed is not None and len(roots) > 1:  # as torch does; it always runs a root that is alone
        roots = [root for root in roots if root[0] in needed]
    for node, grad in roots:
        if node in gradients:
            _accumulate(gradients, node, grad)
            lent.pop(node, None)
        elif returned or node.rule is not None or node.hooks:
            gradients[node] = grad
        else:
            gradients[node], lent[node] = copied(grad), grad
    queue = [(-node.number, node) for node in gradients if node.rule is not None]  # youngest first
    heapq.heapify(queue)
    while queue:
        _, node = heapq.heappop(queue)
        grad_out = gradients.pop(node)
        if node.hooks or node.variable is not None or node in watched:
            tensor = passed(node, grad_out)
            yield node, tensor
            grad_out = tensor if wrap is not None else getattr(tensor, "_array", tensor)
        derivatives = node.plan.derivatives
        if needed is not None:
            derivatives = [step for step in derivatives if node.parents[step[0]] in needed]
            if not derivatives and (returned or node not in watched):
                continue
        saved = node.saved
        if saved is None or node.number < changes.latest:
            saved = _unpack(node)
        if not retain_graph and node.plan.is_released:
            node.saved = None
        if wrap is not None:
            makers = (node, *node.parents)
            made = [wrap(saved[i], makers[p]) for i, p in enumerate(node.plan.values)]
            saved = (*made, *saved[len(made) :])
        for i, derivative, arguments in derivatives:
            parent = node.parents[i]
            assert parent is not None
            if returned:
                grad = returned(node, parent, derivative, grad_out, *arguments(saved))
            else:
                grad = derivative(grad_out, *arguments(saved))
            if grad is None:  # a user's `Function` says that there is none
                continue
            if not parent.shape and isinstance(grad, np.generic):
                grad = np.asarray(grad)  # NumPy returns scalars in place of arrays without axes
            if not returned and parent.rule is None and not parent.hooks:
                # It is the user's to change in place.
                shared = grad is grad_out or getattr(grad, "base", None) is not None
                if shared or wrap is not None or id(grad) in map(id, saved):
                    if wrap is None and grad.shape == parent.shape:
                        lent[parent] = grad
                    grad = copied(grad)
            if grad.shape != parent.shape:
                grad = unbroadcast(grad, parent.shape)
            if grad.dtype is not parent.dtype and grad.dtype != parent.dtype:
                grad = np.astype(grad, parent.dtype)
            if parent in gradients:
                _accumulate(gradients, parent, grad)
                lent.pop(parent, None)  # a sum is a new array
            else:
                gradients[parent] = grad
                if parent.rule is not None:
                    heapq.heappush(queue, (-parent.number, parent))
    yield from gradients.items()


def _unpack(node: Node) -> Sequence[Any]:
    """Return what the node saved, if it is there, and what it was."""
    if node.saved is None:
        raise RuntimeError(
            f"{node.name()}: Trying to backward through the graph a second time, after what it had "
            "saved was released. Pass retain_graph=True to the first call of backward() or grad()."
        )
    values = [part for x in node.saved for part in (x if isinstance(x, tuple) else (x,))]
    for value in values:
        if hasattr(value, "base") and changes.last(value) > node.number:
            raise RuntimeError(
                f"{node.name()}: one of the variables needed for gradient computation has been "
                f"modified by an inplace operation, a value of shape {list(value.shape)}. "
                "Change a clone() of it instead, or use the operation that is not in place."
            )
    return node.saved


def _accumulate(gradients: dict[Node, Array], node: Node, grad: Array) -> None:
    total = np.add(gradients[node], grad)
    if len(node.shape) > 1:
        total = arranged(total, gradients[node], grad)
    del gradients[node]  # as in torch, leaves are in the order in which they are complete
    gradients[node] = np.asarray(total) if isinstance(total, np.generic) else total


def unbroadcast(grad: Array, shape: tuple[int, ...]) -> Array:
    """Sum `grad` down to `shape`: the derivative of broadcasting.

    Broadcasting repeats a value along new or stretched axes; the derivative of a repetition is
    the sum over the repetitions. Broadcasting is undone only here: rules can ignore it.
    """
    added = grad.ndim - len(shape)
    stretched = [added + i for i, n in enumerate(shape) if n == 1 and grad.shape[added + i] != 1]
    summed = contiguous(np.add.reduce(grad, axis=(*range(added), *stretched), keepdims=True))
    return np.reshape(summed, shape) if added else summed


class Moment:
    """When something happened last: a number of the sequence."""

    __slots__ = ("__weakref__", "number")

    def __init__(self) -> None:
        self.number = 0


class Changes:
    """A logbook of in-place changes: when each memory was last changed.

    "When" is a number of the sequence. Memory is identified by the `id` of the array that
    owns it, so views need no special care. An entry is removed when its owner is.
    """

    def __init__(self) -> None:
        self.latest = 0
        self._last: dict[int, int] = {}
        self._together: dict[int, tuple[ref[Moment], ...]] = {}  # see `together`
        self._owners: dict[int, KeyedRef[int, Array]] = {}

    def add(self, *arrays: Array) -> None:
        """Note that the memory of these arrays is changed now, right after this."""
        for self.latest in numbers:  # after a call of next() another thread could run, and
            break  # the larger number that it leaves here be lost
        for array in arrays:
            self._last[id(array) if array.base is None else id(owner(array))] = self.latest
        if len(self._last) != len(self._owners):  # usually none is new in an optimizer's step
            for whole in map(owner, arrays):
                if id(whole) not in self._owners:
                    self._owners[id(whole)] = KeyedRef(whole, self._drop, id(whole))

    def last(self, array: Array) -> int:
        """Return when the memory of `array` was last changed, 0 if never."""
        key = id(owner(array))
        moments = (reference() for reference in self._together.get(key, ()))
        return max([self._last.get(key, 0), *(m.number for m in moments if m is not None)])

    def together(self, arrays: Sequence[Array]) -> Moment:
        """Note that these arrays are changed now, and return a moment that the caller sets later.

        A captured step changes them at every run. It sets the moment (and `latest`) instead of
        calling `add`, and all the arrays then count as changed at that moment.
        """
        self.add(*arrays)
        moment = Moment()
        alone = (ref(moment),)
        for key in map(id, map(owner, arrays)):
            known = [one for one in self._together.get(key, ()) if one() is not None]
            self._together[key] = (*known, *alone) if known else alone
        return moment

    def __len__(self) -> int:
        return len(self._last)

    def _drop(self, reference: KeyedRef[int, Array]) -> None:
        for entries in (self._last, self._together, self._owners):
            entries.pop(reference.key, None)


changes = Changes()
changed = changes.add


def owner(array: Array) -> Array:
    """Return the array whose memory this is."""
    while isinstance(array.base, (np.ndarray, type(array))):
        array = array.base
    return array
