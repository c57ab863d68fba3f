"""What is true of a tensor, and how far from it an engine's rounding may end."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from parity.checks.exact.creation import given, zeros_like
from parity.checks.exact.derivative import derivative
from parity.checks.exact.kinds import exactly, rounded
from parity.checks.exact.numbers import Numbers
from parity.checks.exact.tensor import Tensor
from parity.engines.protocol import Array

Function = Callable[[Mapping[str, Tensor]], Tensor]
"""A function of tensors by their names."""


class Truth(NamedTuple):
    """What is true of a tensor.

    Attributes:
        value: rounded once to the run's dtype.
        deviation: the standard deviation of the rounding error of an engine, float64.
    """

    value: Array
    deviation: Array


def truth(
    dtype: str, compute: Callable[[], Numbers | None], *, finite: bool = False
) -> Truth | None:
    """Return what a computation truly comes to; None if it takes too long, or itself gives None.

    Args:
        dtype: of the run.
        compute: it is run more than once, in numbers of several kinds.
        finite: whether numbers that are not finite are none. Finite numbers have such a derivative
            only where they have none, and there engines need not agree.
    """
    found = exactly(dtype, compute)
    if found is None or (finite and not np.isfinite(rounded(found.v, "longdouble")).all()):
        return None
    return Truth(rounded(found.v, dtype), found.s * (np.finfo(dtype).eps / 2))


def true_value(function: Function, inputs: Mapping[str, Array]) -> Truth | None:
    """Return what a function of named arrays, of one dtype but for ints and bools, comes to."""

    def compute() -> Numbers | None:
        output = function({name: given(array) for name, array in inputs.items()})
        return output.numbers if output.known else None

    return truth(_dtype(inputs), compute)


def true_gradient(
    function: Function, inputs: Mapping[str, Array], by: str, grad_out: Array
) -> Truth | None:
    """Return the derivative by each element of an input of Σ grad_out·output over all elements."""

    def compute() -> Numbers | None:
        tensors = {name: given(array) for name, array in inputs.items()}
        output = function(tensors)
        if not output.known:
            return None
        found = derivative((output * given(grad_out)).sum(), tensors[by])
        return zeros_like(tensors[by]).numbers if found is None else found

    return truth(_dtype(inputs), compute, finite=all_finite(grad_out, *inputs.values()))


def all_finite(*arrays: Array | None) -> bool:
    """Tell whether arrays, those that are given, have nothing but finite numbers."""
    return all(array is None or np.isfinite(array).all() for array in arrays)


def _dtype(inputs: Mapping[str, Array]) -> str:
    return str(np.result_type(*(array for array in inputs.values() if array.dtype.kind == "f")))
