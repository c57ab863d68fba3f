"""The table of operations that every test of an operation is driven by.

An `Operation` is called with the module to use, `minigrad` or `torch`: the names are the same.
"""

import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import mpmath  # type: ignore[import-untyped]
import numpy as np
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from tests.minigrad.shapes import (
    Draw,
    Shapes,
    affine,
    any_shape,
    assigning,
    broadcast,
    equal_vectors,
    expanding,
    extremum,
    extremum_at,
    filled,
    indexing,
    into,
    joining,
    matrices,
    matrix_and_vector,
    new_axis,
    one_axis,
    permuting,
    product,
    reduction,
    reshaping,
    same,
    spreading,
    stacking,
    two_axes,
    two_vectors,
)

Array = np.ndarray[Any, np.dtype[Any]]

FUZZ = "MINIGRAD_FUZZ" in os.environ
"""Set by `make fuzz`: many more examples than an ordinary run has time for."""

EXAMPLES = 2_000 if FUZZ else 6
"""Examples of one operation, where torch's own samples (test_torch_samples.py) are not enough."""
FEW = 200 if FUZZ else 3

examples = settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
seeds = st.integers(0, 2**32)


@dataclass(frozen=True, repr=False)
class Operation:
    """One operation, what it may be given, and how exact it is.

    Attributes:
        id: its name in test reports.
        call: `call(module, *tensors, **options)`.
        case: draws the inputs' shapes and the options.
        domains: for each input the interval its elements are from.
        magnitude: None if each element of the result is computed from one of each input and
            correctly rounded, or nearly so. Otherwise a function called like `call` with the
            absolute values of the inputs: the sum of the magnitudes of the terms combined, which
            bounds the rounding error, and whose derivatives bound the gradients'.
        exact: the value in arbitrary precision (a function of mpmath's numbers), for judging
            results that differ from torch's.
        gradient_terms: the sum of the magnitudes of the terms that the derivative of a single
            element combines, where it is larger than the derivative: (x, out) -> array.
        shape_only: nothing is computed, so integers and bools are welcome and all is exact.
        elementwise: its inputs broadcast, and nothing else happens to their shapes.
    """

    id: str
    call: Callable[..., Any]
    case: Draw
    domains: tuple[tuple[float, float], ...]
    magnitude: Callable[..., Any] | None = None
    exact: Callable[..., Any] | None = None
    gradient_terms: Callable[[Array, Array], Array] | None = None
    shape_only: bool = False
    elementwise: bool = False

    def __repr__(self) -> str:
        return self.id

    def arrays(self, shapes: Shapes, dtype: str, seed: int, round: float = 0.25) -> list[Array]:
        """Return inputs of these shapes, spread over their domains.

        The share `round` of them are round numbers, of which some are equal and some 0.
        """
        rng = np.random.default_rng(seed)
        found = []
        for shape, (low, high) in zip(shapes, self.domains, strict=True):
            size = 10.0 ** rng.uniform(-3, math.log10(max(-low, high)), shape)
            if low < 0:
                size = size * rng.choice([-1, 1], shape)
            values = np.where(rng.random(shape) < round, np.round(size), size)
            found.append(np.asarray(np.clip(values, low, high), dtype))
        return found


def as_key(m: Any, key: Any) -> Any:
    """Return an index with its arrays as tensors of the module."""
    if isinstance(key, tuple):
        return tuple(as_key(m, part) for part in key)
    return m.tensor(key) if isinstance(key, np.ndarray) else key


def _assign(m: Any, x: Any, y: Any, key: Any) -> Any:
    out = x.clone()
    out[as_key(m, key)] = y
    return out


def _in_place(name: str) -> Callable[..., Any]:
    return lambda m, x, y: getattr(x * 1, name)(y)


def _extremum(name: str) -> Callable[..., Any]:
    """Every axis is () to torch, and not None."""

    def call(m: Any, x: Any, dim: Any, keepdim: bool) -> Any:
        return getattr(m, name)(x, () if dim is None else dim, keepdim)

    return call


def _spread(m: Any, x: Any, dim: Any = None, keepdim: bool = False) -> Any:
    """The variance of numbers that are as far from their mean as they can be."""
    apart = x + m.mean(x, dim, keepdim=True)
    return m.mean(apart * apart, dim, keepdim)


ANY, POSITIVE, SMALL = (-1e3, 1e3), (1e-3, 1e3), (-30.0, 30.0)


def _elementwise(id: str, *domains: tuple[float, float], **more: Any) -> Operation:
    """An operation that has the same name as a function of both modules."""
    call = more.pop("call", lambda m, *tensors: getattr(m, id)(*tensors))
    case = more.pop("case", broadcast(len(domains)))
    return Operation(id, call, case, domains, elementwise=True, **more)


def _summed(id: str, case: Draw, inputs: int, call: Callable[..., Any]) -> Operation:
    """An operation that adds up products or elements, as it does their magnitudes."""
    return Operation(id, call, case, (ANY,) * inputs, magnitude=call)


def _moved(id: str, case: Draw, call: Callable[..., Any], inputs: int = 1) -> Operation:
    """An operation that only moves or repeats elements."""
    return Operation(id, call, case, (ANY,) * inputs, shape_only=True)


OPERATIONS = [
    _elementwise("add", ANY, ANY),
    _elementwise("sub", ANY, ANY),
    _elementwise("mul", ANY, ANY),
    _elementwise("div", ANY, POSITIVE),
    _elementwise("neg", ANY),
    _elementwise("pow", (1e-2, 30.0), (-5.0, 5.0), exact=mpmath.power),
    _elementwise("abs", ANY),
    _elementwise("exp", SMALL, exact=mpmath.exp),
    _elementwise("log", POSITIVE, exact=mpmath.log),
    _elementwise("sqrt", POSITIVE, exact=mpmath.sqrt),
    _elementwise("square", ANY),
    _elementwise("sin", SMALL, exact=mpmath.sin),
    _elementwise("cos", SMALL, exact=mpmath.cos),
    _elementwise("tanh", SMALL, exact=mpmath.tanh, gradient_terms=lambda x, out: 1 + out * out),
    _elementwise(
        "sigmoid",
        SMALL,
        exact=lambda x: 1 / (1 + mpmath.exp(-x)),
        gradient_terms=lambda x, out: out * (1 + out),
    ),
    _elementwise("relu", ANY),
    _elementwise("clamp", ANY, call=lambda m, x: m.clamp(x, -2, 3)),
    # torch's derivative raises where both bounds are broadcast
    Operation("clamp(tensors)", lambda m, x, y, z: m.clamp(x, y, z), same(3), (ANY,) * 3),
    _elementwise("clamp(min)", ANY, ANY, call=lambda m, x, y: x.clamp(y)),
    _elementwise("clamp(max)", ANY, ANY, call=lambda m, x, y: x.clamp(max=y)),
    _elementwise("clamp(min=0.5)", ANY, call=lambda m, x: m.clamp(x, min=0.5)),
    _elementwise("remainder", SMALL, (10.0, 30.0)),
    _elementwise("x % -3", SMALL, call=lambda m, x: x % -3),
    _elementwise("leaky_relu", ANY, call=lambda m, x: m.nn.functional.leaky_relu(x, 0.2)),
    _elementwise(
        "softplus",
        SMALL,
        call=lambda m, x: m.nn.functional.softplus(x, 1.5),
        exact=lambda x: mpmath.log1p(mpmath.exp(1.5 * x)) / 1.5 if 1.5 * x <= 20 else x,
        gradient_terms=lambda x, out: np.ones_like(x),
    ),
    _elementwise("maximum", ANY, ANY),
    _elementwise("minimum", ANY, ANY),
    _elementwise("clone", ANY),
    _elementwise("double", ANY, call=lambda m, x: x.double()),
    *(
        _elementwise(
            f"pow({exponent})",
            (1e-2, 30.0),
            call=lambda m, x, e=exponent: m.pow(x, e),
            exact=lambda x, e=exponent: mpmath.power(x, e),
        )
        for exponent in (0, 1, 2, 3, -1, -2, 0.5, -0.5, 1.5, 2.7)
    ),
    _elementwise("pow(negative, 3)", ANY, call=lambda m, x: x**3),
    _elementwise("2 ** x", SMALL, call=lambda m, x: 2**x, exact=lambda x: mpmath.power(2, x)),
    _elementwise("1 - x", ANY, call=lambda m, x: 1 - x),
    _elementwise("3 / x", POSITIVE, call=lambda m, x: 3 / x),
    _elementwise(
        "0.1 * x + 7", ANY, call=lambda m, x: 0.1 * x + 7, magnitude=lambda m, x: 0.1 * x + 7
    ),
    _elementwise(
        *("add(alpha)", ANY, ANY),
        call=lambda m, x, y: m.add(x, y, alpha=3),
        magnitude=lambda m, x, y: m.add(x, y, alpha=3),
    ),
    _elementwise(
        *("sub(alpha)", ANY, ANY),
        call=lambda m, x, y: m.sub(x, y, alpha=0.3),
        magnitude=lambda m, x, y: m.add(x, y, alpha=0.3),
    ),
    _elementwise("where", ANY, ANY, call=lambda m, x, y: m.where(x > y, x, y)),
    _elementwise("where(number)", ANY, call=lambda m, x: m.where(x > 0, x, 0.1)),
    _elementwise("Tensor.where", ANY, ANY, call=lambda m, x, y: x.where(x < y, y)),
    _summed("sum", reduction(0), 1, lambda m, x, **options: m.sum(x, **options)),
    _summed("mean", reduction(0), 1, lambda m, x, **options: m.mean(x, **options)),
    Operation("amax", _extremum("amax"), extremum, (ANY,)),
    Operation("amin", _extremum("amin"), extremum, (ANY,)),
    Operation("max", lambda m, x: m.max(x), filled, (ANY,)),
    Operation("min", lambda m, x: m.min(x), filled, (ANY,)),
    Operation("max(dim)", lambda m, x, **options: m.max(x, **options)[0], extremum_at, (ANY,)),
    Operation("min(dim)", lambda m, x, **options: m.min(x, **options)[0], extremum_at, (ANY,)),
    _summed("sum(dtype)", reduction(0), 1, lambda m, x, **o: m.sum(x, dtype=m.float64, **o)),
    Operation(
        "var",
        lambda m, x, **options: m.var(x, **options, correction=0),
        spreading,
        (ANY,),
        magnitude=_spread,
    ),
    Operation(
        "std",
        lambda m, x, **options: m.std(x, **options, correction=0),
        spreading,
        (ANY,),
        magnitude=lambda m, x, **options: _spread(m, x, **options).sqrt(),
    ),
    *(
        _summed(
            f"norm(p={p})", reduction(0), 1, lambda m, x, p=p, **options: m.norm(x, p, **options)
        )
        for p in (2, 1, 3, 1.5)
    ),
    *(
        Operation(
            f"norm(p={p})", lambda m, x, p=p, **options: m.norm(x, p, **options), extremum, (ANY,)
        )
        for p in (math.inf, -math.inf)
    ),
    *(
        Operation(
            f"norm(p={p})",
            lambda m, x, p=p, **options: m.norm(x, p, **options),
            extremum,
            ((1e-2, 30.0),),
            magnitude=lambda m, x, p=p, **options: m.norm(x, p, **options),
        )
        for p in (0.5, -2)
    ),
    _summed("dot", equal_vectors, 2, lambda m, x, y: m.dot(x, y)),
    _summed("mv", matrix_and_vector, 2, lambda m, x, y: m.mv(x, y)),
    Operation("outer", lambda m, x, y: m.outer(x, y), two_vectors, (ANY, ANY)),
    _summed("matmul", product, 2, lambda m, x, y: m.matmul(x, y)),
    _summed("mm", matrices, 2, lambda m, x, y: x.mm(y)),
    _summed("linear", affine, 3, lambda m, x, w, b: m.nn.functional.linear(x, w, b)),
    _summed("linear(no bias)", affine, 3, lambda m, x, w, b: m.nn.functional.linear(x, w)),
    *(
        Operation(
            f"mse_loss({how})",
            lambda m, x, y, how=how: m.nn.functional.mse_loss(x, y, reduction=how),
            same(2),
            (ANY, ANY),
            magnitude=lambda m, x, y, how=how: (
                (x + y).square() if how == "none" else getattr((x + y).square(), how)()
            ),
        )
        for how in ("mean", "sum", "none")
    ),
    *(
        Operation(
            loss,
            lambda m, x, y, loss=loss, options=options: getattr(m.nn.functional, loss)(
                x, y, **options
            ),
            same(2),
            (ANY, ANY),
            magnitude=lambda m, x, y, slope=slope: (x + y).mean() * slope,
        )
        for loss, options, slope in (
            ("huber_loss", {"delta": 2.5}, 2.5),
            ("smooth_l1_loss", {"beta": 2.5}, 1),
        )
    ),
    _moved("reshape", reshaping, lambda m, x, shape: m.reshape(x, shape)),
    _moved("view", reshaping, lambda m, x, shape: x.view(shape)),
    _moved("flatten", same(1), lambda m, x: m.flatten(x)),
    _moved(
        "flatten(dims)",
        two_axes,
        lambda m, x, dim0, dim1: m.flatten(x, *sorted(d % max(x.ndim, 1) for d in (dim0, dim1))),
    ),
    _moved("permute", permuting, lambda m, x, dims: m.permute(x, dims)),
    _moved("transpose", two_axes, lambda m, x, dim0, dim1: m.transpose(x, dim0, dim1)),
    _moved("T", lambda data: ([any_shape(data, min_dims=2, max_dims=2)], {}), lambda m, x: x.T),
    _moved("mT", lambda data: ([any_shape(data, min_dims=2)], {}), lambda m, x: x.mT),
    _moved("t", lambda data: ([any_shape(data, max_dims=2)], {}), lambda m, x: m.t(x)),
    _moved("expand", expanding, lambda m, x, size: x.expand(size)),
    _moved("squeeze", same(1), lambda m, x: m.squeeze(x)),
    _moved("squeeze(dim)", one_axis, lambda m, x, dim: m.squeeze(x, dim)),
    _moved("unsqueeze", new_axis, lambda m, x, dim: m.unsqueeze(x, dim)),
    _moved("cat", joining, lambda m, *xs, dim: m.cat(xs, dim), 3),
    _moved("stack", stacking, lambda m, *xs, dim: m.stack(xs, dim), 3),
    _moved("hstack", same(2), lambda m, *xs: m.hstack(xs), 2),
    _moved("vstack", same(2), lambda m, *xs: m.vstack(xs), 2),
    _moved("index", indexing, lambda m, x, key: x[as_key(m, key)]),
    _moved("index assignment", assigning, _assign, 2),
    _moved(
        "iteration",
        lambda data: ([any_shape(data, min_dims=1, min_side=1)], {}),
        lambda m, x: m.stack(list(x)[::-1]),
    ),
    _elementwise("copy_", ANY, ANY, call=_in_place("copy_"), case=into, shape_only=True),
    _elementwise("add_", ANY, ANY, call=_in_place("add_"), case=into),
    _elementwise("sub_", ANY, ANY, call=_in_place("sub_"), case=into),
    _elementwise("mul_", ANY, ANY, call=_in_place("mul_"), case=into),
    _elementwise("div_", ANY, POSITIVE, call=_in_place("div_"), case=into),
    _elementwise("zero_", ANY, call=lambda m, x: (x * 1).zero_(), shape_only=True),
    _elementwise("fill_", ANY, call=lambda m, x: (x * 1).fill_(2.5), shape_only=True),
]
"""Every differentiable operation."""

COMPARISONS = ["eq", "ne", "lt", "le", "gt", "ge"]
ELEMENTWISE = [operation for operation in OPERATIONS if operation.elementwise]
BY_ID = {operation.id: operation for operation in OPERATIONS}
