"""The graph that the nodes of a tape make: what a node was made from.

The functions know a node by its `parents`, `number` and `rule`; `minigrad.tape` has the class.
"""

from collections.abc import Collection
from typing import Any


def ancestors(*nodes: Any) -> list[Any]:
    """Return the nodes and all they were made from, in creation order."""
    found = set(nodes)
    unvisited = list(found)
    while unvisited:
        for parent in unvisited.pop().parents:
            if parent is not None and parent not in found:
                found.add(parent)
                unvisited.append(parent)
    return sorted(found, key=lambda node: node.number)


def leading_to(targets: Collection[Any], roots: list[tuple[Any, Any]]) -> set[Any]:
    """Return the targets and all that was made from one of them on the way to the roots."""
    needed = set(targets)
    for node in ancestors(*(node for node, _ in roots)):
        if not needed.isdisjoint(node.parents):
            needed.add(node)
    return needed


class Transposed:
    """torch's node for the transposed weight of a linear layer, which `linear` does without."""

    def __init__(self, weight: Any) -> None:
        self.parents = [weight]
        self.next_functions = ((weight, 0),)

    def name(self) -> str:
        """Return torch's name of the node."""
        return "TBackward0"

    def __repr__(self) -> str:
        return f"<TBackward0 object at {id(self):#x}>"


def next_functions(node: Any) -> tuple[tuple[Any, int], ...]:
    """The nodes of the inputs as torch shows them, each with 0: None where no gradient is needed.

    Where one node of torch is several here, these are left out, or the other way round. What is
    not followed is an index of several parts, which is several nodes in torch.
    """
    return tuple((parent, 0) for parent in _inputs(node.name(), node.parents))


def _inputs(name: str, parents: Any) -> Any:
    match name, parents:
        case "AddmmBackward0", (x, weight, bias):
            return bias, x, None if weight is None else Transposed(weight)
        case (("WhereBackward0" | "RsubBackward1" | "PowBackward2"), (_, *others)):
            return others  # without the condition, or the number
        case (("AddBackward0" | "SubBackward0"), (x, y)):
            return x, y.parents[0] if y is not None and y.name() == "ScaleBackward0" else y
        case "StackBackward0", rows:
            return [row if row is None else row.parents[0] for row in rows]
        case _, (errors,) if name.endswith("LossBackward0"):
            return errors.parents
        case _, (outputs,) if outputs is not None and outputs.name().endswith(".outputs"):
            return outputs.parents
    return parents
