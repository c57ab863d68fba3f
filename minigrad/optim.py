"""Stochastic gradient descent."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

import numpy as np

from minigrad.dtypes import DType
from minigrad.tape import Array, changed
from minigrad.tensor import Tensor


class SGD:
    """Takes each parameter a step against its gradient: p ← p - lr·grad.

    Args:
        params: the parameters, in place of which new values are written.
        lr: the learning rate.

    Raises:
        ValueError: there are no parameters, one is no leaf, or the learning rate is negative.
        TypeError: one of the parameters is no tensor, or they are a tensor and not several.
    """

    def __init__(self, params: Iterable[Tensor], lr: float = 1e-3) -> None:
        if isinstance(params, Tensor):
            raise TypeError(
                "SGD: params must be an iterable of Tensors, not a Tensor: give [tensor]"
            )
        self._parameters = list(params)
        if not self._parameters:
            raise ValueError("SGD: optimizer got an empty parameter list")
        for parameter in self._parameters:
            if not isinstance(parameter, Tensor):
                raise TypeError(
                    f"SGD: optimizer can only optimize Tensors, not {type(parameter).__name__}"
                )
            if not parameter.is_leaf:
                raise ValueError(
                    "SGD: can't optimize a non-leaf Tensor, one that an operation made: give the "
                    "tensor it was made from"
                )
        if not lr >= 0.0:
            raise ValueError(f"SGD: Invalid learning rate: {lr}; it must be at least 0")
        self.lr = lr

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients, or set them to zero."""
        for parameter in self._parameters:
            node = parameter._node
            if node is not None and node.grad is not None:
                node.grad = None if set_to_none else Tensor(np.zeros_like(parameter._array))

    def step(self) -> None:
        """Update every parameter that has a gradient."""
        arrays = []
        for parameter in self._parameters:
            node = parameter._node
            if node is not None and node.grad is not None:
                array = parameter._array
                np.subtract(
                    array, np.multiply(node.grad._array, _as_array(self.lr, array.dtype)), out=array
                )
                arrays.append(array)
        changed(*arrays)


@lru_cache
def _as_array(number: float, dtype: DType) -> Array:
    """Return a number as an array without axes: NumPy need not convert it at every call."""
    return np.asarray(number, dtype)
