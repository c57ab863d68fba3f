"""`Tensor`: an array together with the node of the tape that made it."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any
from weakref import WeakValueDictionary

import numpy as np

from minigrad import tape
from minigrad.dtypes import DType
from minigrad.grad_mode import enable_grad, grad_mode, set_grad_enabled
from minigrad.hooks import RemovableHandle, replacement
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

    # Few tensors have these; the rest share the values given here.
    _base: Tensor | None = None  # what this is a view of
    _frozen: Node | None = None  # a leaf's node while its gradient is switched off
    _views: WeakValueDictionary[int, Tensor] | None = None  # those that are in use

    __slots__ = ("__dict__", "__weakref__", "_array", "_node")

    def __init__(self, array: Array) -> None:
        self._array = array
        self._node: Node | None = None  # None exactly if no gradient is required

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
        if value is not None and not isinstance(value, Tensor):
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
        backward([self], [gradient], retain_graph, create_graph, inputs)

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
            recorded = isinstance(grad, Tensor)  # the backward pass is, and the hook with it
            with set_grad_enabled(recorded):
                replaced = hook(grad if recorded else Tensor(grad))
            if replaced is None:
                return grad
            value = replacement(hook, replaced, node)
            return value if recorded else value._array

        return RemovableHandle(node, on_arrays)

    def _recorded(self, what: str) -> Node:
        if self._node is None:
            raise RuntimeError(f"{what}: the tensor does not require a gradient")
        if self._node is _OUTDATED:
            raise _outdated_view(what)
        return self._node

    def detach(self) -> Tensor:
        """Return a tensor of the same values, in the same memory, without history."""
        return Tensor(self._array)

    def _in_place(self, operation: Callable[[Tensor], Tensor]) -> Tensor:
        """Replace the values by those of `operation(self)`, and follow its result on the tape.

        The operation sees a copy of the values, which keeps what its derivative needs.

        Raises:
            RuntimeError: the result does not fit, or recording forbids the change.
        """
        before = self
        if grad_mode.enabled:
            if self._node is not None and self.is_leaf:
                raise RuntimeError(
                    "a leaf Tensor that requires grad is being used in an in-place operation, "
                    "which would lose the values its gradient belongs to. Do it under no_grad(), "
                    "or use the operation that is not in place."
                )
            before = _from_node(np.copy(self._array), self._node)
        result = operation(before)
        if result.shape != self.shape or not np.can_cast(result.dtype, self.dtype, "same_kind"):
            raise RuntimeError(
                f"in-place operation: the result of shape {list(result.shape)} and dtype "
                f"{result.dtype} does not fit into the tensor of shape {list(self.shape)} and "
                f"dtype {self.dtype}"
            )
        if result._node is not None and self._base is not None:
            raise RuntimeError(
                "in-place operation on a view: minigrad does not record it. Change the tensor "
                "it is a view of by index assignment, base[...] = value, instead."
            )
        result = result.to(self.dtype)
        self._write(..., result._array)
        if result._node is not None:
            self._node = result._node
            self._outdate_views()
        return self

    def _outdate_views(self) -> None:
        """Mark the views in use: they show new values, but their nodes are those of the old."""
        for view in [] if self._views is None else list(self._views.values()):
            view._node = _OUTDATED
            view._outdate_views()

    def _write(self, key: Any, values: Any) -> None:
        """Replace the values at `key`, and note that they have changed.

        Raises:
            RuntimeError: the memory is read-only, as that of an expanded tensor is.
        """
        try:
            self._array[key] = values
        except ValueError as error:
            raise RuntimeError(
                f"in-place operation: {error}: several elements of an expanded tensor share one "
                "memory location, and an array may be read-only. Change a clone() of it instead."
            ) from error
        tape.changed(self._array)


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


def accumulate(node: Node, grad: Array) -> None:
    """Add a gradient to the `grad` of its node."""
    grad = grad if isinstance(grad, Tensor) else Tensor(grad)
    node.grad = grad if node.grad is None else node.grad + grad


def several(operation: str, inputs: Tensor | Sequence[Tensor]) -> Sequence[Tensor]:
    """Return one tensor or several as a sequence.

    Raises:
        RuntimeError: there are none.
    """
    tensors = [inputs] if isinstance(inputs, Tensor) else inputs
    if len(tensors) == 0:
        raise RuntimeError(f"{operation}: inputs cannot be empty: name the tensors that are wanted")
    return tensors


def gradients_of(
    outputs: Sequence[Tensor],
    grad_outputs: Sequence[Tensor | None],
    retain_graph: bool | None,
    create_graph: bool,
    watched: Collection[Node] = (),
) -> Iterator[tuple[Node, Array]]:
    """Sweep from the outputs; yield leaves and watched nodes with their gradients.

    The gradients are arrays, or tensors with a history of their own under `create_graph`. See
    `Tensor.backward` for what is raised.
    """
    roots: list[tuple[Node, Array]] = []
    root: Array
    for output, grad in zip(outputs, grad_outputs, strict=True):
        node = output._recorded("backward")
        if grad is None:
            if math.prod(node.shape) != 1:
                raise RuntimeError(
                    "backward: grad can be implicitly created only for scalar outputs, and this "
                    f"one has shape {list(output.shape)}: reduce it first, for example with "
                    ".sum(), or pass the gradient of the final result by it"
                )
            root = np.ones(node.shape, node.dtype)
        elif grad.shape != output.shape:
            raise RuntimeError(
                f"backward: Mismatch in shape: the gradient has {list(grad.shape)} and its output "
                f"{list(output.shape)}; they must be equal"
            )
        elif create_graph:
            root = grad
        else:
            root = np.copy(grad._array) if output.is_leaf else grad._array
        roots.append((node, root))
    if not create_graph:
        return tape.sweep(roots, bool(retain_graph), watched)
    return _recorded_sweep(roots, retain_graph is not False, watched)


def _recorded_sweep(
    roots: list[tuple[Node, Array]], retain_graph: bool, watched: Collection[Node]
) -> Iterator[tuple[Node, Array]]:
    """Sweep on tensors, with recording switched on."""
    tensors = [(n, g if isinstance(g, Tensor) else Tensor(g)) for n, g in roots]
    with enable_grad():
        yield from tape.sweep(tensors, retain_graph, watched, _from_node)


def _from_node(array: Array, node: Node | None) -> Any:
    """Return a saved value as a tensor again, with its place on the tape."""
    if not isinstance(array, np.ndarray):
        return array
    value = Tensor(array)
    value._node = node
    return value


def apply(rule: Rule, *inputs: Any, **options: Any) -> Tensor:
    """Run a rule on tensors and Python numbers; record it if one of them requires a gradient."""
    values = []
    parents = []
    for x in inputs:
        if isinstance(x, Tensor):
            values.append(x._array)
            parents.append(x._node)
        else:
            values.append(x)
            parents.append(None)
    out = rule.forward(*values, **options)
    if isinstance(out, np.generic):
        out = np.asarray(out)  # NumPy returns scalars in place of zero-dimensional arrays
    result = Tensor(out)
    if out.base is not None and isinstance(inputs[0], Tensor):
        _note_view(result, inputs[0])
    if any(parents) and grad_mode.enabled:
        if _OUTDATED in parents:
            raise _outdated_view(rule.name)
        plan = rule.plan(tuple(map(bool, parents)))
        if plan.derivatives:
            saved = plan.save((out, *values), options)
            result._node = Node(rule, parents, plan, saved, out)
    return result


def _note_view(result: Tensor, source: Tensor) -> None:
    """Remember that `result` is a view of `source`, if it is one."""
    array, out = source._array, result._array
    if isinstance(array, np.ndarray) and (out.base is array or out.base is array.base):
        result._base = source
        if source._views is None:
            source._views = WeakValueDictionary()
        source._views[id(result)] = result


_OUTDATED = tape.leaf(np.zeros(()))
"""The node of a view whose tensor was since changed in place by a recorded operation."""


def _outdated_view(operation: str) -> RuntimeError:
    return RuntimeError(
        f"{operation}: this view was taken before its tensor was changed in place by a recorded "
        "operation, which minigrad does not follow through views. Take the view again."
    )


Tensor._apply = staticmethod(apply)  # what the mixins run the rules with
