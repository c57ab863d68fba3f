"""Kinks, ties, and numbers that are not finite: where only one answer is torch's."""

import math
from functools import partial
from typing import Any

from parity.probes.probe import given, integers, probe
from parity.probes.suite import singly

NOT_FINITE = given(math.nan, math.inf, -math.inf, 0.0, -0.0, 1.0, -2.0)


@probe(exact=True, x=given(-1.0, -0.0, 0.0, 2.0))
def kinks_at_zero(lib: Any, inputs: Any, note: Any) -> None:
    """The derivatives of ReLU and |x| at 0 are 0; ReLU leaves -0.0 what it is."""
    singly(lib, note, {"relu": lib.relu, "abs": lib.abs}, "x")
    note("signs of the zeros of relu", 1 / lib.relu(inputs["x"]), gradient=False)


@probe(x=given([2.0, 1.0, 2.0, 2.0], [0.0, 0.0, 0.0, 0.0], [-1.0, -3.0, -3.0, 5.0]))
def tied_extrema(lib: Any, inputs: Any, note: Any) -> None:
    """Equal elements share the gradient evenly."""
    calls = {
        "amax": lambda x: x.amax(1),
        "amin": lambda x: x.amin(1),
        "amin of two axes": lambda x: x.amin((0, 1)),
        "amax of all": lambda x: x.amax(),
    }
    singly(lib, note, calls, *inputs)


@probe(exact=True, x=given(0.0, 0.0, 0.0, 1.0), y=given(2.0, 1.0, 0.0, 0.0))
def powers_of_zero(lib: Any, inputs: Any, note: Any) -> None:
    """0² and 0⁰: slopes that formulas would make infinite or NaN."""
    singly(lib, note, {"x**y": lambda x, y: x**y}, *inputs)
    for exponent in (0, 1, 2, 3):
        singly(lib, note, {f"x**{exponent}": lambda x, n=exponent: x**n}, "x")


@probe(exact=True, x=given(0.0, 4.0, math.inf))
def ends_of_the_domain(lib: Any, inputs: Any, note: Any) -> None:
    """Slopes that are infinite, and stay so."""
    calls = {
        "sqrt": lib.sqrt,
        "1/x": lambda x: 1 / x,
        "log": lambda x: lib.log(x * 0 + 1) + lib.log(x * 0),
    }
    singly(lib, note, calls, *inputs)


@probe(exact=True, x=given([1.0, math.nan], [math.inf, 2.0], [3.0, -4.0], [0.0, 1.0]))
def not_finite_in_reductions(lib: Any, inputs: Any, note: Any) -> None:
    """One NaN in a sum, a mean, an extremum or a product of matrices makes the result NaN."""
    row = lib.tensor([[1.0, 0.0]], dtype=inputs["x"].dtype)
    calls = {
        "sum": lambda x: x.sum(1),
        "mean": lambda x: x.mean(1),
        "amax": lambda x: x.amax(1),
        "amin": lambda x: x.amin(1),
        "matmul": lambda x: x @ row.t(),
        "linear": lambda x: lib.nn.functional.linear(x, row, row[0, :1]),
        "loss": lambda x: lib.nn.functional.mse_loss(x, row.expand(4, 2)),
    }
    singly(lib, note, calls, *inputs)


@probe(exact=True, x=given(-1.0, 0.0, 2.0, math.nan), w=given(math.inf, math.nan, math.inf, 1.0))
def gradients_that_are_not_finite(lib: Any, inputs: Any, note: Any) -> None:
    """A derivative of 0 that selects stops an infinite gradient; one that multiplies does not."""
    w = inputs["w"]
    for name, call in {
        "relu": lib.relu,
        "where": lambda x: lib.where(x > 0, x, 1.0),
        "maximum": lambda x: lib.maximum(x, w),
        "abs": lib.abs,
        "x**2": lambda x: x**2,
    }.items():
        leaf = note.leaf("x")
        note(name, call(leaf)).backward(w * 1)
        note.gradient(f"{name}: by x", leaf)


@probe(x=given(-60.0, -20.0, -1e-3, 0.0, 1e-3, 20.0, 60.0))
def far_from_zero(lib: Any, inputs: Any, note: Any) -> None:
    """Where functions saturate, what is left is small, and not wrong."""
    singly(lib, note, {"sigmoid": lib.sigmoid, "tanh": lib.tanh, "exp": lib.exp}, "x")


@probe(ulps=16, x=given(-60.0, -20.0, -12.0, -1e-3, -1e-20, 1e-20, 1e-3, 12.0, 20.0, 60.0))
def to_the_last_digits(lib: Any, inputs: Any, note: Any) -> None:
    """What is small is right in all its digits: a formula that is right on paper may lose them."""
    calls = {
        "exp": lib.exp,
        "sqrt": lambda x: x.abs().sqrt(),
        "log": lambda x: x.abs().log(),
        "1/x": lambda x: 1 / x,
        "x**2": lambda x: x**2,
        "softplus": lib.nn.functional.softplus,
        "softplus, beta": lambda x: lib.nn.functional.softplus(x, 0.5),
        "leaky_relu": lambda x: lib.nn.functional.leaky_relu(x, 1e-3),
    }
    singly(lib, note, calls, "x")
    for name, call in {"sigmoid": lib.sigmoid, "tanh": lib.tanh}.items():
        note(f"value of {name}", call(inputs["x"]), gradient=False)


@probe(ulps=16, x=given(3.0, 1.0, -2.0, 5.0))
def squares_that_overflow(lib: Any, inputs: Any, note: Any) -> None:
    """A standard deviation is finite, and not 0, where the squares of single precision are."""
    for name, factor in {"large": 2.0**100, "small": 2.0**-100}.items():
        x = inputs["x"].float() * factor
        note(f"std of {name} numbers", x.std(), gradient=False)
        note(f"std of {name} columns", x.reshape(2, 2).std(0), gradient=False)


@probe(ulps=16, x=given(100.0, 50.5, 1e-3), y=given(100.01, 50.52, 1.1e-3))
def small_differences(lib: Any, inputs: Any, note: Any) -> None:
    """A loss of what is nearly right is that of the difference, which is exact."""
    for name in ("mse_loss", "l1_loss", "huber_loss", "smooth_l1_loss"):
        for reduction in ("mean", "sum", "none"):
            call = partial(getattr(lib.nn.functional, name), reduction=reduction)
            singly(lib, note, {f"{name}, {reduction}": call}, "x", "y")


@probe(exact=True, x=given(2.0**24, 1.0, 1.0, 1.0))
def sums_in_double_precision(lib: Any, inputs: Any, note: Any) -> None:
    """`dtype=` converts before it adds, not after."""
    calls = {
        "sum": lambda x: x.float().sum(dtype=lib.float64),
        "sum of rows": lambda x: x.float().reshape(2, 2).sum(1, dtype=lib.float64),
        "mean": lambda x: x.float().mean(dtype=lib.float64),
    }
    singly(lib, note, calls, "x")


@probe(exact=True, x=given(-800.0, 800.0), w=integers(2))
def beyond_all_digits(lib: Any, inputs: Any, note: Any) -> None:
    """Saturated functions are constants, though exp overflows on the way."""
    singly(lib, note, {"sigmoid": lib.sigmoid, "tanh": lib.tanh, "exp": lib.exp}, "x")
