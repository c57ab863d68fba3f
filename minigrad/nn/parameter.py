"""`Parameter`: a tensor that a module trains."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.tensor import Tensor
from minigrad.tensor.base import require_tensor


class Parameter(Tensor):
    """A leaf tensor that requires a gradient and that a `Module` finds among its attributes."""

    __slots__ = ()

    def __init__(self, data: Tensor, requires_grad: bool = True) -> None:
        super().__init__(require_tensor("Parameter", data)._array)
        self.requires_grad_(requires_grad)

    def __deepcopy__(self, memo: dict[int, Any]) -> Parameter:
        """Copy the values; the copy starts without a gradient, as torch's does."""
        return type(self)(Tensor(np.copy(self._array)), self.requires_grad)

    def __repr__(self) -> str:
        return f"Parameter containing:\n{super().__repr__()}"
