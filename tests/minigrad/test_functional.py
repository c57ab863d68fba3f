"""`autograd.functional` against torch's: values, nesting of the results, history, refusals."""

import itertools
from typing import Any

import numpy as np
import pytest
import torch

import minigrad
from minigrad.autograd import functional
from tests.minigrad.sessions import agree, sessions

# Functions of one or two vectors, with a single element or more as the result.
SCALAR = [
    "lambda x: (x**3).sum()",
    "lambda x: (x.tanh() * x.exp()).sum().reshape(1, 1)",
    "lambda x: x[0] * x[1].exp() + T.sigmoid(x[2]) * x[0]",
    "lambda x, w: (x * w).sum() * x[0]",
]
DEPENDING_ON_NO_POINT = [
    "lambda x: (x * 3).sum()",
    "lambda x: T.ones(()) * 2",
    "lambda x, w: (x**3).sum()",
    "lambda x, w: (x**3).sum() + w.exp().sum()",
]
VECTOR = [
    "lambda x: x.tanh()",
    "lambda x: T.stack([x, x * x])",
    "lambda x: (x.exp(), x.sum())",
    "lambda x: (x * x,)",
    "lambda x: (x * 2, T.ones(2))",
    "lambda x, w: x * w",
    "lambda x, w: (x * w.exp(), w.sum() * x, x[0])",
    "lambda x, w: 2 * x + 3 * w",
]
BOOLS = [False, True]


def points(T: Any, function: str, several: bool, requires_grad: bool = False) -> Any:
    """Return the inputs of a function; the only one is in a tuple if they are several."""
    rng = np.random.default_rng(5)
    count = 2 if "x, w:" in function else 1
    tensors = [T.tensor(rng.normal(size=3), requires_grad=requires_grad) for _ in range(count)]
    return tuple(tensors) if several or count > 1 else tensors[0]


def form(value: Any) -> Any:
    """The nesting, shapes and dtypes."""
    if isinstance(value, tuple):
        return tuple(map(form, value))
    return list(value.shape), str(value.dtype).removeprefix("torch."), value.requires_grad


def numbers(value: Any) -> list[float]:
    if isinstance(value, tuple):
        return [x for part in value for x in numbers(part)]
    return [float(x) for x in value.detach().numpy().ravel()]


def check(
    name: str, function: str, several: bool = False, requires_grad: bool = True, **options: Any
) -> None:
    """Fail unless both engines give the same for a function."""
    found = []
    for T in (minigrad, torch):
        f, x = eval(function, {"T": T}), points(T, function, several, requires_grad)
        given = []
        if name in ("hvp", "vhp", "jvp"):
            given = [points(T, function, several)]
        if name == "vjp":
            given = [halves(f(*x) if isinstance(x, tuple) else f(x))]
        found.append(getattr(T.autograd.functional, name)(f, x, *given, **options))
    assert form(found[0]) == form(found[1])
    np.testing.assert_allclose(numbers(found[0]), numbers(found[1]), rtol=1e-12, atol=1e-13)


def halves(outputs: Any) -> Any:
    """Vectors in the form of a function's outputs."""
    return tuple(map(halves, outputs)) if isinstance(outputs, tuple) else outputs.detach() / 2 + 1


@pytest.mark.parametrize("function", [*SCALAR, *DEPENDING_ON_NO_POINT, *VECTOR])
def test_jacobian(function: str) -> None:
    for recorded, needed, several in itertools.product(BOOLS, repeat=3):
        check("jacobian", function, several, needed, create_graph=recorded)


@pytest.mark.parametrize("function", [*SCALAR, *DEPENDING_ON_NO_POINT])
def test_hessian_and_its_product(function: str) -> None:
    for recorded, several in itertools.product(BOOLS, repeat=2):
        for name in ("hessian", "hvp", "vhp"):
            check(name, function, several, create_graph=recorded)


@pytest.mark.parametrize("name", ["vjp", "jvp"])
@pytest.mark.parametrize("function", [SCALAR[0], VECTOR[0], *VECTOR[2:4], VECTOR[6]])
def test_products_with_vectors(function: str, name: str) -> None:
    for recorded in BOOLS:
        check(name, function, create_graph=recorded)


SESSIONS = sessions(r"""
# the vector is one by default
x = leaf([3.0])
f.vjp(lambda x: x * x, x), f.jvp(lambda x: x * x, x), f.hvp(lambda x: x * x, x)

# a point and a value without axes
x = T.tensor(2.0)
f.jacobian(lambda x: x * x, x), f.hessian(lambda x: x**3, x), f.jacobian(lambda x: x * T.ones(2), x)

# results are differentiated in turn
x = leaf([1.0, 2.0])
grad(f.jacobian(lambda x: x**3, x, create_graph=True).sum(), x)
grad(f.hessian(lambda x: (x**3).sum(), x, create_graph=True).sum(), x)
grad(f.hvp(lambda x: (x**3).sum(), x, T.ones(2).double(), create_graph=True)[1].sum(), x)

# the same tensor referred to by the function is a constant
x = leaf([2.0])
f.jacobian(lambda y: y * x, x), x.grad

# gradients are recorded within no_grad
with T.no_grad():
    jacobian = f.jacobian(lambda x: x * x, T.tensor([2.0]))
    T.is_grad_enabled()
jacobian

# parameters of a network
layer, x, y = nn.Linear(2, 2), T.ones(3, 2), T.zeros(3, 2)
loss = lambda weight, bias: F.mse_loss(F.linear(x, weight, bias), y)
f.hessian(loss, tuple(layer.parameters())), layer.weight.grad

# strict lets pass what varies
x = leaf([1.0, 1.0])
f.jacobian(lambda x: x**3, x, strict=True, create_graph=True)
f.jacobian(lambda x: x * 2, x, strict=True)
f.hessian(lambda x: (x**3).sum(), x, strict=True, create_graph=True)
f.hvp(lambda x: (x**3).sum(), x, x, strict=True, create_graph=True)
f.jvp(lambda x: x**3, x, x, strict=True)
f.vjp(lambda x: x**3, x, x, strict=True)

# what is refused
x = T.ones(3, requires_grad=True)
refused("either a Tensor or a tuple of Tensors", f.jacobian, lambda x: x, 3)
refused("either a Tensor or a tuple of Tensors", f.jacobian, lambda x: x, [x])
refused("either a Tensor or a tuple of Tensors", f.jacobian, lambda x: 3, x)
refused("either a Tensor or a tuple of Tensors", f.jacobian, lambda x: [x], x)
refused("should contain a single element", f.hessian, lambda x: x, x)
refused("return a single Tensor", f.hessian, lambda x: (x.sum(), x.sum()), x)
refused("should contain a single element", f.hvp, lambda x: x, x, x)
refused("can only be None", f.hvp, lambda x: x.sum(), x)
refused("can only be None", f.vjp, lambda x: x, x)
refused("can only be None", f.jvp, lambda x: x, x)
refused("invalid size|length or size", f.jvp, lambda x: x, x, T.ones(2))
refused("single Tensor|invalid length", f.vjp, lambda x: x, x, (x, x))
refused("strict mode", f.jacobian, lambda x: T.ones(2), x, strict=True)
refused("strict mode", f.jacobian, lambda x, y: x * 2, (x, x), strict=True)
refused("strict mode", f.jacobian, lambda x: x * 2, x, strict=True, create_graph=True)
refused("strict mode", f.hessian, lambda x: (2 * x).sum(), x, strict=True)
refused("strict mode", f.hessian, lambda x: x.detach().sum(), x, strict=True)
refused("strict mode", f.hvp, lambda x: (2 * x).sum(), x, x, strict=True)
refused("strict mode", f.hvp, lambda x: x.relu().sum(), x, x, strict=True)
refused("should contain a single element", f.vhp, lambda x: x, x, x)
refused("strict mode", f.vhp, lambda x: (2 * x).sum(), x, x, strict=True)
refused("non-empty|no elements", f.jacobian, lambda x: x[:0], x)
refused("non-empty|no elements", f.hessian, lambda x: x.sum(), T.ones(0))
refused("strict", f.hvp, lambda x, y: (x * x).sum(), (x, x), (x, x), strict=True)
refused("strict mode", f.vjp, lambda x, y: x * x, (x, x), x, strict=True)
refused("strict mode", f.jvp, lambda x, y: x * x, (x, x), (x, x), strict=True)
""")


@pytest.mark.parametrize("name", SESSIONS)
def test_both_engines_show_the_same(name: str) -> None:
    agree(SESSIONS[name])


def test_what_torch_does_and_minigrad_does_not_is_refused() -> None:
    x = minigrad.ones(2)
    with pytest.raises(NotImplementedError, match="row by row"):
        functional.jacobian(lambda x: x, x, vectorize=True)
    with pytest.raises(NotImplementedError, match="reverse mode"):
        functional.jacobian(lambda x: x, x, strategy="forward-mode")
    with pytest.raises(NotImplementedError, match="reverse mode"):
        functional.hessian(lambda x: x.sum(), x, outer_jacobian_strategy="forward-mode")
