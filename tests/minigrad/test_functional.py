"""`autograd.functional` against torch's: values, nesting of the results, history, refusals."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import minigrad
from minigrad.autograd import functional
from tests.minigrad.sessions import agree, sessions

ENGINES = pytest.mark.parametrize("T", [minigrad, torch], ids=["minigrad", "torch"])
Function = Callable[..., Any]

# Inputs: x and w (3,), m (2, 3), s without axes.
SCALAR: dict[str, Callable[[Any], Function]] = {
    "cubic": lambda T: lambda x: (x**3).sum(),
    "one element": lambda T: lambda x: (x.tanh() * x.exp()).sum().reshape(1, 1),
    "mixed": lambda T: lambda x: x[0] * x[1].exp() + T.sigmoid(x[2]) * x[0],
    "linear": lambda T: lambda x: (x * 3).sum(),
    "constant": lambda T: lambda x: T.ones(()) * 2,
}
SCALAR_OF_TWO: dict[str, Callable[[Any], Function]] = {
    "bilinear": lambda T: lambda x, w: (x * w).sum() * x[0],
    "second unused": lambda T: lambda x, w: (x**3).sum(),
    "separate": lambda T: lambda x, w: (x**3).sum() + w.exp().sum(),
}
VECTOR: dict[str, Callable[[Any], Function]] = {
    "elementwise": lambda T: lambda x: x.tanh(),
    "matrix": lambda T: lambda x: T.stack([x, x * x]),
    "tuple": lambda T: lambda x: (x.exp(), x.sum()),
    "tuple of one": lambda T: lambda x: (x * x,),
    "part constant": lambda T: lambda x: (x * 2, T.ones(2)),
}
VECTOR_OF_TWO: dict[str, Callable[[Any], Function]] = {
    "product": lambda T: lambda x, w: x * w,
    "both": lambda T: lambda x, w: (x * w.exp(), w.sum() * x, x[0]),
    "linear": lambda T: lambda x, w: 2 * x + 3 * w,
}


def points(T: Any, count: int, requires_grad: bool = False) -> Any:
    rng = np.random.default_rng(5)
    tensors = [
        T.tensor(rng.normal(size=3), requires_grad=requires_grad) for _ in range(max(count, 1))
    ]
    return tensors[0] if count == 0 else tuple(tensors)


def form(value: Any) -> Any:
    """The nesting, shapes and dtypes."""
    if isinstance(value, tuple):
        return tuple(map(form, value))
    return list(value.shape), str(value.dtype).removeprefix("torch."), value.requires_grad


def numbers(value: Any) -> list[float]:
    if isinstance(value, tuple):
        return [x for part in value for x in numbers(part)]
    return [float(x) for x in value.detach().numpy().ravel()]


def check(call: Callable[[Any], Any]) -> None:
    """Fail unless both engines give the same."""
    ours, theirs = call(minigrad), call(torch)
    assert form(ours) == form(theirs)
    np.testing.assert_allclose(numbers(ours), numbers(theirs), rtol=1e-12, atol=1e-13)


CASES_1 = {**SCALAR, **VECTOR}
CASES_2 = {**SCALAR_OF_TWO, **VECTOR_OF_TWO}


@pytest.mark.parametrize("create_graph", [False, True])
@pytest.mark.parametrize("requires_grad", [False, True])
@pytest.mark.parametrize(
    ("cases", "name", "count"),
    [
        *((CASES_1, name, 0) for name in CASES_1),
        *((CASES_1, name, 1) for name in CASES_1),
        *((CASES_2, name, 2) for name in CASES_2),
    ],
    ids=lambda value: str(value) if isinstance(value, bool) else type(value).__name__,
)
def test_jacobian(
    cases: dict[str, Any], name: str, count: int, requires_grad: bool, create_graph: bool
) -> None:
    check(
        lambda T: T.autograd.functional.jacobian(
            cases[name](T), points(T, count, requires_grad), create_graph=create_graph
        )
    )


@pytest.mark.parametrize("create_graph", [False, True])
@pytest.mark.parametrize(
    ("cases", "name", "count"),
    [
        *((SCALAR, name, 0) for name in SCALAR),
        *((SCALAR, name, 1) for name in SCALAR),
        *((SCALAR_OF_TWO, name, 2) for name in SCALAR_OF_TWO),
    ],
    ids=lambda value: str(value) if isinstance(value, bool) else type(value).__name__,
)
def test_hessian_and_its_product(
    cases: dict[str, Any], name: str, count: int, create_graph: bool
) -> None:
    check(
        lambda T: T.autograd.functional.hessian(
            cases[name](T), points(T, count, True), create_graph=create_graph
        )
    )
    if create_graph and name in ("linear", "constant", "second unused", "separate"):
        return  # where nothing depends on the point, only the values are the same
    check(
        lambda T: T.autograd.functional.hvp(
            cases[name](T),
            points(T, count, True),
            points(T, count),
            create_graph=create_graph,
        )
    )


@pytest.mark.parametrize("create_graph", [False, True])
@pytest.mark.parametrize("name", ["elementwise", "tuple", "tuple of one", "cubic"])
def test_products_with_vectors(name: str, create_graph: bool) -> None:
    def vectors(T: Any) -> Any:
        outputs = CASES_1[name](T)(points(T, 0))
        several = isinstance(outputs, tuple)
        found = tuple(o.detach() * 0.5 + 1 for o in (outputs if several else (outputs,)))
        return found if several else found[0]

    def options(T: Any) -> dict[str, Any]:
        return {"create_graph": create_graph}

    check(
        lambda T: T.autograd.functional.vjp(
            CASES_1[name](T), points(T, 0, True), vectors(T), **options(T)
        )
    )
    check(
        lambda T: T.autograd.functional.jvp(
            CASES_1[name](T), points(T, 0, True), points(T, 0), **options(T)
        )
    )


def test_products_of_two_inputs() -> None:
    f = CASES_2["both"]
    check(lambda T: T.autograd.functional.jvp(f(T), points(T, 2), points(T, 2)))
    check(
        lambda T: T.autograd.functional.vjp(
            f(T), points(T, 2), (T.ones(3).double(), T.ones(3).double(), T.ones(()).double())
        )
    )


SESSIONS = sessions(r"""
# the vector is one by default
x = leaf([3.0])
f.vjp(lambda x: x * x, x), f.jvp(lambda x: x * x, x), f.hvp(lambda x: x * x, x)

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
""")


@pytest.mark.parametrize("name", SESSIONS)
def test_both_engines_show_the_same(name: str) -> None:
    agree(SESSIONS[name])


def test_output_without_elements() -> None:
    jacobian = functional.jacobian(lambda x: x[:0], minigrad.ones(3))
    assert jacobian.shape == (0, 3)
    assert functional.jacobian(lambda x: x * 2, minigrad.zeros(0)).shape == (0, 0)


@ENGINES
@pytest.mark.parametrize(
    ("expression", "kind", "words"),
    [
        ("f.jacobian(lambda x: x, 3)", TypeError, "either a Tensor or a tuple of Tensors"),
        ("f.jacobian(lambda x: x, [x])", TypeError, "either a Tensor or a tuple of Tensors"),
        ("f.jacobian(lambda x: 3, x)", TypeError, "either a Tensor or a tuple of Tensors"),
        ("f.jacobian(lambda x: [x], x)", TypeError, "either a Tensor or a tuple of Tensors"),
        ("f.hessian(lambda x: x, x)", RuntimeError, "should contain a single element"),
        ("f.hessian(lambda x: (x.sum(), x.sum()), x)", RuntimeError, "return a single Tensor"),
        ("f.hvp(lambda x: x, x, x)", RuntimeError, "should contain a single element"),
        ("f.hvp(lambda x: x.sum(), x)", RuntimeError, "can only be None"),
        ("f.vjp(lambda x: x, x)", RuntimeError, "can only be None"),
        ("f.jvp(lambda x: x, x)", RuntimeError, "can only be None"),
        ("f.jvp(lambda x: x, x, T.ones(2))", RuntimeError, "invalid size|length or size"),
        ("f.vjp(lambda x: x, x, (x, x))", RuntimeError, "single Tensor|invalid length"),
        # strict
        ("f.jacobian(lambda x: T.ones(2), x, strict=True)", RuntimeError, "strict mode"),
        ("f.jacobian(lambda x, y: x * 2, (x, x), strict=True)", RuntimeError, "strict mode"),
        (
            "f.jacobian(lambda x: x * 2, x, strict=True, create_graph=True)",
            RuntimeError,
            "strict mode",
        ),
        ("f.hessian(lambda x: (2 * x).sum(), x, strict=True)", RuntimeError, "strict mode"),
        ("f.hessian(lambda x: x.detach().sum(), x, strict=True)", RuntimeError, "strict mode"),
        ("f.hvp(lambda x: (2 * x).sum(), x, x, strict=True)", RuntimeError, "strict mode"),
        ("f.hvp(lambda x, y: (x * x).sum(), (x, x), (x, x), strict=True)", RuntimeError, "strict"),
        ("f.vjp(lambda x, y: x * x, (x, x), x, strict=True)", RuntimeError, "strict mode"),
        ("f.jvp(lambda x, y: x * x, (x, x), (x, x), strict=True)", RuntimeError, "strict mode"),
    ],
)
def test_what_is_refused(T: Any, expression: str, kind: type[Exception], words: str) -> None:
    with pytest.raises(kind, match=words):
        eval(expression, {"T": T, "f": T.autograd.functional, "x": T.ones(3, requires_grad=True)})


def test_what_torch_does_and_minigrad_does_not_is_refused() -> None:
    x = minigrad.ones(2)
    with pytest.raises(NotImplementedError, match="row by row"):
        functional.jacobian(lambda x: x, x, vectorize=True)
    with pytest.raises(NotImplementedError, match="reverse mode"):
        functional.jacobian(lambda x: x, x, strategy="forward-mode")
    with pytest.raises(NotImplementedError, match="reverse mode"):
        functional.hessian(lambda x: x.sum(), x, outer_jacobian_strategy="forward-mode")
