"""`Probe`: a small graph, the numbers it is given, and how it is to be judged."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np

from parity.engines.protocol import Array

Draw = Callable[[np.random.Generator], Array]
"""Draws the values of an input, in float64."""

Function = Callable[[Any, dict[str, Any], Any], Any]
"""Called as `function(lib, inputs, note)`; see `parity.probes`."""


@dataclass(frozen=True)
class Probe:
    """A function in torch's names that runs on every engine which has them.

    Attributes:
        function: the probe; its docstring says what a wrong engine may do wrong here.
        inputs: what draws the values of its inputs, by their names.
        exact: every value is the same number in any correct engine, however it rounds and in
            whatever order it sums: of small integers, draws, copies, ties, NaN and infinities.
        ulps: by how many units in the last place two correct engines may differ, where every value
            is a function of given numbers alone. 0 for what is judged by the budget, which the
            formula that loses digits would widen.
        name: of the function, or the one in its family.
    """

    function: Function
    inputs: dict[str, Draw]
    exact: bool
    ulps: int = 0
    name: str = ""

    def draw(self, dtype: str, seed: int) -> dict[str, Array]:
        """Return the values of the inputs; other probes make no difference to them."""
        rng = np.random.default_rng([seed, *self.name.encode()])
        return {name: draw(rng).astype(dtype) for name, draw in self.inputs.items()}


def probe(*, exact: bool = False, ulps: int = 0, **inputs: Draw) -> Callable[[Function], Probe]:
    """Make a probe of a function, which is given these inputs, each a leaf with a gradient."""
    return lambda function: Probe(function, inputs, exact, ulps, function.__name__)


def probes_of(modules: Iterable[ModuleType]) -> dict[str, Probe]:
    """Return the probes written in modules, in their order."""
    return {
        value.name: value
        for module in modules
        for value in vars(module).values()
        if isinstance(value, Probe)
    }


# ---- what inputs are drawn from -----------------------------------------------------------------


def normal(*shape: int) -> Draw:
    """Standard normal numbers."""
    return lambda rng: rng.standard_normal(shape)


def positive(*shape: int) -> Draw:
    """Numbers from 0.5 to 2, where logarithms and powers have bounded slopes."""
    return lambda rng: rng.uniform(0.5, 2, shape)


def away_from_zero(*shape: int) -> Draw:
    """Numbers from 0.5 to 2 of either sign, to divide by."""
    return lambda rng: rng.uniform(0.5, 2, shape) * rng.choice([-1, 1], shape)


def integers(*shape: int, below: int = 16) -> Draw:
    """Integers other than 0 whose magnitude is less than `below`: sums of products are exact."""
    return lambda rng: rng.integers(1, below, shape) * rng.choice([-1.0, 1.0], shape)


def twelve_bits(*shape: int) -> Draw:
    """Odd integers of twelve bits, of either sign; float16 and TF32 have eleven."""
    return lambda rng: (2 * rng.integers(1024, 2048, shape) + 1) * rng.choice([-1.0, 1.0], shape)


def distinct(*shape: int, beside: float = 0.0) -> Draw:
    """Integers that are all different: no ties; `beside` is added to them all."""
    size = int(np.prod(shape))
    return lambda rng: rng.permutation(np.arange(size) - size // 2 + beside).reshape(shape)


def given(*values: Any) -> Draw:
    """Return these values, whatever the seed."""
    return lambda rng: np.array(values, np.float64)
