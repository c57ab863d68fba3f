"""Leaves whose gradients go nowhere.

A view of a tensor that requires a gradient requires one, too. If it was made under `no_grad`, or
before its base required one, it is a leaf without a record: as in torch, operations on it are
recorded, and no tensor receives its gradient.
"""

from minigrad.tape import Array, Node


def nowhere(value: Array) -> Node:
    """Return the node of such a view."""
    return Node(None, [], None, None, value)


def is_nowhere(node: Node | None) -> bool:
    """Return whether a node is one of these."""
    return node is not None and node.rule is None and node.variable is None
