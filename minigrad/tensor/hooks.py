"""Functions that are called with a tensor's gradient and may replace it."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Any

from minigrad.tape import Array, Node
from minigrad.tensor.base import is_tensor


class RemovableHandle:
    """A hook in its place: `remove()` or the end of a `with` block takes it away."""

    def __init__(self, node: Node, hook: Callable[[Array], Array]) -> None:
        self._node = node
        self._hook = hook
        node.hooks = [*node.hooks, hook]

    def remove(self) -> None:
        """Take the hook away; a second time, nothing is done."""
        self._node.hooks = [kept for kept in self._node.hooks if kept is not self._hook]

    def __enter__(self) -> RemovableHandle:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.remove()


def replacement(hook: Callable[..., Any], given: Any, node: Node) -> Any:
    """Return what a hook returned in place of the gradient, if that can be one.

    Raises:
        TypeError: it is no tensor.
        RuntimeError: its shape or dtype is not the gradient's.
    """
    name = getattr(hook, "__name__", repr(hook))
    if not is_tensor(given):
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
