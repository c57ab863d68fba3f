"""Tensors and modules whose arrays are of another type."""

from collections.abc import Callable
from typing import TypeVar

import numpy as np

from minigrad.arrays.budgeted import BudgetedArray
from minigrad.arrays.reproducible import ReproducibleArray
from minigrad.nn.module import Module
from minigrad.tape import Array
from minigrad.tensor import Tensor

Value = TypeVar("Value", bound=Tensor | Module)


def budgeted(value: Value) -> Value:
    """Make a module's parameters budgeted, in place, or return a budgeted copy of a tensor.

    Their values count as exact. A network and the data it is given should both be budgeted, but
    plain arrays beside budgeted ones count as exact, too. The copy is a leaf; parameters lose
    their gradients, as with `Module.to`.

    Raises:
        TypeError: it is neither module nor tensor.
    """
    return _converted("budgeted", value, BudgetedArray)


def reproducible(value: Value) -> Value:
    """Make a module's parameters reproducible, in place, or return a reproducible copy of a tensor.

    A network and the data it is given must both be. The copy is a leaf; parameters lose their
    gradients, as with `Module.to`.

    Raises:
        TypeError: it is neither module nor tensor.
    """
    return _converted("reproducible", value, ReproducibleArray)


def _converted(name: str, value: Value, array_type: Callable[[Array], Array]) -> Value:
    if isinstance(value, Module):
        for parameter in value.parameters():
            requires_grad = parameter.requires_grad
            converted = _converted(name, parameter.detach(), array_type)
            parameter.__init__(converted, requires_grad)  # type: ignore[misc]
        return value
    if not isinstance(value, Tensor):
        raise TypeError(f"{name}: expected a Module or a Tensor, not {type(value).__name__}")
    copy = Tensor._wrapped(array_type(np.array(value._array)))
    copy.requires_grad_(value.requires_grad)
    return copy  # type: ignore[return-value]
