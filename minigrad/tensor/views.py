"""Views: what they are views of, and the nodes of those without a record.

A view of a tensor that requires a gradient requires one, too. If it was made under `no_grad`, or
before its base required one, it is a leaf whose gradient goes *nowhere*: as in torch, operations
on it are recorded, and no tensor receives its gradient. If its base was changed in place since, it
is *outdated*: there is no record of what it holds, and whatever needs one raises.
"""

from types import SimpleNamespace
from typing import Any

import numpy as np

from minigrad.tape import Array, Node

OUTDATED = Node(SimpleNamespace(torch_name="OutdatedView"), [], None, None, np.zeros(()))
"""The node of every outdated view."""


def nowhere(value: Array) -> Node:
    """Return the node of a view whose gradient goes nowhere."""
    return Node(None, [], None, None, value)


def is_nowhere(node: Node | None) -> bool:
    """Return whether a node is one of these."""
    return node is not None and node.rule is None and node.variable is None


def root_of(tensor: Any) -> Any:
    """Return what a tensor is a view of, or a view of a view, and so on; itself if of nothing."""
    while tensor._base is not None:
        tensor = tensor._base
    return tensor


def views_of(tensor: Any) -> list[Any]:
    """Return the views of a tensor that are in use, and the views of these."""
    found = [] if tensor._views is None else list(tensor._views.values())
    return found + [further for view in found for further in views_of(view)]


def outdate(tensor: Any) -> None:
    """Mark the views of a tensor: a recorded operation has changed it, and they show its result."""
    for view in views_of(tensor):
        if view._node is not None and view._node.rule is not None:
            view._node.variable = None  # a gradient that it retains would be of the old values
        view._node = OUTDATED


def outdate_nowhere(tensor: Any) -> None:
    """Mark what else is in the memory of a tensor that was changed: torch makes a record now."""
    for view in views_of(root_of(tensor)):
        if is_nowhere(view._node):
            view._node = OUTDATED


def outdated_view(operation: str) -> RuntimeError:
    """Return the error for an operation that needs the record of an outdated view."""
    return RuntimeError(
        f"{operation}: this view was taken before its tensor was changed in place by a recorded "
        "operation, which minigrad does not follow through views. Take the view again."
    )
