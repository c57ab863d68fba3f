"""The methods that change a tensor in place."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from minigrad.arguments import Mixin, Number, is_tensor, require_tensor
from minigrad.grad_mode import grad_mode
from minigrad.keys import complaint, plain_key
from minigrad.ops import RULES

if TYPE_CHECKING:
    from minigrad.tensor import Tensor

WHERE = RULES["where"]


class InPlace(Mixin):
    """In-place operations of `Tensor` under torch's names."""

    __slots__ = ()

    def add_(input, other: Any, *, alpha: Number = 1) -> Tensor:
        """Input += alpha·other."""
        return input._in_place(lambda x: x.add(other, alpha=alpha))

    def sub_(input, other: Any, *, alpha: Number = 1) -> Tensor:
        """Input -= alpha·other."""
        return input._in_place(lambda x: x.sub(other, alpha=alpha))

    def mul_(input, other: Any) -> Tensor:
        """Input *= other."""
        return input._in_place(lambda x: x.mul(other))

    def div_(input, other: Any) -> Tensor:
        """Input /= other."""
        return input._in_place(lambda x: x.div(other))

    def copy_(input, other: Any) -> Tensor:
        """Take over the values of other, broadcast and converted to this dtype.

        Raises:
            TypeError: other is neither tensor nor number.
            RuntimeError: its shape does not fit.
        """
        if isinstance(other, (int, float)):
            return input.fill_(other)
        require_tensor("copy_", other)
        require_fit("copy_", other.shape, input.shape)
        return input._in_place(lambda x: x._apply(WHERE, True, other.to(x.dtype), x))

    def fill_(input, value: Any) -> Tensor:
        """Set every element to a number, or to the value of a tensor without axes.

        Raises:
            TypeError: the value is neither.
            RuntimeError: it is a tensor with axes.
        """
        if is_tensor(value):
            if value.ndim != 0:
                raise RuntimeError(
                    f"fill_: only a tensor of no axes can be the value, not one of shape "
                    f"{list(value.shape)}: use copy_"
                )
            return input.copy_(value)
        if not isinstance(value, (int, float)):
            raise TypeError(f"fill_: expected a number or a tensor, not {type(value).__name__}")
        number = input.dtype.type(value).item()
        return input._in_place(lambda x: x._apply(WHERE, True, number, x))

    def zero_(input) -> Tensor:
        """Set every element to 0."""
        return input.fill_(0)

    def __setitem__(input, key: Any, value: Any) -> None:
        if not is_tensor(value) and not isinstance(value, (int, float)):
            raise TypeError(
                f"index assignment: can't assign a {type(value).__name__} to a Tensor: "
                "make a tensor of it first"
            )
        plain = plain_key(key)
        try:
            place = input._array[plain].shape
        except IndexError as error:
            raise IndexError(complaint(error, input.shape)) from error
        if is_tensor(value):
            extra = max(value.ndim - len(place), 0)
            if extra and value.shape[:extra] == (1,) * extra:
                value = value.reshape(value.shape[extra:])
            require_fit("index assignment", value.shape, place)
        if grad_mode.enabled and (input.requires_grad or getattr(value, "requires_grad", False)):
            input._in_place(lambda x: x._apply(RULES["index_put"], x, value, key=plain))
        else:
            input._write(plain, value._array if is_tensor(value) else value)

    __iadd__, __isub__, __imul__, __itruediv__ = add_, sub_, mul_, div_


def require_fit(operation: str, shape: Sequence[int], place: Sequence[int]) -> None:
    """Check that values of `shape` can be broadcast to `place`.

    Raises:
        RuntimeError: they cannot.
    """
    lengths = zip(reversed(shape), reversed(place), strict=False)
    if len(shape) > len(place) or any(n not in (1, m) for n, m in lengths):
        raise RuntimeError(
            f"{operation}: values of shape {list(shape)} do not fit the place of shape "
            f"{list(place)}: counted from the last axis, each length must be the same or 1"
        )
