"""Operations on corresponding elements, one by one: every rule, and every derivative."""

from typing import Any

from parity.probes.probe import away_from_zero, distinct, given, integers, normal, positive, probe
from parity.probes.suite import singly


@probe(exact=True, x=given(-2.0, -1.0, 0.0, 1.0, 2.0), y=given(1.0, -1.0, 0.0, 1.0, -2.0))
def comparisons(lib: Any, inputs: Any, note: Any) -> None:
    """Each comparison where it is less, equal and greater, of tensors and of numbers."""
    x, y = inputs.values()
    note("==", x == y)
    note("!=", x != y)
    note("<", x < y)
    note("<=", x <= y)
    note(">", x > y)
    note(">=", x >= y)
    note("< 1", x < 1)
    note("0 <=", 0 <= x)  # noqa: SIM300 - which calls x's __ge__


@probe(exact=True, x=integers(3, 4), y=integers(3, 4))
def arithmetic(lib: Any, inputs: Any, note: Any) -> None:
    """Sums, differences, products: of integers, so that nothing may be off by a single bit."""
    calls = {
        "x + y": lambda x, y: x + y,
        "x - y": lambda x, y: x - y,
        "x·y": lambda x, y: x * y,
        "add with alpha": lambda x, y: lib.add(x, y, alpha=2),
        "sub with alpha": lambda x, y: x.sub(y, alpha=3),
    }
    singly(lib, note, calls, *inputs)


@probe(exact=True, x=integers(3, 4))
def arithmetic_with_numbers(lib: Any, inputs: Any, note: Any) -> None:
    """The same with a number on either side."""
    calls = {
        "-x": lambda x: -x,
        "x + 2": lambda x: x + 2,
        "2 - x": lambda x: 2 - x,
        "0.5·x": lambda x: 0.5 * x,
        "x/4": lambda x: x / 4,
    }
    singly(lib, note, calls, *inputs)


@probe(x=normal(3, 4), y=away_from_zero(3, 4))
def products_and_quotients(lib: Any, inputs: Any, note: Any) -> None:
    """Numbers with all their digits."""
    calls = {"x·y": lambda x, y: x * y, "x/y": lambda x, y: x / y, "x - y": lambda x, y: x - y}
    singly(lib, note, calls, *inputs)
    singly(lib, note, {"2/y": lambda y: 2 / y, "y/3": lambda y: y / 3}, "y")


@probe(x=positive(3, 4), y=normal(3, 4))
def powers_of_tensors(lib: Any, inputs: Any, note: Any) -> None:
    """A tensor, and a number, to the power of a tensor."""
    singly(lib, note, {"x**y": lambda x, y: x**y}, "x", "y")
    singly(lib, note, {"2**y": lambda y: 2**y}, "y")


@probe(x=positive(4))
def powers_with_numbers(lib: Any, inputs: Any, note: Any) -> None:
    """The exponents that have a function of their own, and others."""
    for exponent in (0, 0.5, -0.5, 1, 2, 3, -1, -1.5):
        singly(lib, note, {f"x**{exponent}": lambda x, n=exponent: x**n}, "x")


@probe(x=positive(3, 4))
def exponential_logarithm_root(lib: Any, inputs: Any, note: Any) -> None:
    """Functions of a mathematics library."""
    singly(lib, note, {"exp": lib.exp, "log": lib.log, "sqrt": lib.sqrt}, *inputs)


@probe(x=normal(3, 4))
def saturating_functions(lib: Any, inputs: Any, note: Any) -> None:
    """Tanh, sigmoid and other activations where they are steep."""
    functional = lib.nn.functional
    calls = {
        "tanh": lib.tanh,
        "sigmoid": lib.sigmoid,
        "leaky_relu": lambda x: functional.leaky_relu(x, 0.2),
        "softplus": lambda x: functional.softplus(x, 1.5, 1.0),
    }
    singly(lib, note, calls, *inputs)


@probe(x=normal(3, 4), y=normal(3, 4))
def robust_losses(lib: Any, inputs: Any, note: Any) -> None:
    """Losses that grow in proportion to a large error."""
    functional = lib.nn.functional
    calls = {
        "l1_loss": lambda x, y: functional.l1_loss(x, y, reduction="sum"),
        "huber_loss": lambda x, y: functional.huber_loss(x, y, "none", 0.75),
        "huber_loss, mean": lambda x, y: functional.huber_loss(x, y, delta=0.75),
        "smooth_l1_loss": lambda x, y: functional.smooth_l1_loss(x, y, reduction="sum", beta=0.75),
    }
    singly(lib, note, calls, *inputs)


@probe(exact=True, x=integers(3, 4))
def square_magnitude_rectifier(lib: Any, inputs: Any, note: Any) -> None:
    """Squares, absolute values, ReLU and copies."""
    calls = {"square": lib.square, "abs": lib.abs, "relu": lib.relu, "clone": lib.clone}
    singly(lib, note, calls, *inputs)


@probe(exact=True, x=distinct(3, 4), y=distinct(3, 4, beside=0.5), w=integers(3, 4))
def choices(lib: Any, inputs: Any, note: Any) -> None:
    """Each element is one of two, and so is the way of its gradient."""
    w = inputs["w"]
    calls = {
        "maximum": lib.maximum,
        "minimum": lib.minimum,
        "where": lambda x, y: lib.where(w > 0, x, y),
        "where with a number": lambda x, y: lib.where(w > 0, x, 2.0) + lib.where(w > 0, 3.0, y),
    }
    singly(lib, note, calls, "x", "y")


@probe(exact=True, x=integers(3, 4), w=integers(3, 4))
def conversions(lib: Any, inputs: Any, note: Any) -> None:
    """Gradients pass between floats and come back in their tensor's dtype; integers end them."""
    x, w = inputs.values()
    calls = {
        "to single": lambda x: x.float(),
        "to double": lambda x: x.double(),
        "there and back": lambda x: x.double().float().to(x.dtype),
        "mask as factor": lambda x: x * (w > 0),
        "integer as factor": lambda x: x * w.long(),
        "two dtypes": lambda x: x.float() * w.double(),
    }
    singly(lib, note, calls, "x")
    note("truncated", (x * 0.5).long())
    note("mask counted", (x > 0).sum(0))
    note("integers divided", x.long() / 4)
    note("integers equal", x.long() == w.long())
    note("sum of integers", x.long().sum(0))
