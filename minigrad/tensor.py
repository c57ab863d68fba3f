"""`Tensor`: an array together with the node of the tape that made it."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from minigrad import tape
from minigrad.dtypes import DType
from minigrad.grad_mode import grad_mode, set_grad_enabled
from minigrad.methods import Methods
from minigrad.ops import Rule
from minigrad.protocols import Protocols
from minigrad.tape import Array, Node


class Size(tuple[int, ...]):
    """The shape of a tensor, printed as torch prints it."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"torch.Size({list(self)})"

    def numel(self) -> int:
        """Return the number of elements of a tensor of this shape."""
        return math.prod(self)


class Tensor(Methods, Protocols):
    """An array that remembers how it was computed, with torch's names and semantics.

    Make one with `minigrad.tensor`. It wraps the array it is given, without a copy: an ndarray,
    or any array type that implements the calls in `minigrad.vocabulary`.
    """

    __slots__ = ("__weakref__", "_array", "_base", "_node", "_requires_grad", "_version")

    def __init__(self, array: Array) -> None:
        self._array = array
        self._node: Node | None = None
        self._requires_grad = False
        self._base: Tensor | None = None  # what this is a view of
        self._version = [0]  # how often the values changed in place; shared by views

    # ---- what it is -------------------------------------------------------------------------

    @property
    def shape(self) -> Size:
        """The lengths of the axes."""
        return Size(self._array.shape)

    @property
    def dtype(self) -> DType:
        """The data type, a NumPy dtype object."""
        dtype: DType = self._array.dtype
        return dtype

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self._array.shape)

    @property
    def requires_grad(self) -> bool:
        """Whether operations on this tensor are recorded."""
        return self._requires_grad

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
            self._node = tape.leaf(self._array)
        self._requires_grad = requires_grad
        return self

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
        if self._node is None:
            return None
        if self._node.rule is not None and not self._node.retains_grad:
            warnings.warn(
                "the .grad of a tensor that is not a leaf is not kept: call .retain_grad() on it "
                "before backward() if it is wanted",
                stacklevel=2,
            )
        grad: Tensor | None = self._node.grad
        return grad

    @grad.setter
    def grad(self, value: Tensor | None) -> None:
        if value is not None and not isinstance(value, Tensor):
            raise TypeError(f"grad must be a Tensor or None, not {type(value).__name__}")
        if value is not None and (value.shape, value.dtype) != (self.shape, self.dtype):
            raise RuntimeError(
                f"grad must have its tensor's shape {list(self.shape)} and dtype {self.dtype}, "
                f"not {list(value.shape)} and {value.dtype}"
            )
        if self._node is None:
            self._node = tape.leaf(self._array)
        self._node.grad = value

    # ---- gradients --------------------------------------------------------------------------

    def backward(
        self,
        gradient: Tensor | None = None,
        retain_graph: bool | None = None,
        create_graph: bool = False,
    ) -> None:
        """Add the gradient of this tensor to the `.grad` of every leaf it was computed from.

        Args:
            gradient: the gradient of the final result by this tensor, of its shape; by default
                1, which needs a tensor of a single element.
            retain_graph: keep what was saved for the derivatives, so that backward can run
                again; by default what `create_graph` is.
            create_graph: record the backward pass itself, so that it can be differentiated.

        Raises:
            RuntimeError: the tensor requires no gradient, has several elements and no `gradient`
                was given, `gradient` has another shape, or the graph was already released.
        """
        for node, grad in gradients_of([self], [gradient], retain_graph, create_graph):
            if node.rule is None or node.retains_grad:
                grad = grad if isinstance(grad, Tensor) else Tensor(grad)
                node.grad = grad if node.grad is None else node.grad + grad

    def retain_grad(self) -> None:
        """Have `backward` keep the `.grad` of this tensor although it is not a leaf.

        Raises:
            RuntimeError: the tensor requires no gradient.
        """
        self._recorded("retain_grad").retains_grad = True

    def register_hook(self, hook: Callable[[Tensor], Tensor | None]) -> Callable[[], None]:
        """Have `hook(grad)` called when this tensor's gradient is complete.

        If it returns a tensor, that takes the gradient's place. Returns a function that removes
        the hook.

        Raises:
            RuntimeError: the tensor requires no gradient.
        """
        node = self._recorded("register_hook")

        def on_arrays(grad: Array) -> Array:
            replaced = hook(grad if isinstance(grad, Tensor) else Tensor(grad))
            if replaced is None or isinstance(grad, Tensor):
                return grad if replaced is None else replaced
            return replaced._array

        node.hooks = [*(node.hooks or []), on_arrays]
        return lambda: node.hooks.remove(on_arrays)

    def _recorded(self, what: str) -> Node:
        if not self._requires_grad or self._node is None:
            raise RuntimeError(f"{what}: the tensor does not require a gradient")
        return self._node

    def detach(self) -> Tensor:
        """Return a tensor of the same values, in the same memory, without history."""
        detached = Tensor(self._array)
        detached._version = self._version
        return detached

    def _in_place(self, operation: Callable[[Tensor], Tensor]) -> Tensor:
        """Replace the values by those of `operation(self)`, and follow its result on the tape.

        The operation sees a copy of the values, which keeps what its derivative needs.

        Raises:
            RuntimeError: the result does not fit, or recording forbids the change.
        """
        before = self
        if grad_mode.enabled:
            if self._requires_grad and self.is_leaf:
                raise RuntimeError(
                    "a leaf Tensor that requires grad is being used in an in-place operation, "
                    "which would lose the values its gradient belongs to. Do it under no_grad(), "
                    "or use the operation that is not in place."
                )
            before = _from_node(np.copy(self._array), self._node)
            before._requires_grad = self._requires_grad
        result = operation(before)
        if result.shape != self.shape or not np.can_cast(result.dtype, self.dtype, "same_kind"):
            raise RuntimeError(
                f"in-place operation: the result of shape {list(result.shape)} and dtype "
                f"{result.dtype} does not fit into the tensor of shape {list(self.shape)} and "
                f"dtype {self.dtype}"
            )
        np.copyto(self._array, result._array, casting="same_kind")
        self._version[0] += 1
        if result._requires_grad:
            if self._base is not None or result.dtype != self.dtype:
                raise RuntimeError(
                    "in-place operation on a view: minigrad does not record it. Change the tensor "
                    "it is a view of by index assignment, base[...] = value, instead."
                )
            self._node, self._requires_grad = result._node, True
        return self


def gradients_of(
    outputs: Sequence[Tensor],
    grad_outputs: Sequence[Tensor | None],
    retain_graph: bool | None,
    create_graph: bool,
) -> Iterator[tuple[Node, Array]]:
    """Sweep from the outputs and yield every node with its complete gradient.

    The gradients are arrays, or tensors with a history of their own under `create_graph`. See
    `Tensor.backward` for what is raised.
    """
    roots: list[tuple[Node, Array]] = []
    for output, grad in zip(outputs, grad_outputs, strict=True):
        node = output._recorded("backward")
        if grad is None:
            if output.numel() != 1:
                raise RuntimeError(
                    "backward: grad can be implicitly created only for scalar outputs, and this "
                    f"one has shape {list(output.shape)}: reduce it first, for example with "
                    ".sum(), or pass the gradient of the final result by it"
                )
            grad = Tensor(np.ones_like(output._array))
        elif grad.shape != output.shape:
            raise RuntimeError(
                f"backward: Mismatch in shape: the gradient has {list(grad.shape)} and its output "
                f"{list(output.shape)}; they must be equal"
            )
        roots.append((node, grad if create_graph else np.copy(grad._array)))
    with set_grad_enabled(create_graph):
        yield from tape.sweep(
            roots,
            create_graph if retain_graph is None else retain_graph,
            _from_node if create_graph else None,
        )


def _from_node(array: Array, node: Node | None) -> Any:
    """Return a saved value as a tensor again, with its place on the tape."""
    if not isinstance(array, np.ndarray):
        return array
    value = Tensor(array)
    value._node = node
    value._requires_grad = node is not None
    return value


def apply(rule: Rule, *inputs: Any, **options: Any) -> Tensor:
    """Run a rule on tensors and Python numbers, and record it if one of them requires a gradient."""
    values = [x._array if isinstance(x, Tensor) else x for x in inputs]
    out = rule.forward(*values, **options)
    if isinstance(out, np.generic):
        out = np.asarray(out)  # NumPy returns scalars in place of zero-dimensional arrays
    result = Tensor(out)
    if out.base is not None and _is_view(out, values[0]):
        result._base = inputs[0]
        result._version = inputs[0]._version
    if grad_mode.enabled:
        for x in inputs:
            if isinstance(x, Tensor) and x._requires_grad:
                _record(result, rule, inputs, values, options)
                break
    return result


def _is_view(out: Array, x: Array) -> bool:
    """Return whether an output shares the memory of the rule's first input."""
    return isinstance(x, np.ndarray) and (out.base is x or out.base is x.base)


def _record(
    result: Tensor, rule: Rule, inputs: tuple[Any, ...], values: list[Array], options: dict[str, Any]
) -> None:
    """Put `result` on the tape."""
    parents: list[Node | None] = []
    saved: list[list[Any] | None] = []
    versions = []
    arrays = [result._array, *values]
    for i, (x, derivative) in enumerate(zip(inputs, rule.derivatives)):
        if derivative is None or not isinstance(x, Tensor) or not x._requires_grad:
            parents.append(None)
            saved.append(None)
            continue
        parents.append(x._node)
        saved.append(derivative.save(arrays, options, i))
        for position in derivative.positions:
            owner = result if position == 0 else inputs[position - 1]
            if isinstance(owner, Tensor):
                versions.append((owner._version, owner._version[0]))
        result._requires_grad = True
    if result._requires_grad:
        result._node = Node(rule, parents, saved, versions, result._array)


Tensor._apply = staticmethod(apply)  # what the mixins run the rules with
