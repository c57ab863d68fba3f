"""`Tensor`: an array together with the node of the tape that made it."""

from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar, cast

import numpy as np

from minigrad.dtypes import get_default_dtype
from minigrad.tensor.clamping import Clamping
from minigrad.tensor.data import flattened, numbers
from minigrad.tensor.extrema import Extrema
from minigrad.tensor.products import MatrixProducts
from minigrad.tensor.protocols import Protocols
from minigrad.tensor.reduction import Reductions
from minigrad.tensor.shape import fitting, varargs
from minigrad.tensor.size import Size
from minigrad.tensor.strides import Strides

__all__ = ["Size", "Tensor", "function"]

P = ParamSpec("P")
R = TypeVar("R")


class Tensor(Protocols, MatrixProducts, Clamping, Extrema, Strides, Reductions):
    """An array that remembers how it was computed, with torch's names and semantics.

    Make one with `minigrad.tensor`. As in torch, `Tensor([1, 2])` and `Tensor(ndarray)` have the
    default dtype, and share the memory of an array of it; `Tensor(2, 3)` has that shape, and values
    that are not set. Any other array type that implements the calls in `minigrad.vocabulary` is
    wrapped as it is.

    Each operation is written once, in a class of this room. Its first parameter is called `input`,
    as in torch's functions, so the same object serves as `tensor.sum(dim=0)` and as
    `minigrad.sum(tensor, dim=0)`. What is done there is what a rule leaves to its caller: torch's
    argument forms, checks, type promotion.

    Raises:
        TypeError: it is given something else.
    """

    __slots__ = ()

    def __init__(self, *data: Any) -> None:
        super().__init__(constructed(data))


def constructed(data: tuple[Any, ...]) -> Any:
    """Return the array that `Tensor(*data)` wraps."""
    if len(data) == 1 and isinstance(data[0], (list, tuple)) and not isinstance(data[0], Size):
        parts, shape, _ = flattened(data[0])
        return numbers(parts, get_default_dtype()).reshape(shape)
    if all(isinstance(length, int) for length in data) or isinstance(data[0], Size):
        return np.empty(fitting("Tensor", varargs("Tensor", data or (0,))), get_default_dtype())
    array = data[0]
    kind = array.dtype.kind if isinstance(array, (np.ndarray, np.generic)) else "f"
    if len(data) > 1 or isinstance(array, np.generic) or kind not in "biuf":
        raise TypeError("Tensor: expected a sequence of numbers, ints for the shape, or an array")
    if isinstance(array, np.ndarray):
        return np.asarray(array).astype(get_default_dtype(), copy=False)
    return array


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
