"""Gradients as values: `grad`, and the switches `no_grad` and `enable_grad`."""

from __future__ import annotations

from collections.abc import Sequence

from minigrad.grad_mode import enable_grad, no_grad, set_grad_enabled
from minigrad.tensor import Tensor, gradients_of

__all__ = ["enable_grad", "grad", "no_grad", "set_grad_enabled"]


def grad(
    outputs: Tensor | Sequence[Tensor],
    inputs: Tensor | Sequence[Tensor],
    grad_outputs: Tensor | Sequence[Tensor | None] | None = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    allow_unused: bool = False,
) -> tuple[Tensor | None, ...]:
    """Return the gradients of the sum of `outputs` by `inputs`; no `.grad` is touched.

    Args:
        outputs: one tensor or several.
        inputs: one tensor or several, leaves or results.
        grad_outputs: for each output the gradient of the final result by it; by default 1,
            which needs outputs of a single element.
        retain_graph: keep what was saved, so that the graph can be used again; by default what
            `create_graph` is.
        create_graph: record the computation of the gradients, to differentiate it in turn.
        allow_unused: return None for an input that no output depends on.

    Raises:
        RuntimeError: an input or output requires no gradient, an input was not used, or as
            `Tensor.backward`.
    """
    results = [outputs] if isinstance(outputs, Tensor) else list(outputs)
    sources = [inputs] if isinstance(inputs, Tensor) else list(inputs)
    if grad_outputs is None:
        grad_outputs = [None] * len(results)
    elif isinstance(grad_outputs, Tensor):
        grad_outputs = [grad_outputs]
    wanted = {source._recorded("grad") for source in sources}
    found = {
        node: gradient if isinstance(gradient, Tensor) else Tensor(gradient)
        for node, gradient in gradients_of(
            results, grad_outputs, retain_graph, create_graph, wanted
        )
        if node in wanted
    }
    gradients = tuple(found.get(source._recorded("grad")) for source in sources)
    if None in [g if g is None else 0 for g in gradients] and not allow_unused:
        raise RuntimeError(
            "grad: One of the differentiated Tensors appears to not have been used in the graph. "
            "Set allow_unused=True if None is the desired gradient for it."
        )
    return gradients
