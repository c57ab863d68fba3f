"""Whether a tensor is recorded, its gradient, and the hooks that see the gradient."""

import itertools
import warnings
from collections.abc import Callable
from typing import Any, Self

from minigrad import tape
from minigrad.tensor.backward import Differentiable
from minigrad.tensor.base import TensorBase
from minigrad.tensor.passing import keep_gradient
from minigrad.tensor.views import OUTDATED, is_nowhere, nowhere, root_of, views_of


class RemovableHandle:
    """A registered hook: `remove()`, or the end of a `with` block, removes it.

    Args:
        owner, name: whose attribute has the hooks, a dict by the number of each registration.
        hook: the hook, which may be registered several times.
        prepend: whether to have it called before the others.
    """

    _numbers = itertools.count()

    def __init__(self, owner: Any, name: str, hook: Any, prepend: bool = False) -> None:
        if not getattr(owner, name):
            setattr(owner, name, {})
        self._hooks, self._number = getattr(owner, name), next(self._numbers)
        earlier = [*self._hooks] if prepend else []
        self._hooks[self._number] = hook
        for number in earlier:
            self._hooks[number] = self._hooks.pop(number)

    def remove(self) -> None:
        """Remove the hook; a second call does nothing."""
        self._hooks.pop(self._number, None)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.remove()


class Recorded(Differentiable):
    """Recording and gradients of `Tensor`, under torch's names."""

    @property
    def requires_grad(self) -> bool:
        """Whether operations on this tensor are recorded."""
        return self._node is not None

    @requires_grad.setter
    def requires_grad(self, value: bool) -> None:
        if value is True and not self.is_leaf:
            raise RuntimeError(
                "requires_grad: you can only change requires_grad flags of leaf variables, and "
                f"{self.grad_fn} made this tensor: it requires a gradient in any case"
            )
        self.requires_grad_(value)

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Switch recording on or off for a leaf and for its views, in place.

        As in torch, a view requires a gradient at least as long as what it is a view of does. But
        unless a recorded operation made it, or it was switched on itself, that goes nowhere.

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
        node, base = self._node, self._base
        is_own = node is not None and not is_nowhere(node)
        if requires_grad and self.is_leaf and not is_own:
            self._node, self._frozen = self._frozen or tape.leaf(self), None
            self._node.strides = self._array.strides
        elif not requires_grad and is_own:
            self._node, self._frozen = None, node
            if root_of(self)._node is not None and base is not None:
                self._node = nowhere(self._array)
        if base is None:
            self._have_views_follow()
        return self

    def _have_views_follow(self) -> None:
        """Have views require a gradient if this does: those that are leaves on no other ground."""
        for view in views_of(self):
            if self._node is not None and view._node is None:
                has_changed = tape.changes.last(view._array) > view._made
                view._node = OUTDATED if has_changed else nowhere(view._array)
            elif self._node is None and is_nowhere(view._node):
                view._node = None

    @property
    def grad(self) -> Self | None:
        """The gradient that `backward` accumulated, a tensor of the same shape and dtype."""
        grad: Self | None = self._grad
        if grad is None and not self.is_leaf and not self.retains_grad:
            warnings.warn(
                "the .grad of a tensor that is not a leaf is not kept: call .retain_grad() on it "
                "before backward() if it is wanted",
                stacklevel=2,
            )
        return grad

    @grad.setter
    def grad(self, value: TensorBase | None) -> None:
        if value is not None and not isinstance(value, TensorBase):
            raise TypeError(f"grad must be a Tensor or None, not {type(value).__name__}")
        if value is self:
            raise RuntimeError("grad: can't assign a tensor as its own gradient: use its clone()")
        if value is not None and (value.shape, value.dtype) != (self.shape, self.dtype):
            raise RuntimeError(
                f"grad must have its tensor's shape {list(self.shape)} and dtype {self.dtype}, "
                f"not {list(value.shape)} and {value.dtype}"
            )
        self._grad = value

    @grad.deleter
    def grad(self) -> None:
        self._grad = None

    @property
    def retains_grad(self) -> bool:
        """Whether `retain_grad` has been called on this tensor, and it is not a leaf."""
        return self._node is not None and not self.is_leaf and self._node.variable is not None

    def detach_(self) -> Self:
        """Forget the history, in place: the tensor is a leaf that requires no gradient.

        Raises:
            RuntimeError: it is a view.
        """
        if self._base is not None:
            raise RuntimeError(
                "detach_: Can't detach views in-place: what they are views of would keep its "
                "history. Use detach() instead."
            )
        if self.is_leaf:
            return self.requires_grad_(False)
        self._node = None
        return self

    def _zero_grad(self, set_to_none: bool) -> None:
        """Forget the gradient, or set it to zero in place."""
        if set_to_none:  # without a look: nothing depends on it
            self._grad = None
        elif (grad := self._grad) is not None:
            (grad.requires_grad_(False) if grad.is_leaf else grad.detach_()).zero_()

    def retain_grad(self) -> None:
        """Have `backward` keep the `.grad` of this tensor although it is not a leaf.

        Raises:
            RuntimeError: the tensor requires no gradient.
        """
        keep_gradient(self._recorded("retain_grad"), self)

    def register_hook(self, hook: Callable[[Self], TensorBase | None]) -> RemovableHandle:
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
        return RemovableHandle(self._recorded("register_hook"), "hooks", hook)
