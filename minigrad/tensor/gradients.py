"""What a tensor has to do with the tape: whether it is recorded, its gradient, its hooks."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from minigrad import tape
from minigrad.grad_mode import set_grad_enabled
from minigrad.tape import OUTDATED, Array, Node, outdated_view
from minigrad.tensor.backward import backward
from minigrad.tensor.base import Mixin, is_tensor
from minigrad.tensor.hooks import RemovableHandle, replacement

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
            TypeError: `requires_grad` is not a bool.
        """
        if requires_grad is not True and requires_grad is not False:
            raise TypeError(
                "requires_grad_: requires_grad must be True or False, not "
                f"{requires_grad!r} of type {type(requires_grad).__name__}"
            )
        if requires_grad and self.dtype.kind != "f":
            raise RuntimeError(
                "only Tensors of floating point dtype can require gradients, "
                f"not {self.dtype}: convert it first, for example with .float()"
            )
        if not requires_grad and not self.is_leaf:
            self._recorded("requires_grad_(False)")
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
        elif node is OUTDATED:
            raise outdated_view("grad")
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

        Where a leaf has a `.grad` already, it is changed in place; under `create_graph` the sum is
        a new tensor.

        Raises:
            RuntimeError: the tensor requires no gradient, has several elements and no `gradient`
                was given, `gradient` has another shape, the graph was already released, or
                `inputs` is empty or holds something else than tensors that require gradients.
            TypeError: `gradient` is no tensor, or `inputs` neither a tensor nor several.
        """
        backward([self], [gradient], retain_graph, create_graph, inputs)  # type: ignore[list-item]

    def retain_grad(self) -> None:
        """Have `backward` keep the `.grad` of this tensor although it is not a leaf.

        Raises:
            RuntimeError: the tensor requires no gradient.
        """
        node = self._recorded("retain_grad")
        node.retains_grad = node.rule is not None  # a leaf's is kept in any case

    def register_hook(self, hook: Callable[[Tensor], Tensor | None]) -> RemovableHandle:
        """Have `hook(grad)` called when this tensor's gradient is complete.

        If it returns a tensor, that takes the gradient's place. Hooks are called in the order in
        which they were registered; the handle that is returned removes this one.

        Raises:
            RuntimeError: the tensor requires no gradient.
            TypeError: the hook cannot be called.
        """
        if not callable(hook):
            raise TypeError(
                f"register_hook: hook must be a function of the gradient, not {hook!r} of type "
                f"{type(hook).__name__}"
            )
        node = self._recorded("register_hook")

        def on_arrays(grad: Array) -> Array:
            recorded = is_tensor(grad)  # the backward pass is, and the hook with it
            with set_grad_enabled(recorded):
                replaced = hook(grad if recorded else self._tensor(grad))
            if replaced is not None:
                value = replacement(hook, replaced, node)
                grad = value if recorded else value._array
            # A leaf's gradient is added to in place: it must not be one that the hook has kept.
            return np.copy(grad) if node.rule is None else grad

        return RemovableHandle(node, on_arrays)

    def _recorded(self, what: str) -> Node:
        if self._node is None:
            raise RuntimeError(
                f"{what}: this tensor of shape {list(self.shape)} does not require a gradient and "
                "does not have a grad_fn: call requires_grad_() on it, or on what it is computed "
                "from before it is computed, and not under no_grad()"
            )
        if self._node is OUTDATED:
            raise outdated_view(what)
        return self._node
