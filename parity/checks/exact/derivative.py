"""Derivatives: what a tensor was computed by is run again with dual numbers."""

import numpy as np

from parity.checks.exact.dual import Dual
from parity.checks.exact.kinds import current, make
from parity.checks.exact.numbers import Numbers
from parity.checks.exact.tensor import Tensor, ancestors


def depends(output: Tensor, by: Tensor) -> list[Tensor]:
    """Return the tensors through which an output depends on another, in the order of computing."""
    found, through = [], {id(by)}
    for tensor in ancestors(output):
        if not tensor.constant and any(id(parent) in through for parent in tensor.parents):
            through.add(id(tensor))
            found.append(tensor)
    return found if id(output) in through else []


def derivative(output: Tensor, by: Tensor) -> Numbers | None:
    """Return the derivative of a scalar by each element of a tensor; None if there is none."""
    path = depends(output, by)
    if not path:
        return None
    number, run = output.numbers, current()
    assert number.v.size == 1
    if run.kind == "counted":
        run.products += 2 * by.numel() * sum(tensor.products for tensor in path)
        run.calls += 2 * by.numel() * sum(tensor.calls for tensor in path)
    values, deviations = np.empty(by.shape, by.numbers.v.dtype), np.zeros(by.shape)
    for index in np.ndindex(by.shape if run.kind != "counted" else (0,)):
        seed = make(np.zeros(by.shape))
        seed[index] += 1
        duals = {id(by): Dual(by.numbers, Numbers(seed))}
        for tensor in path:
            duals[id(tensor)] = tensor.run(lambda t: duals.get(id(t)) or Dual(t.numbers))  # noqa: B023
        found = duals[id(output)].d
        if found is None:  # it depends on nothing but comparisons
            return None
        values[index], deviations[index] = found.v.reshape(())[()], found.s.reshape(())[()]
    return Numbers(np.zeros(by.shape) if run.kind == "counted" else values, lambda: deviations)
