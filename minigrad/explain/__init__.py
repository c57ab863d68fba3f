"""Explaining a computation: the tape as a table, its graph, and a page to step through.

>>> import minigrad as torch
>>> w = torch.tensor([1.0, 2.0], requires_grad=True)
>>> def loss():
...     return (w * w).sum()
>>> torch.explain(loss)  # doctest: +SKIP
"""

import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from minigrad import tape
from minigrad.explain.computation import Computation
from minigrad.explain.drawing import dot
from minigrad.explain.events import Backward
from minigrad.explain.graph import graph
from minigrad.explain.observe import Names, Observation
from minigrad.explain.page import notebook, page
from minigrad.explain.table import text
from minigrad.files import write_whole
from minigrad.tensor import Tensor

__all__ = ["Explanation", "Observation", "explain"]


class Explanation(Computation):
    """A computation as a table, a graph, and a page to step through.

    Its printed form is the table; a notebook shows the page.
    """

    def __repr__(self) -> str:
        return text(self, shutil.get_terminal_size((100, 24)).columns)

    def _repr_html_(self) -> str:
        return notebook(self)

    def dot(self) -> str:
        """Return the graph in the language of Graphviz."""
        return dot(graph(self))

    def html(self) -> str:
        """Return a page, complete in itself, to step through the computation in a browser.

        Raises:
            RuntimeError: the computation was not observed.
        """
        return page(self)

    def save(self, path: str | Path) -> None:
        """Write the page to a file, as `minigrad.files.write_whole` does.

        Raises:
            OSError: the file cannot be written.
            RuntimeError: the computation was not observed.
        """
        write_whole(path, self.html())


def explain(result: Tensor | Callable[..., Any], *arguments: Any, **options: Any) -> Explanation:
    """Explain how a tensor was computed.

    Args:
        result: a tensor whose tape is shown, or a function that returns a tensor. The function is
            called with the arguments that follow, and observed: every value, every gradient, and
            the source lines that made them are then known. It may be a whole training step, with
            `backward()` and `optimizer.step()`.

    The computation is the same in every bit as without the explanation. If the function does not
    call `backward` itself, the gradients are computed separately and no `.grad` is touched.

    Returns:
        an `Explanation`. Its printed form is a table, and a notebook shows the page; it also has
        the graph, and `save(path)` writes the page.

    Raises:
        TypeError: it is neither a tensor nor a function that returns one.
        RuntimeError: the tensor requires no gradient, so nothing of it is on the tape, or a step
            is being captured.
    """
    if isinstance(result, Tensor):
        return Explanation(_node_of(result), result, "a tensor", [], Names())
    if not callable(result):
        raise TypeError(
            f"explain: expected a Tensor or a function that returns one, not "
            f"{type(result).__name__}"
        )
    named = result.func if isinstance(result, partial) else result
    name = getattr(named, "__qualname__", type(named).__name__).rpartition("<locals>.")[2]
    observation = Observation()

    def observed() -> tuple[tape.Node, Tensor]:
        computed = result(*arguments, **options)
        if not isinstance(computed, Tensor):
            raise TypeError(
                f"explain: {name} returned a {type(computed).__name__}: return the tensor that is "
                "to be explained, the loss for example"
            )
        node = _node_of(computed)
        operation = getattr(node.plan, "operation", None)
        if node.plan is not None and operation is None:
            raise RuntimeError(
                f"explain: {name} returned a tensor that was computed before, or by the replay of "
                "a captured step: give the function that computes it"
            )
        ran = any(isinstance(e, Backward) and e.operation is operation for e in observation.events)
        if operation is not None and computed.numel() == 1 and not ran:
            observation.sweep(computed)
        return node, computed

    node, computed = observation.run(observed)
    return Explanation(node, computed, name, observation.events, observation.names)


def _node_of(tensor: Tensor) -> tape.Node:
    if tensor._node is None:
        raise RuntimeError(
            f"explain: this tensor of shape {list(tensor.shape)} does not require a gradient, so "
            "nothing of it is on the tape: explain one that was computed from a tensor with "
            "requires_grad=True, before detach() and outside of no_grad()"
        )
    return tensor._node
