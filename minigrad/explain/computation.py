"""What is known of a computation, value by value, in an order in which it can be read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from minigrad.explain.events import (
    Accumulated,
    Backward,
    Code,
    Event,
    Forward,
    Operation,
    Swept,
    Updated,
    Values,
)
from minigrad.explain.observe import Names, copied, kept_gradient
from minigrad.tape import Node, ancestors, unbroadcast
from minigrad.tensor import Tensor


@dataclass(eq=False)
class Entry:
    """A value on the tape: a leaf, an operation's result, or data that needs no gradient.

    Attributes:
        number: its place in the table, from 1.
        name: what it is called: a parameter's name, the operation's.
        node: None for data.
        inputs: for each input of the operation its entry, or the number that it is.
        shape, dtype: of the value.
        value: None where it is not known.
        gradient: complete; None where it is not known, or not needed.
        operation: how it ran; None for what is no operation, or was not observed.
    """

    number: int
    name: str
    node: Node | None
    inputs: list[Entry | Any]
    shape: tuple[int, ...]
    dtype: Any
    value: Values | None = None
    gradient: Values | None = None
    operation: Operation | None = None

    @property
    def is_operation(self) -> bool:
        """Whether an operation made it."""
        return self.node is not None and self.node.rule is not None

    @property
    def layer(self) -> str:
        """The name of the layer it ran in; empty without."""
        return "" if self.operation is None else self.operation.layer

    @property
    def place(self) -> str:
        """The name of the operation with the layer it ran in."""
        return f"{self.name} (layer {self.layer})" if self.layer else self.name

    @property
    def parents(self) -> list[Entry]:
        """The entries among its inputs."""
        return [entry for entry in self.inputs if isinstance(entry, Entry)]

    @property
    def line(self) -> Code | None:
        """The user's line that made it."""
        return None if self.operation is None else self.operation.line


class Computation:
    """What a tape holds, and what was observed while it was recorded.

    Attributes:
        title: what was explained.
        entries: the values in creation order, leaves just before they are first used.
        events: what was observed, in order; empty where nothing was.
        missing: what cannot be shown, and why.
        shares: for each derivative that ran, by its event's id, what it added to the gradient of
            its input, in the input's shape, and the sum of all that was added until then.
    """

    def __init__(
        self, root: Node, result: Tensor, title: str, events: list[Event], names: Names
    ) -> None:
        self.title = title
        self.missing: list[str] = []
        self.entries: list[Entry] = []
        self._by_node: dict[Node, Entry] = {}
        self._data: dict[int, Entry] = {}
        self.shares: dict[int, tuple[Values, Values]] = {}
        self._names = names
        for node in ancestors(root):
            if node.rule is not None:
                self._add_operation(node)
        if not self.entries:
            self._leaf(root)
        self.root = self._by_node[root]
        if self.root.value is None:
            self.root.value = copied(result)
        known = {e.operation: e for e in self.entries if e.operation is not None}
        self.events = [
            event
            for event in events
            if not isinstance(event, (Forward, Backward)) or event.operation in known
        ]
        self._add_gradients(known)
        self._say_what_is_missing()

    # ---- the entries ------------------------------------------------------------------------

    def _add_operation(self, node: Node) -> None:
        operation = getattr(node.plan, "operation", None)
        values = _saved(node) if operation is None else dict(enumerate(operation.inputs, 1))
        arrays = _saved(node) if operation is None else dict(enumerate(operation.arrays, 1))
        inputs: list[Entry | Any] = []
        for i, parent in enumerate(node.parents, 1):
            value = values.get(i)
            if parent is not None:
                entry = self._by_node.get(parent) or self._leaf(parent)
                if entry.value is None and value is not None:
                    entry.value = copied(value)
                inputs.append(entry)
            elif hasattr(value, "__array_function__"):
                inputs.append(self._datum(arrays[i], copied(value)))
            else:
                inputs.append(value)
        output = values.get(0) if operation is None else operation.output
        entry = self._new(node.rule.name, node, inputs, node.shape, node.dtype)
        entry.value = None if output is None else copied(output)
        entry.operation = operation

    def _leaf(self, node: Node) -> Entry:
        name = self._names.leaves.get(id(node), "leaf")
        return self._new(name, node, [], node.shape, node.dtype)

    def _datum(self, array: Any, value: Values) -> Entry:
        """Return the entry of an array that needs no gradient."""
        if id(array) not in self._data:
            name = self._names.arrays.get(id(array), "data")
            self._data[id(array)] = entry = self._new(name, None, [], value.shape, value.dtype)
            entry.value = value
        return self._data[id(array)]

    def _new(self, name: str, node: Node | None, inputs: list[Any], *kind: Any) -> Entry:
        entry = Entry(len(self.entries) + 1, name, node, inputs, *kind)
        self.entries.append(entry)
        if node is not None:
            self._by_node[node] = entry
        return entry

    # ---- their gradients --------------------------------------------------------------------

    def _add_gradients(self, known: dict[Operation, Entry]) -> None:
        """Give every entry its complete gradient, as the last sweep left it."""
        gathered: dict[Entry, Values] = {}
        for event in self.events:
            if isinstance(event, Swept):
                gathered.clear()
            elif isinstance(event, Backward):
                entry = known[event.operation]
                entry.gradient = event.grad_out
                parent, share = entry.inputs[event.position], event.grad
                if share.shape != parent.shape:
                    share = unbroadcast(share, parent.shape)
                share = np.astype(share, parent.dtype)
                total = np.add(gathered[parent], share) if parent in gathered else share
                gathered[parent] = total
                self.shares[id(event)] = share, total
            elif isinstance(event, Accumulated) and event.leaf in self._by_node:
                entry = self._by_node[event.leaf]
                entry.gradient = event.added
                gathered.pop(entry, None)
        for entry in self.entries:
            if entry.gradient is None and entry.node is not None:
                kept = copied(kept_gradient(entry.node))
                entry.gradient = gathered.get(entry, kept) if entry.node.rule is None else kept

    def entry_of(self, leaf: Node) -> Entry | None:
        """Return the entry of a leaf, None if the tape has not got it."""
        return self._by_node.get(leaf)

    # ---- what it says -----------------------------------------------------------------------

    def _say_what_is_missing(self) -> None:
        operations = [entry for entry in self.entries if entry.is_operation]
        unseen = [entry for entry in operations if entry.operation is None]
        if operations and not unseen and self.root.gradient is None:
            self.missing.append(
                f"There are no gradients: the result of shape {list(self.root.shape)} has several "
                "elements, and the function did not call backward(gradient)."
            )
        if unseen:
            which = "its operations ran" if unseen == operations else "some operations ran"
            self.missing.append(
                f"{which} unobserved, so there are no source lines, and values only where a "
                "derivative needs them. explain(function) runs a function and observes it."
            )
        if any(entry.node.saved is None for entry in unseen if entry.node is not None):
            self.missing.append(
                "backward() has released what was saved: explain before it, or call it with "
                "retain_graph=True."
            )

    @property
    def is_observed(self) -> bool:
        """Whether there are operations and they were all observed as they ran."""
        operations = [entry for entry in self.entries if entry.is_operation]
        return bool(operations) and all(entry.operation is not None for entry in operations)

    @property
    def updates(self) -> list[Updated]:
        """The optimizer's changes of parameters."""
        return [event for event in self.events if isinstance(event, Updated)]


def _saved(node: Node) -> dict[int, Any]:
    """Return what the tape has of a node's values, by position in (out, *inputs)."""
    if node.saved is None:
        return {}
    return dict(zip(node.plan.values, node.saved, strict=False))
