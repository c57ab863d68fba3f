"""Running the tape backwards for tensors: gradients that are accumulated, or returned."""

import warnings
from collections.abc import Collection, Iterator, Sequence
from functools import partial
from typing import Any, TypeVar

import numpy as np

from minigrad import tape
from minigrad.grad_mode import enable_grad, in_mode
from minigrad.layout import copied
from minigrad.tape import Node
from minigrad.tensor.base import TensorBase
from minigrad.tensor.gradient_layout import laid_out_as_in_torch
from minigrad.tensor.inplace import InPlace
from minigrad.tensor.overlap import require_apart, require_same_or_apart
from minigrad.tensor.passing import (
    Passing,
    keep_gradient,
    laid_out,
    rewrapped,
    sources,
    warn_of_layout,
)
from minigrad.tensor.views import OUTDATED, outdated_view


class Differentiable(InPlace):
    """The backward pass of `Tensor` under torch's names."""

    def backward(
        self,
        gradient: TensorBase | None = None,
        retain_graph: bool | None = None,
        create_graph: bool = False,
        inputs: TensorBase | Sequence[TensorBase] | None = None,
    ) -> None:
        """Add the gradient of this tensor to the `.grad` of every leaf it was computed from.

        Args:
            gradient: the gradient of the final result with respect to this tensor, of this
                tensor's shape. By default it is 1, and the tensor must have a single element.
            retain_graph: keep what was saved for the derivatives, so that backward can run
                again; by default what `create_graph` is.
            create_graph: record the backward pass itself, so that it can be differentiated.
            inputs: the tensors whose `.grad` is wanted, leaves or not; by default every leaf's.

        Where a leaf has a `.grad` already, it is changed in place; under `create_graph` the sum is
        a new tensor.

        Raises:
            RuntimeError: the tensor requires no gradient, has several elements and no `gradient`
                was given, `gradient` has another shape, the graph was already released, or
                `inputs` is empty or holds something else than tensors that require gradients.
            TypeError: `gradient` is no tensor, or `inputs` neither a tensor nor several.
        """
        backward([self], [gradient], retain_graph, create_graph, inputs)

    def _recorded(self, what: str, starts: bool = False) -> Node:
        node = self._node
        if node is None or (starts and node.rule is None and node.variable is None):
            raise RuntimeError(
                f"{what}: this tensor of shape {list(self.shape)} does not require a gradient and "
                "does not have a grad_fn: call requires_grad_() on it, or on what it is computed "
                "from before it is computed, and not under no_grad()"
            )
        if node is OUTDATED:
            raise outdated_view(what)
        return node


T = TypeVar("T", bound=Differentiable)


def backward(
    outputs: Sequence[Differentiable],
    grad_outputs: Sequence[Any],
    retain_graph: bool | None,
    create_graph: bool,
    inputs: TensorBase | Sequence[TensorBase] | None,
) -> None:
    """Do what `Tensor.backward` does, from several outputs."""
    if create_graph:
        warnings.warn(
            "Using backward() with create_graph=True makes each gradient refer to its parameter, "
            "which refers to it in turn: set .grad to None when it is no longer needed, or use "
            "autograd.grad, which returns the gradients.",
            stacklevel=3,
        )
    watched = set()
    if inputs is not None:
        roots_of(outputs, grad_outputs)  # what is wrong with them is said first
        for x in sources("backward", inputs):
            keep_gradient(node := x._recorded("backward"), x)
            watched.add(node)
    for node, grad in gradients_of(outputs, grad_outputs, retain_graph, create_graph, watched):
        accumulate(node, grad, create_graph)


def accumulate(node: Node, grad: Differentiable, recorded: bool) -> None:
    """Add a gradient to the `grad` of its tensor, as torch does: in place to a leaf's.

    Whoever has kept a leaf's `grad` sees what is added. A sum that is recorded is a new tensor. A
    leaf whose gradient was switched off after it was used gets none.

    Raises:
        RuntimeError: the leaf was changed in place since, and a recorded operation makes it now.
    """
    tensor = None if node.variable is None else node.variable()
    if tensor is None or tensor._node is None:
        if tensor is None and node.rule is None and node.variable is not None:
            gone: Any = node.attributes.get("_grad")  # which somebody may have kept
            if gone is not None and recorded:
                node.attributes["_grad"] = gone + grad
            elif gone is not None:
                gone._write(..., np.add(gone._array, grad._array), "backward")
        return
    kept = tensor._grad
    if node.rule is not None:  # its derivatives still use this array: keep a copy
        tensor._grad = in_mode(recorded, lambda: grad.clone() if kept is None else kept + grad)
    elif tensor._node is not node:
        raise RuntimeError(
            "backward: leaf variable has been moved into the graph interior: it did not require a "
            "gradient any more, and was changed in place by a recorded operation. Change a "
            "clone() of it instead."
        )
    elif kept is None:
        if len(node.shape) > 1 and grad._array.strides != node.strides:
            grad = laid_out(grad, tensor._array)
        tensor._grad = grad
    else:
        if recorded:
            tensor._grad = kept + grad
        else:
            kept._write(..., np.add(kept._array, grad._array), "backward")
        if tensor._grad._array.strides != tensor._array.strides:
            warn_of_layout(tensor._grad._array, tensor._array)


def gradients_of(
    outputs: Sequence[T],
    grad_outputs: Sequence[T | None],
    retain_graph: bool | None,
    create_graph: bool,
    watched: Collection[Node] = (),
    accumulating: bool = True,
) -> Iterator[tuple[Node, T]]:
    """Sweep from the outputs; yield watched nodes and then leaves, with their gradients.

    Under `create_graph` the sweep runs on tensors instead of arrays, and is recorded: then the
    gradients have a history of their own. See `Tensor.backward` for what is raised, `tape.sweep`
    for what differs unless it is `accumulating`.
    """
    roots = roots_of(outputs, grad_outputs)
    wrapped = outputs[0]._wrapped
    returned = None if accumulating else partial(laid_out_as_in_torch, wrapped)
    passing: list[Passing] = []  # made where it is needed, which is seldom

    def passed(node: Node, grad: Any) -> Any:
        """Return a gradient as a tensor, after the hooks of its node."""
        if not passing:
            passing.append(Passing(roots, create_graph))
        return passing[0].hooked(node, grad)

    if create_graph:
        with enable_grad():
            wrap = partial(rewrapped, wrapped)
            for node, grad in tape.sweep(
                roots, retain_graph is not False, watched, wrap, passed, returned
            ):
                if node.hooks and node.rule is None:
                    grad = copied(passed(node, grad)) if accumulating else passed(node, grad)
                if node.rule is not None or not watched or node in watched:
                    yield node, grad
        return
    arrays = [(node, grad._array) for node, grad in roots]
    leaves = []
    lent: dict[Node, Any] = {}
    for node, grad in tape.sweep(arrays, bool(retain_graph), watched, None, passed, returned, lent):
        if node.rule is None:
            leaves.append((node, grad))
        else:  # now, before its derivatives run
            yield node, grad
    if accumulating:
        reached = [node for node, _ in leaves if not watched or node in watched]
        for node in reached if lent else ():
            if node in lent:
                _refuse_shared(node, wrapped(lent[node]))
        if len(reached) > 1:
            for grad in [grad for grad in grad_outputs if grad is not None]:
                for node in reached:  # as soon as one has its gradient, the others read another
                    _refuse_shared(node, grad, entirely=True)
    if watched:
        for node, grad in leaves:
            tensor = passed(node, grad)
            if node in watched:
                yield node, _copied(node, tensor) if accumulating else tensor
        return
    for node, grad in [(node, wrapped(grad)) for node, grad in leaves]:
        if node.hooks:  # only now: they see that the gradients of earlier leaves are stored
            grad = _copied(node, passed(node, grad._array))
        yield node, grad


def _copied(node: Node, grad: T) -> T:
    """Return a copy of a leaf's gradient, which may be in the memory of another tensor."""
    _refuse_shared(node, grad)
    return grad._wrapped(copied(grad._array))


def _refuse_shared(node: Node, grad: Any, entirely: bool = False) -> None:
    """Raise a RuntimeError where a gradient shares some memory with what it is to be added to.

    It may be that itself, unless they have to be apart `entirely`.
    """
    kept = None if node.variable is None else node.attributes.get("_grad")
    if kept is not None and entirely:
        require_apart("backward", kept, grad, entirely=True)
    elif kept is not None:
        require_same_or_apart("backward", kept, grad)


def roots_of(outputs: Sequence[T], grad_outputs: Sequence[T | None]) -> list[tuple[Node, T]]:
    """Return the nodes that a sweep from the outputs starts at, with their gradients."""
    return [
        (output._recorded("backward", starts=True), _root(output, grad))
        for output, grad in zip(outputs, grad_outputs, strict=True)
    ]


def _root(output: T, grad: T | None) -> T:
    """Return the gradient that the sweep starts with at an output."""
    if grad is None:
        array = output._array
        if array.size != 1:
            raise RuntimeError(
                "backward: grad can be implicitly created only for scalar outputs, and this one "
                f"has shape {list(output.shape)}: reduce it first, for example with .sum(), or "
                "pass the gradient of the final result by it"
            )
        one = np.array(1, array.dtype, ndmin=array.ndim)  # np.ones takes longer
        if not isinstance(array, np.ndarray):  # go on in the same array type
            one = np.add(np.zeros_like(array), one)
        return output._wrapped(one)
    if not isinstance(grad, TensorBase):
        raise TypeError(
            "backward: gradients can be either Tensors or None, but got "
            f"{type(grad).__name__}: make one with tensor(...)"
        )
    if grad.shape != output.shape:
        raise RuntimeError(
            f"backward: Mismatch in shape: the gradient has {list(grad.shape)} and its output "
            f"{list(output.shape)}; they must be equal"
        )
    return grad.to(output.dtype)
