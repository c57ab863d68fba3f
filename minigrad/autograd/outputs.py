"""The outputs of one call of a user's function, as the one value that its node has."""

from collections.abc import Sequence
from functools import partial
from itertools import accumulate
from math import prod
from typing import Any, NamedTuple

import numpy as np

from minigrad.ops import Plan
from minigrad.tape import Node
from minigrad.tensor import Tensor


class Named(NamedTuple):
    """What a node calls its rule."""

    name: str
    torch_name: str


class Outputs:
    """What a call returned, and which of it has a derivative.

    A node has one value. So several outputs are flattened and joined to a vector, and each has a
    node of its own after that: its derivative puts a gradient in its place in the vector.

    Attributes:
        tensors: the outputs that have a derivative.
        value: the only one's array, or the vector of several.
    """

    def __init__(self, returned: Sequence[Any], constants: Sequence[Any]) -> None:
        self._places = [
            i
            for i, x in enumerate(returned)
            if isinstance(x, Tensor) and x.dtype.kind == "f" and not any(x is c for c in constants)
        ]
        self.tensors: list[Tensor] = [returned[i] for i in self._places]
        self._likes = [(x.shape, x.dtype) if isinstance(x, Tensor) else None for x in returned]
        ends = list(accumulate(prod(x.shape) for x in self.tensors))
        self._slices = [slice(*pair) for pair in zip([0, *ends], ends, strict=False)]
        arrays = [x._array for x in self.tensors]
        self.value: Any = arrays[0] if arrays else None
        if len(arrays) > 1:
            self.value = np.concatenate([np.reshape(x, (-1,)) for x in arrays])

    def part(self, vector: Any, number: int) -> Any:
        """Return an output's part of the value, or of the gradient by it."""
        if len(self._slices) == 1:
            return vector
        like = self._likes[self._places[number]]
        assert like is not None
        return np.astype(np.reshape(vector[self._slices[number]], like[0]), like[1])

    def gradients(self, grad_out: Tensor) -> list[Any]:
        """Return the gradient by each output: 0 by constants, None by what is no tensor."""
        found: list[Any] = [
            None if like is None else Tensor._wrapped(np.zeros(*like)) for like in self._likes
        ]
        for number, place in enumerate(self._places):
            found[place] = self.part(grad_out, number)
        return found

    def nodes(self, function: str, common: Node) -> list[Node]:
        """Return the node of each output, given that of the value."""
        if len(self.tensors) == 1:
            return [common]
        named = Named(function, common.name().removesuffix(SEVERAL))
        return [
            Node(named, [common], self._plan(i), [], x._array) for i, x in enumerate(self.tensors)
        ]

    def _plan(self, number: int) -> Plan:
        derivatives = [(0, partial(self._placed, number), lambda saved: saved)]
        return Plan([], tuple, (), derivatives, is_plain=True, is_released=False)

    def _placed(self, number: int, grad_out: Any) -> Any:
        """Return the gradient by the vector, which is 0 in the places of the others."""
        part, length = self._slices[number], self._slices[-1].stop
        before, after = (
            np.zeros_like(grad_out, shape=(n,)) for n in (part.start, length - part.stop)
        )
        return np.concatenate([before, np.reshape(grad_out, (-1,)), after])


SEVERAL = ".outputs"
"""How the name of the node of several outputs ends, which torch does without."""
