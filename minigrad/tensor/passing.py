"""The gradients of one backward pass as tensors: what hooks see, and what `grad` returns."""

import warnings
from collections.abc import Callable, Sequence
from functools import cached_property, partial
from typing import Any
from weakref import ref

import numpy as np

from minigrad.grad_mode import in_mode
from minigrad.tape import Array, Node, owner
from minigrad.tensor.base import TensorBase
from minigrad.tensor.overlap import writable
from minigrad.tensor.views import is_nowhere


class Passing:
    """The tensor of each gradient.

    As in torch, a gradient that is passed on as it is stays the same tensor: `grad(x, x, g)` is
    `g` itself, and what a hook has kept is what `grad` returns. One that is part of another's
    memory, as the transposed of a gradient is, is a view of it made without a record.

    Args:
        roots: the nodes that the pass starts from, with their gradients.
        recorded: whether the pass is recorded: then gradients are tensors already.
    """

    def __init__(self, roots: Sequence[tuple[Node, Any]], recorded: bool) -> None:
        self._roots = roots
        self._recorded = recorded

    @cached_property
    def _tensors(self) -> dict[int, tuple[Array, Any]]:
        """Tensors by id of the array, which is kept so that no id is used again."""
        return {id(tensor._array): (tensor._array, tensor) for _, tensor in self._roots}

    def tensor(self, grad: Array) -> Any:
        """Return the tensor of a gradient."""
        if self._recorded:
            return grad
        if id(grad) not in self._tensors:
            self._tensors[id(grad)] = grad, self._new(grad)
        return self._tensors[id(grad)][1]

    def _new(self, grad: Array) -> Any:
        wrapped = self._roots[0][1]._wrapped
        whole = owner(grad)
        if whole is grad or not isinstance(grad, np.ndarray):
            return wrapped(grad)
        view = wrapped(writable(grad))
        sources = [tensor for _, tensor in self._roots if owner(tensor._array) is whole]
        in_mode(False, partial(view._note_view, (sources or [wrapped(whole)])[0]))
        return view

    def hooked(self, node: Node, grad: Array) -> Any:
        """Return the tensor of a gradient, or what the hooks of its node make of it."""
        tensor = self.tensor(grad)
        for hook in () if is_nowhere(node) else [*node.hooks.values()]:
            replaced = in_mode(self._recorded, partial(hook, tensor))
            if replaced is not None:
                tensor = replacement(hook, replaced, node)
        if not self._recorded:
            self._tensors.setdefault(id(tensor._array), (tensor._array, tensor))
        return tensor


def replacement(hook: Callable[..., Any], given: Any, node: Node) -> Any:
    """Return what a hook returned in place of the gradient; raise where that cannot be one."""
    name = getattr(hook, "__name__", repr(hook))
    if not isinstance(given, TensorBase):
        raise TypeError(
            f"hook {name!r} returned a {type(given).__name__}: return a Tensor to replace the "
            "gradient, or None to leave it as it is"
        )
    if (given.shape, given.dtype) != (node.shape, node.dtype):
        raise RuntimeError(
            f"hook {name!r} has changed the size or type of the gradient: it has shape "
            f"{list(node.shape)} and dtype {node.dtype}, but a tensor of shape "
            f"{list(given.shape)} and dtype {given.dtype} was returned"
        )
    return given


def order_for(like: Any) -> list[int]:
    """Return the axes in their order in the memory of an array; if that has gaps, as they are."""
    axes = sorted(range(like.ndim), key=lambda axis: -like.strides[axis])
    return axes if np.transpose(like, axes).flags.c_contiguous else [*range(like.ndim)]


def warn_of_layout(grad: Any, like: Any) -> None:
    """Warn, as torch does, where a gradient is not laid out as its tensor is, or should be."""
    if not np.transpose(grad, order_for(like)).flags.c_contiguous:
        warnings.warn(
            "backward: grad and param do not obey the gradient layout contract: the grad that was "
            "there is in another order in memory than its tensor, which may take time",
            stacklevel=4,
        )


def laid_out(grad: Any, like: Any) -> Any:
    """Return a gradient in the memory layout of its tensor; if that has gaps, in index order."""
    axes = order_for(like)
    lined_up: Any = np.transpose(grad, axes)
    if lined_up._array.flags.c_contiguous:
        return grad
    flat = np.reshape(lined_up, (-1,))
    copy: Any = np.transpose(np.reshape(flat, lined_up.shape), np.argsort(axes).tolist())
    return copy._own()


def sequence(operation: str, what: str, given: Any) -> list[Any]:
    """Return one tensor or several as a list; raise a TypeError where it is neither."""
    if isinstance(given, TensorBase):
        return [given]
    try:
        return list(given)
    except TypeError:
        raise TypeError(
            f"{operation}: {what} must be a Tensor or a sequence of Tensors, not "
            f"{type(given).__name__}"
        ) from None


def sources(operation: str, inputs: Any) -> list[Any]:
    """Return one tensor or several, by which gradients are wanted, as a list."""
    tensors = sequence(operation, "inputs", inputs)
    if not tensors:
        raise RuntimeError(f"{operation}: inputs cannot be empty: name the tensors that are wanted")
    for x in tensors:
        if not isinstance(x, TensorBase):
            raise RuntimeError(
                f"{operation}: all inputs have to be Tensors, but got {type(x).__name__}"
            )
    return tensors


def rewrapped(wrapped: Callable[..., Any], value: Any, node: Node | None) -> Any:
    """Return a saved array as a tensor again, in its place on the tape; a frozen leaf has none."""
    tensor = None if node is None or node.variable is None else node.variable()
    if tensor is not None and node is not None and node.rule is None and tensor._node is not node:
        node = None
    return wrapped(value, node) if hasattr(value, "base") else value


def keep_gradient(node: Node, tensor: TensorBase) -> None:
    """Have `backward` keep the gradient of a node in the `grad` of its tensor."""
    if node.variable is None and node.rule is not None:
        node.variable = ref(tensor)
