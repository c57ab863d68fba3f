"""Running the tape backwards for tensors: gradients that are accumulated, or yielded as values."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from minigrad import tape
from minigrad.grad_mode import enable_grad
from minigrad.tape import Array, Node
from minigrad.tensor.base import is_tensor

if TYPE_CHECKING:
    from minigrad.tensor import Tensor


def backward(
    outputs: Sequence[Tensor],
    grad_outputs: Sequence[Tensor | None],
    retain_graph: bool | None,
    create_graph: bool,
    inputs: Tensor | Sequence[Tensor] | None,
) -> None:
    """Do what `Tensor.backward` does, from several outputs."""
    watched = set()
    if inputs is not None:
        watched = {x._recorded("backward") for x in sources("backward", inputs)}
        for node in watched:
            node.retains_grad = node.rule is not None
    for node, grad in gradients_of(outputs, grad_outputs, retain_graph, create_graph, watched):
        accumulate(node, grad if create_graph else outputs[0]._tensor(grad), create_graph)


def accumulate(node: Node, grad: Tensor, recorded: bool) -> None:
    """Add a gradient to the `grad` of its node, as torch does: in place to a leaf's.

    Whoever has kept a leaf's `grad` sees what is added. A sum that is recorded is a new tensor.
    """
    if node.rule is not None:  # its gradient went on to its parents, so this one is a copy
        node.grad = grad.clone() if node.grad is None else node.grad + grad
    elif node.grad is None:
        node.grad = grad
    elif recorded:
        node.grad = node.grad + grad
    else:
        node.grad._write(..., np.add(node.grad._array, grad._array), "backward")


def sequence(operation: str, what: str, given: Any) -> list[Any]:
    """Return one tensor or several as a list.

    Raises:
        TypeError: it is neither.
    """
    if is_tensor(given):
        return [given]
    try:
        return list(given)
    except TypeError:
        raise TypeError(
            f"{operation}: {what} must be a Tensor or a sequence of Tensors, not "
            f"{type(given).__name__}"
        ) from None


def sources(operation: str, inputs: Any) -> list[Tensor]:
    """Return the tensors, one or several, by which gradients are wanted.

    Raises:
        RuntimeError: there are none, or something among them is no tensor.
        TypeError: they are neither a tensor nor several.
    """
    tensors = sequence(operation, "inputs", inputs)
    if not tensors:
        raise RuntimeError(f"{operation}: inputs cannot be empty: name the tensors that are wanted")
    for x in tensors:
        if not is_tensor(x):
            raise RuntimeError(
                f"{operation}: all inputs have to be Tensors, but got {type(x).__name__}"
            )
    return tensors


def gradients_of(
    outputs: Sequence[Tensor],
    grad_outputs: Sequence[Tensor | None],
    retain_graph: bool | None,
    create_graph: bool,
    watched: Collection[Node] = (),
) -> Iterator[tuple[Node, Array]]:
    """Sweep from the outputs; return leaves and watched nodes with their gradients, one by one.

    These are arrays. Under `create_graph` the sweep runs on tensors instead, and is recorded: then
    they are tensors with a history of their own. See `Tensor.backward` for what is raised.
    """
    roots = [
        (output._recorded("backward"), _root(output, grad))
        for output, grad in zip(outputs, grad_outputs, strict=True)
    ]
    if not create_graph:
        arrays = [(node, grad._array) for node, grad in roots]
        return tape.sweep(arrays, bool(retain_graph), watched)

    def wrap(value: Any, node: Node | None) -> Any:
        """Return a saved array as a tensor again, in its place on the tape."""
        return outputs[0]._tensor(value, node) if hasattr(value, "base") else value

    def recorded_sweep() -> Iterator[tuple[Node, Tensor]]:
        with enable_grad():
            yield from tape.sweep(roots, retain_graph is not False, watched, wrap)

    return recorded_sweep()


def _root(output: Tensor, grad: Tensor | None) -> Tensor:
    """Return the gradient that the sweep starts with at an output."""
    if grad is None:
        if output.numel() != 1:
            raise RuntimeError(
                "backward: grad can be implicitly created only for scalar outputs, and this one "
                f"has shape {list(output.shape)}: reduce it first, for example with .sum(), or "
                "pass the gradient of the final result by it"
            )
        one = np.array(1, output._array.dtype, ndmin=output.ndim)  # np.ones takes longer
        if not isinstance(output._array, np.ndarray):  # go on in the same array type
            one = np.add(np.zeros_like(output._array), one)
        return output._tensor(one)
    if not is_tensor(grad):
        raise TypeError(
            "backward: gradients can be either Tensors or None, but got "
            f"{type(grad).__name__}: make one with tensor(...)"
        )
    if grad.shape != output.shape:
        raise RuntimeError(
            f"backward: Mismatch in shape: the gradient has {list(grad.shape)} and its output "
            f"{list(output.shape)}; they must be equal"
        )
    return grad.clone() if output.is_leaf else grad  # a leaf keeps it, so it needs its own
