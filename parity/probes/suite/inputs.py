"""What operations are given: values, shapes that broadcast, views, and gradients to begin with."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from parity.probes.probe import Draw, integers, twelve_bits
from parity.probes.suite.table import Shapes

VALUES: dict[str, tuple[float, ...]] = {
    "integers": (0.0, -0.0, 1.0, 2.0, 3.0, -1.0, -2.0, -3.0),
    "special": (math.nan, math.inf, -math.inf, 0.0, -0.0, 1.0, -2.0),
    "subnormal": tuple(k * 2.0**-149 for k in (1, -2, 3, -5)),
    "tiny": tuple(k * 2.0**-60 for k in (1, -2, 3, -5)),
    "huge": tuple(k * 2.0**40 for k in (1, -2, 3, -5)),
}
CUT: dict[str, Callable[[tuple[int, ...]], tuple[int, ...]]] = {
    "rows": lambda shape: (1, *shape[1:]),
    "columns": lambda shape: (*shape[:-1], 1),
    "axis": lambda shape: shape[1:],
    "all": lambda shape: (),
}


def stretched(shapes: Shapes, stretch: str) -> Shapes:
    """Return the shapes, of which one or both are cut to be broadcast."""
    if stretch == "crossed":
        return [CUT["columns"](shapes[0]), CUT["rows"](shapes[1])]
    if stretch != "none":
        which = "xyz".index(stretch[0])
        shapes[which] = CUT[stretch[2:]](shapes[which])
    return shapes


def view_of(shape: tuple[int, ...], memory: str) -> tuple[tuple[int, ...], Callable[[Any], Any]]:
    """Return the shape of a leaf, and what makes of it a tensor of `shape` in such memory."""
    if memory == "turned" and len(shape) > 1:
        return (shape[-1], *shape[1:-1], shape[0]), lambda leaf: leaf.transpose(0, -1)
    if memory == "stepped" and shape:
        return (2 * shape[0], *shape[1:]), lambda leaf: leaf[::2]
    return shape, lambda leaf: leaf


def drawn(values: str, name: str, shape: tuple[int, ...], domain: str) -> Draw:
    """Return what draws such values for a tensor."""
    if values.startswith("digits"):
        return twelve_bits(*shape) if values.endswith(name) else integers(*shape, below=4)

    def draw(rng: np.random.Generator) -> Any:
        if values in VALUES:
            found = rng.permuted(np.resize(VALUES[values], shape).reshape(-1)).reshape(shape)
        elif domain == "any":
            found = rng.standard_normal(shape)
        else:
            found = rng.uniform(0.5, 2, shape) * rng.choice([-1, 1], shape)
        if values == "equal" and found.ndim:
            found = found[[0] * len(found)]
        return np.abs(found) if domain == "positive" else found

    return draw


def given(lib: Any, out: Any, turn: int = 0) -> Any:
    """Return a gradient to begin with: odd numbers from -7 to 7, in no simple order."""
    numbers = (np.arange(out.numel()) * 37 + turn) % 101 % 8 * 2.0 - 7.0
    return lib.tensor(numbers.reshape(tuple(out.shape)), dtype=out.dtype)
