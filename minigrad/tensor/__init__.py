"""`Tensor`: an array together with the node of the tape that made it."""

from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar, cast

from minigrad.tensor.products import MatrixProducts
from minigrad.tensor.protocols import Protocols
from minigrad.tensor.reduction import Reductions
from minigrad.tensor.size import Size
from minigrad.tensor.strides import Strides

__all__ = ["Size", "Tensor", "function"]

P = ParamSpec("P")
R = TypeVar("R")


class Tensor(Protocols, MatrixProducts, Strides, Reductions):
    """An array that remembers how it was computed, with torch's names and semantics.

    Make one with `minigrad.tensor`. It wraps the array it is given, without a copy: an ndarray,
    or any array type that implements the calls in `minigrad.vocabulary`.

    Each operation is written once, in a class of this room. Its first parameter is called `input`,
    as in torch's functions, so the same object serves as `tensor.sum(dim=0)` and as
    `minigrad.sum(tensor, dim=0)`. What is done there is what a rule leaves to its caller: torch's
    argument forms, checks, type promotion.

    Raises:
        TypeError: it is given something else.
    """

    __slots__ = ()


def function(method: Callable[P, R]) -> Callable[P, R]:
    """Return a method of `Tensor` as a function that checks its first argument."""
    run: Any = method
    name = method.__name__

    @wraps(run)
    def call(input: Any, *arguments: Any, **options: Any) -> Any:
        if not isinstance(input, Tensor):
            raise TypeError(f"{name}: input must be a Tensor, not {type(input).__name__}")
        return run(input, *arguments, **options)

    call.__qualname__ = name
    return cast(Callable[P, R], call)
