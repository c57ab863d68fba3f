"""Tensors and modules whose arrays are of another type."""

from __future__ import annotations

from typing import TypeVar

import numpy as np

from minigrad.arrays.reproducible import ReproducibleArray
from minigrad.nn.module import Module
from minigrad.tensor import Tensor

Value = TypeVar("Value", bound=Tensor | Module)


def reproducible(value: Value) -> Value:
    """Make a module's parameters reproducible, in place, or return a reproducible copy of a tensor.

    A network and the data it is given must both be. The copy is a leaf; parameters lose their
    gradients, as with `Module.to`.

    Raises:
        TypeError: it is neither module nor tensor.
    """
    if isinstance(value, Module):
        for parameter in value.parameters():
            requires_grad = parameter.requires_grad
            parameter.__init__(reproducible(parameter.detach()), requires_grad)  # type: ignore[misc]
        return value
    if not isinstance(value, Tensor):
        raise TypeError(f"reproducible: expected a Module or a Tensor, not {type(value).__name__}")
    copy = Tensor(ReproducibleArray(np.array(value._array)))
    copy.requires_grad_(value.requires_grad)
    return copy  # type: ignore[return-value]
