"""Planted defects: each is caught first by the probe that is meant for it, at the right place."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest

import minigrad
from minigrad import nn, optim, tape
from minigrad.random import Generator
from minigrad.tensor import backward
from minigrad.tensor.inplace import InPlace
from tests.parity.spoiler import Function, Spoiler, verdict


class Defect(NamedTuple):
    """A defect: what plants it, and the probe and the function that are to be named first."""

    name: str
    plant: Callable[[Spoiler], None]
    probe: str
    rule: str | None


def overwritten(right: Function, gradients: Any, node: Any, grad: Any, *, keep: int = 1) -> None:
    before = gradients[node]
    gradients[node] = np.add(grad, np.multiply(before, keep - 1))


def outdated_buffer(right: Function, node: Any, grad: Any, recorded: bool) -> None:
    if node.grad is None or node.rule is not None:
        right(node, grad, recorded)


def without_dampening(right: Function, self: Any, parameter: Any, grad: Any, group: Any) -> Any:
    return right(self, parameter, grad, {**group, "dampening": 0})


def decay_doubled(right: Function, self: Any, parameter: Any, grad: Any, group: Any) -> Any:
    return right(self, parameter, grad, {**group, "weight_decay": 2 * group["weight_decay"]})


def nesterov_ignored(right: Function, self: Any, parameter: Any, grad: Any, group: Any) -> Any:
    return right(self, parameter, grad, {**group, "nesterov": False})


def bias_doubled(right: Function, self: Any) -> None:
    right(self)
    if self.bias is not None:
        self.bias._array *= 2


def one_ulp_more(right: Function, self: Any, group: Any, name: str, dtype: Any) -> Any:
    value = right(self, group, name, dtype)
    return np.nextafter(value, dtype.type(np.inf)) if name == "lr" else value


def input_changed(right: Function, x: Any) -> Any:
    out = right(x)
    if isinstance(x, np.ndarray) and x.flags.writeable:
        x[...] = np.add(x, 1)
    return out


def nan_swallowed(right: Function, x: Any, y: Any) -> Any:
    out = right(x, y)
    return np.where(np.equal(out, out), out, 0)


def slope_at_zero(right: Function, grad_out: Any, x: Any) -> Any:
    return np.where(np.equal(x, 0), grad_out, right(grad_out, x))


def not_a_tie(right: Function, grad_out: Any, x: Any, y: Any) -> Any:
    return np.where(np.greater(x, y), 0, grad_out)


def unshared(right: Function, grad_out: Any, out: Any, x: Any, x_shape: Any, axis: Any) -> Any:
    mask = np.equal(x, np.reshape(out, [1 if a in axis else n for a, n in enumerate(x_shape)]))
    shape = [1 if a in axis else n for a, n in enumerate(x_shape)]
    return np.multiply(np.reshape(grad_out, shape), mask)


def half_precision(right: Function, x: Any, y: Any) -> Any:
    out = right(x, y)
    return np.add(out, np.multiply(out, 2**-12)) if out.ndim == 2 else out


def last_wins(right: Function, grad_out: Any, x_shape: Any, key: Any) -> Any:
    out = np.zeros_like(grad_out, shape=x_shape)
    out[key] = grad_out
    return out


def unrecorded(right: Function, self: Any, other: Any) -> Any:
    with minigrad.no_grad():
        return right(self, other)


def smaller_sums(right: Function, grad: Any, shape: Any) -> Any:
    return np.divide(right(grad, shape), 2)


def amin_unshared(right: Function, *arguments: Any) -> Any:
    return right(*arguments) if arguments[-1] is None else unshared(right, *arguments)


DEFECTS = [
    Defect(
        "gradient overwritten, not accumulated",
        lambda spoil: spoil.function(tape, "_accumulate", overwritten),
        "broadcast_over_an_added_axis",
        "_accumulate",
    ),
    Defect(
        "diamond counted twice",
        lambda s: s.function(tape, "_accumulate", functools.partial(overwritten, keep=3)),
        "broadcast_over_an_added_axis",
        "_accumulate",
    ),
    Defect(
        "broadcasting undone by half",
        lambda spoil: spoil.function(tape, "unbroadcast", smaller_sums),
        "shapes",
        "unbroadcast",
    ),
    Defect(
        "second backward pass lost",
        lambda spoil: spoil.function(backward, "accumulate", outdated_buffer),
        "two_backward_passes_accumulate",
        "accumulate",
    ),
    Defect(
        "dampening forgotten",
        lambda spoil: spoil.function(optim.SGD, "_direction", without_dampening),
        "options_of_sgd",
        "SGD._direction",
    ),
    Defect(
        "weight decay doubled",
        lambda spoil: spoil.function(optim.SGD, "_direction", decay_doubled),
        "options_of_sgd",
        "SGD._direction",
    ),
    Defect(
        "nesterov ignored",
        lambda spoil: spoil.function(optim.SGD, "_direction", nesterov_ignored),
        "options_of_sgd",
        "SGD._direction",
    ),
    Defect(
        "learning rate off by one ulp",
        lambda spoil: spoil.function(optim.SGD, "_as_array", one_ulp_more),
        "options_of_sgd",
        "SGD._as_array",
    ),
    Defect(
        "zero_grad forgets",
        lambda spoil: spoil.function(optim.SGD, "zero_grad", lambda right, self, **options: None),
        "options_of_sgd",
        "SGD.zero_grad",
    ),
    Defect(
        "input changed in place",
        lambda spoil: spoil.rule("tanh", None, input_changed),
        "saturating_functions",
        "tanh",
    ),
    Defect(
        "NaN swallowed",
        lambda spoil: spoil.rule("maximum", None, nan_swallowed),
        "not_finite_in_pairs",
        "maximum",
    ),
    Defect(
        "the slope of |x| at 0 is 1",
        lambda spoil: spoil.rule("abs", "x", slope_at_zero),
        "kinks_at_zero",
        "abs_backward_x",
    ),
    Defect(
        "a tie is not halved",
        lambda spoil: spoil.rule("maximum", "y", not_a_tie),
        "tied_maximum_and_minimum",
        "maximum_backward_y",
    ),
    Defect(
        "equal extrema do not share",
        lambda spoil: spoil.rule("amin", "x", amin_unshared),
        "tied_extrema",
        "amin_backward_x",
    ),
    Defect(
        "a product in half precision",
        lambda spoil: spoil.rule("matmul", None, half_precision),
        "matrix_product",
        "matmul",
    ),
    Defect(
        "repeated indices overwrite",
        lambda spoil: spoil.rule("index", "x", last_wins),
        "indices",
        "index_backward_x",
    ),
    Defect(
        "x - y passes the gradient of x + y",
        lambda spoil: spoil.rule("sub", "y", lambda right, grad_out: grad_out),
        "arithmetic",
        "sub_backward_y",
    ),
    Defect(
        "factor 1 + 1e-6 in one gradient",
        lambda spoil: spoil.rule(
            "linear", "weight", lambda right, *a: np.multiply(right(*a), 1 + 1e-6)
        ),
        "linear",
        "linear_backward_weight",
    ),
    Defect(
        "the last row dropped",
        lambda spoil: spoil.rule("linear", "bias", lambda right, grad_out: right(grad_out[:-1])),
        "linear",
        "linear_backward_bias",
    ),
    Defect(
        "a derivative raises",
        lambda spoil: spoil.rule("exp", "x", lambda right, grad_out, out: 1 / 0),
        "exponential_logarithm_root",
        None,
    ),
    Defect(
        "uniform numbers one ulp off",
        lambda spoil: spoil.function(
            Generator,
            "uniform",
            lambda right, self, *a: np.nextafter(right(self, *a), np.float32(9)),
        ),
        "random_numbers",
        "Generator.uniform",
    ),
    Defect(
        "initial bias doubled",
        lambda spoil: spoil.function(
            nn.Linear,
            "reset_parameters",
            bias_doubled,
        ),
        "initial_values",
        "Linear.reset_parameters",
    ),
    Defect(
        "in-place change not recorded",
        lambda spoil: spoil.function(
            InPlace,
            "mul_",
            unrecorded,
        ),
        "changed_in_place",
        None,
    ),
    Defect(
        "saved values not guarded",
        lambda spoil: spoil.function(tape, "_unpack", lambda right, node: node.saved),
        "a_graph_is_used_once",
        None,
    ),
]


@pytest.mark.parametrize("defect", DEFECTS, ids=lambda defect: defect.name)
def test_a_planted_defect_is_located(monkeypatch: pytest.MonkeyPatch, defect: Defect) -> None:
    defect.plant(Spoiler(monkeypatch))
    found = verdict()
    assert not found["passed"]
    first = found["failed"][0]
    assert (first["probe"], first["rule"]) == (defect.probe, defect.rule or first["rule"])
