"""Gradients of several tensors at once: accumulated by `backward`, returned by `grad`."""

from collections.abc import Sequence
from typing import Any

from minigrad.creation import zeros_like
from minigrad.tensor import Tensor
from minigrad.tensor import backward as sweeps
from minigrad.tensor.backward import accumulate, gradients_of
from minigrad.tensor.passing import sequence, sources
from minigrad.tensor.views import is_nowhere

Tensors = Tensor | Sequence[Tensor]
Cotangents = Tensor | Sequence[Tensor | None] | None


def backward(
    tensors: Tensors,
    grad_tensors: Cotangents = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    *,
    inputs: Tensors | None = None,
) -> None:
    """Add the gradients of the sum of `tensors` to the `.grad` of the leaves.

    Args:
        tensors: one tensor or several.
        grad_tensors: for each the gradient of the final result by it; by default 1, which needs
            tensors of a single element.
        retain_graph, create_graph, inputs, and what is raised: as for `Tensor.backward`.
    """
    outputs, grad_outputs = _paired("backward", tensors, grad_tensors)
    sweeps.backward(outputs, grad_outputs, retain_graph, create_graph, inputs)


def grad(
    outputs: Tensors,
    inputs: Tensors,
    grad_outputs: Cotangents = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    allow_unused: bool | None = None,
    *,
    materialize_grads: bool = False,
) -> tuple[Tensor, ...]:
    """Return the gradients of the sum of `outputs` by `inputs`; no leaf's `.grad` is touched.

    Only the part of the graph that leads to the inputs is run and released. An input's hooks are
    called, and its gradient is what they return.

    Args:
        outputs: one tensor or several.
        inputs: one tensor or several, leaves or results.
        grad_outputs: for each output the gradient of the final result by it; by default 1,
            which needs outputs of a single element.
        retain_graph: keep what was saved, so that the graph can be used again; by default what
            `create_graph` is.
        create_graph: record the computation of the gradients, to differentiate it in turn.
        allow_unused: return None for an input that no output depends on.
        materialize_grads: return zeros for such an input.

    Returns:
        for each input a tensor of its shape and dtype, or None.

    Raises:
        RuntimeError: an input or output requires no gradient, there are no inputs, one of them is
            no tensor or was not used, or as `Tensor.backward`.
        TypeError: outputs or inputs are neither a tensor nor several, one of the outputs is no
            tensor, or one of their gradients neither tensor nor None.
        ValueError: `allow_unused=False` together with `materialize_grads=True`.
    """
    if materialize_grads and allow_unused is False:
        raise ValueError(
            "grad: materialize_grads=True gives zeros for unused inputs: Expected allow_unused to "
            "be True or not passed"
        )
    results, cotangents = _paired("grad", outputs, grad_outputs)
    wanted = sources("grad", inputs)
    nodes = [x._recorded("grad") for x in wanted]
    found: Any = dict[Any, Tensor]()
    for node, gradient in gradients_of(
        results, cotangents, retain_graph, create_graph, frozenset(nodes), accumulating=False
    ):
        if not is_nowhere(node):
            found[node] = gradient
        if node.rule is not None:
            accumulate(node, gradient, create_graph)
    if not (allow_unused or materialize_grads) and not found.keys() >= set(nodes):
        position = next(i for i, node in enumerate(nodes) if node not in found)
        raise RuntimeError(
            f"grad: One of the differentiated Tensors, input {position} of shape "
            f"{list(wanted[position].shape)}, appears to not have been used in the graph. Set "
            "allow_unused=True if None is the desired gradient for it, or materialize_grads=True "
            "if zeros are."
        )
    return tuple(
        zeros_like(x, requires_grad=create_graph)
        if materialize_grads and node not in found
        else found.get(node)
        for x, node in zip(wanted, nodes, strict=True)
    )


def _paired(
    operation: str, outputs: Tensors, grad_outputs: Cotangents
) -> tuple[list[Tensor], list[Tensor | None]]:
    """Return outputs and their gradients as two lists of the same length."""
    results = sequence(operation, "outputs", outputs)
    if grad_outputs is None:
        cotangents: list[Tensor | None] = [None] * len(results)
    else:
        cotangents = sequence(operation, "their gradients", grad_outputs)
    if len(cotangents) != len(results):
        raise RuntimeError(
            f"{operation}: {len(results)} outputs, but {len(cotangents)} gradients were given: "
            "give one for each, a tensor or None"
        )
    if not results:
        raise RuntimeError(f"{operation}: there is no output to start from: give one at least")
    for result in results:
        if not isinstance(result, Tensor):
            raise TypeError(f"{operation}: outputs must be Tensors, not {type(result).__name__}")
    return results, cotangents
