"""The array types that a step can be recorded on: ndarrays, and reproducible arrays around them.

A program knows memory alone. What is left of reproducible arithmetic in it are the functions of
some of its calls, see `Reproduced`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from minigrad.arrays.reproducible import ReproducibleArray

ARRAYS = (np.ndarray, ReproducibleArray)


@dataclass(frozen=True)
class Reproduced:
    """A function of NumPy as reproducible arrays answer it.

    Attributes:
        function: it is called with reproducible arrays in place of the arrays.
    """

    function: Callable[..., Any]


Function: TypeAlias = Callable[..., Any] | Reproduced
"""What a call is to."""


def numpy_function(function: Function) -> Callable[..., Any]:
    """Return the function of NumPy that a call is to, whoever answers it."""
    return function.function if isinstance(function, Reproduced) else function


def memory_of(array: Any) -> Any:
    """Return the ndarray that holds an array's values."""
    return array._array if isinstance(array, ReproducibleArray) else array


def like(array: Any, memory: Any) -> Any:
    """Return an ndarray as an array of the same type as another."""
    return ReproducibleArray(memory) if isinstance(array, ReproducibleArray) else memory


def is_reproducible(array: Any) -> bool:
    """Return whether this is a reproducible array, or a recording of one."""
    return isinstance(getattr(array, "_wrapped", array), ReproducibleArray)
