"""Random numbers: what is drawn, how many, and after how many; and the generator's state."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from parity.probes.covering import Row
from parity.probes.family import Family
from parity.probes.probe import Probe, integers, probe

Fill = Callable[[Any, Any, Any], Any]

CALLS: dict[str, Fill] = {
    "rand": lambda lib, n, of: lib.rand(n, **of),
    "randn": lambda lib, n, of: lib.randn(n, **of),
    "uniform_": lambda lib, n, of: filled(lib, n, of).uniform_(-0.3, 0.7, **chosen(of)),
    "normal_": lambda lib, n, of: filled(lib, n, of).normal_(0.5, 0.25, **chosen(of)),
    "init_uniform": lambda lib, n, of: lib.nn.init.uniform_(
        filled(lib, n, of), -1, 3, **chosen(of)
    ),
    "init_normal": lambda lib, n, of: lib.nn.init.normal_(filled(lib, n, of), 2, 0.3, **chosen(of)),
    "kaiming_uniform": lambda lib, n, of: lib.nn.init.kaiming_uniform_(
        filled(lib, n, of).reshape(-1, 1), a=math.sqrt(5), **chosen(of)
    ),
    "kaiming_normal": lambda lib, n, of: lib.nn.init.kaiming_normal_(
        filled(lib, n, of).reshape(1, -1), mode="fan_out", nonlinearity="tanh", **chosen(of)
    ),
}
"""Called with the library, a count, and the dtype and perhaps generator."""

COUNTS = (7, 1, 2, 15, 16, 17, 37, 311, 312, 313, 623, 624, 625, 1300)
DIMENSIONS: dict[str, tuple[Any, ...]] = {
    "call": tuple(CALLS),
    "count": COUNTS,
    "before": (0, 1, 2, 310, 312, 622, 623, 624, 625, 1247),
    "then": tuple(CALLS),
    "many": (1, 2, 5, 16, 33, 625),
    "generator": ("global", "own"),
    "between": ("nothing", "state", "seeded", "other"),
    "seed": ("drawn", 0, 1, 2**32 - 1, 2**32, 2**64 - 1),
}
"""How random numbers are drawn.

    before      how many are drawn in single precision first; a refill is of 624 words
    then, many  what is drawn after it, and how many
    between     the two: the generator's state is taken away and put back; it is seeded anew;
                another one is used
"""


def filled(lib: Any, count: int, of: dict[str, Any]) -> Any:
    """Return a tensor to be written to."""
    return lib.full((count,), 9.0, dtype=of["dtype"])


def chosen(of: dict[str, Any]) -> dict[str, Any]:
    """Return the generator alone."""
    return {name: value for name, value in of.items() if name == "generator"}


def make(
    call: str,
    count: int,
    before: int,
    then: str,
    many: int,
    generator: str,
    between: str,
    seed: int | str,
) -> Probe:
    """Return the probe of one choice."""

    def function(lib: Any, inputs: dict[str, Any], note: Any) -> None:
        dtype = inputs["seed"].dtype
        start = abs(int(inputs["seed"].item())) if seed == "drawn" else seed
        own = lib.Generator() if generator == "own" else lib.default_generator
        own.manual_seed(start)
        of = {"dtype": dtype, **({"generator": own} if generator == "own" else {})}
        lib.rand(before, **{**of, "dtype": lib.float32})
        state = own.get_state()
        note("first", CALLS[call](lib, count, of), gradient=False)
        if between == "state":
            own.set_state(state)
        if between == "seeded":
            own.manual_seed(start)
        if between == "other":
            lib.Generator().manual_seed(start)
            lib.randn(1, generator=lib.Generator().manual_seed(3))
        note("second", CALLS[then](lib, many, of), gradient=False)
        words = np.asarray(own.get_state()).view(np.int32).astype(np.int64)
        note("state", lib.tensor(words), gradient=False)

    return Probe(function, {"seed": integers(1, below=2**20)}, True)


@probe(exact=True, seed=integers(1, below=2**20))
def initial_values(lib: Any, inputs: Any, note: Any) -> None:
    """What is drawn for a new layer, the initialisers without chance, and spaced numbers."""
    seed, dtype = abs(int(inputs["seed"].item())), inputs["seed"].dtype
    lib.manual_seed(seed)
    init = lib.nn.init
    for name, sizes in {"wide": (1, 16), "square": (16, 16), "narrow": (7, 1)}.items():
        layer = lib.nn.Linear(*sizes, dtype=dtype)
        note(f"{name} weight", layer.weight, gradient=False)
        note(f"{name} bias", layer.bias, gradient=False)
    without = lib.nn.Linear(3, 2, bias=False, dtype=dtype)
    note("weight without bias", without.weight, gradient=False)
    for name, fill in {
        "zeros_": init.zeros_,
        "ones_": init.ones_,
        "constant_": lambda w: init.constant_(w, 0.3),
        "kaiming_uniform_": init.kaiming_uniform_,
        "kaiming_uniform_, fan_out, relu": lambda w: init.kaiming_uniform_(
            w, mode="fan_out", nonlinearity="relu"
        ),
        "kaiming_normal_": init.kaiming_normal_,
        "xavier_uniform_": init.xavier_uniform_,
        "xavier_normal_": lambda w: init.xavier_normal_(w, 1.5),
    }.items():
        note(name, fill(lib.full((5, 3), 9.0, dtype=dtype)))
    for steps in (1, 2, 3, 100):
        note(f"{steps} spaced", lib.linspace(-5, 5, steps, dtype=dtype))
    note("counted", lib.arange(-1.0, 1.0, 0.125, dtype=dtype))


def size_of(row: Row) -> int:
    """Return how much is drawn."""
    return int(row["count"] + row["before"] + row["many"])


FAMILY = Family("draws", DIMENSIONS, make, size=size_of)
