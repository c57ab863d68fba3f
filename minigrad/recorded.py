"""What a tensor has to do with the tape: whether it is recorded, its gradient, `backward`."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from minigrad import tape
from minigrad.arguments import Mixin, is_tensor
from minigrad.grad_mode import enable_grad, set_grad_enabled
from minigrad.hooks import RemovableHandle, replacement
from minigrad.tape import OUTDATED, Array, Node, outdated_view

if TYPE_CHECKING:
    from minigrad.tensor import Tensor


class Recorded(Mixin):
    """Recording and gradients of `Tensor`, under torch's names."""

    @property
    def requires_grad(self) -> bool:
        """Whether operations on this tensor are recorded."""
        return self._node is not None

    @requires_grad.setter
    def requires_grad(self, value: bool) -> None:
        self.requires_grad_(value)

    def requires_grad_(self, requires_grad: bool = True) -> Tensor:
        """Switch recording on or off for a leaf, in place.

        Raises:
            RuntimeError: the dtype is not floating point, or the tensor is the result of a
                recorded operation, which cannot be switched off.
        """
        if requires_grad and self.dtype.kind != "f":
            raise RuntimeError(
                "only Tensors of floating point dtype can require gradients, "
                f"not {self.dtype}: convert it first, for example with .float()"
            )
        if not requires_grad and not self.is_leaf:
            raise RuntimeError(
                "requires_grad_(False): this tensor is the result of a recorded operation, and "
                "only a leaf can be switched off. Use .detach() for a tensor without history."
            )
        if requires_grad and self._node is None:
            self._node, self._frozen = self._frozen or tape.leaf(self._array), None
        elif not requires_grad and self._node is not None:
            self._node, self._frozen = None, self._node
        return self  # type: ignore[return-value]

    @property
    def grad_fn(self) -> Node | None:
        """The node that made this tensor; None for a leaf."""
        return None if self.is_leaf else self._node

    @property
    def is_leaf(self) -> bool:
        """Whether no recorded operation made this tensor."""
        return self._node is None or self._node.rule is None

    @property
    def grad(self) -> Tensor | None:
        """The gradient that `backward` accumulated, a tensor of the same shape and dtype."""
        node = self._node or self._frozen
        if node is None:
            return None
        if node.rule is not None and not node.retains_grad:
            warnings.warn(
                "the .grad of a tensor that is not a leaf is not kept: call .retain_grad() on it "
                "before backward() if it is wanted",
                stacklevel=2,
            )
        grad: Tensor | None = node.grad
        return grad

    @grad.setter
    def grad(self, value: Tensor | None) -> None:
        if value is not None and not is_tensor(value):
            raise TypeError(f"grad must be a Tensor or None, not {type(value).__name__}")
        if value is not None and (value.shape, value.dtype) != (self.shape, self.dtype):
            raise RuntimeError(
                f"grad must have its tensor's shape {list(self.shape)} and dtype {self.dtype}, "
                f"not {list(value.shape)} and {value.dtype}"
            )
        node = self._node or self._frozen
        if node is None:
            node = self._frozen = tape.leaf(self._array)
        node.grad = value

    # ---- gradients --------------------------------------------------------------------------

    def backward(
        self,
        gradient: Tensor | None = None,
        retain_graph: bool | None = None,
        create_graph: bool = False,
        inputs: Tensor | Sequence[Tensor] | None = None,
    ) -> None:
        """Add the gradient of this tensor to the `.grad` of every leaf it was computed from.

        Args:
            gradient: the gradient of the final result by this tensor, of its shape; by default
                1, which needs a tensor of a single element.
            retain_graph: keep what was saved for the derivatives, so that backward can run
                again; by default what `create_graph` is.
            create_graph: record the backward pass itself, so that it can be differentiated.
            inputs: the tensors whose `.grad` is wanted, leaves or not; by default every leaf's.

        Raises:
            RuntimeError: the tensor requires no gradient, has several elements and no `gradient`
                was given, `gradient` has another shape, the graph was already released, or
                `inputs` is empty or holds a tensor that requires no gradient.
        """
        backward([self], [gradient], retain_graph, create_graph, inputs)  # type: ignore[list-item]

    def retain_grad(self) -> None:
        """Have `backward` keep the `.grad` of this tensor although it is not a leaf.

        Raises:
            RuntimeError: the tensor requires no gradient.
        """
        self._recorded("retain_grad").retains_grad = True

    def register_hook(self, hook: Callable[[Tensor], Tensor | None]) -> RemovableHandle:
        """Have `hook(grad)` called when this tensor's gradient is complete.

        If it returns a tensor, that takes the gradient's place. Hooks are called in the order in
        which they were registered; the handle that is returned removes this one.

        Raises:
            RuntimeError: the tensor requires no gradient.
        """
        node = self._recorded("register_hook")

        def on_arrays(grad: Array) -> Array:
            recorded = is_tensor(grad)  # the backward pass is, and the hook with it
            with set_grad_enabled(recorded):
                replaced = hook(grad if recorded else self._tensor(grad))
            if replaced is None:
                return grad
            value = replacement(hook, replaced, node)
            return value if recorded else value._array

        return RemovableHandle(node, on_arrays)

    def _recorded(self, what: str) -> Node:
        if self._node is None:
            raise RuntimeError(f"{what}: the tensor does not require a gradient")
        if self._node is OUTDATED:
            raise outdated_view(what)
        return self._node


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
        watched = {x._recorded("backward") for x in several("backward", inputs)}
        for node in watched:
            node.retains_grad = node.rule is not None
    for node, grad in gradients_of(outputs, grad_outputs, retain_graph, create_graph, watched):
        accumulate(node, grad)


def accumulate(node: Node, grad: Tensor) -> None:
    """Add a gradient to the `grad` of its node."""
    node.grad = grad if node.grad is None else node.grad + grad


def several(operation: str, inputs: Tensor | Sequence[Tensor]) -> Sequence[Tensor]:
    """Return one tensor or several as a sequence.

    Raises:
        RuntimeError: there are none.
    """
    tensors: Sequence[Tensor] = [inputs] if is_tensor(inputs) else inputs  # type: ignore[assignment,list-item]
    if len(tensors) == 0:
        raise RuntimeError(f"{operation}: inputs cannot be empty: name the tensors that are wanted")
    return tensors


def gradients_of(
    outputs: Sequence[Tensor],
    grad_outputs: Sequence[Tensor | None],
    retain_graph: bool | None,
    create_graph: bool,
    watched: Collection[Node] = (),
) -> Iterator[tuple[Node, Tensor]]:
    """Sweep from the outputs; yield leaves and watched nodes with their gradients.

    Under `create_graph` the sweep runs on tensors instead of arrays, and is recorded: the
    gradients then have a history of their own. See `Tensor.backward` for what is raised.
    """
    roots = [
        (output._recorded("backward"), _root(output, grad))
        for output, grad in zip(outputs, grad_outputs, strict=True)
    ]
    tensor = outputs[0]._tensor
    if not create_graph:
        arrays = [(node, grad._array) for node, grad in roots]
        for node, array in tape.sweep(arrays, bool(retain_graph), watched):
            yield node, tensor(array)
        return

    def wrap(value: Any, node: Node | None) -> Any:
        """Return a saved array as a tensor again, in its place on the tape."""
        return tensor(value, node) if hasattr(value, "base") else value

    with enable_grad():
        yield from tape.sweep(roots, retain_graph is not False, watched, wrap)


def _root(output: Tensor, grad: Tensor | None) -> Tensor:
    """Return the gradient that the sweep starts with at an output."""
    if grad is None:
        if output.numel() != 1:
            raise RuntimeError(
                "backward: grad can be implicitly created only for scalar outputs, and this one "
                f"has shape {list(output.shape)}: reduce it first, for example with .sum(), or "
                "pass the gradient of the final result by it"
            )
        one = np.ones(output._array.shape, output._array.dtype)
        if not isinstance(output._array, np.ndarray):  # go on in the same array type
            one = np.add(np.zeros_like(output._array), one)
        return output._tensor(one)
    if grad.shape != output.shape:
        raise RuntimeError(
            f"backward: Mismatch in shape: the gradient has {list(grad.shape)} and its output "
            f"{list(output.shape)}; they must be equal"
        )
    return grad.clone() if output.is_leaf else grad  # a leaf keeps it, so it needs its own
