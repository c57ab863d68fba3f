"""Derivatives of functions of tensors: Jacobians, Hessians, and their products with vectors.

Each takes a function and the point, one tensor or a tuple of tensors, and gives results nested as
torch nests them: where the function returns a tuple, the result is a tuple over the outputs; where
the inputs are a tuple, each of these is a tuple over the inputs.

Common to all:

    create_graph    record what is computed, so that the results can be differentiated in turn
    strict          raise where an output or derivative is independent of an input, in place of
                    giving the zeros that it mathematically has

They raise a `TypeError` where inputs or outputs are neither a tensor nor a tuple of tensors, and a
`RuntimeError` where `strict` or the shape of a vector is violated.
"""

from typing import Any

import numpy as np

from minigrad.autograd.arguments import (
    Function,
    Tensors,
    point_at,
    require,
    scalar_of,
    tensors_of,
    value_of,
    vectors_of,
)
from minigrad.autograd.grad import grad
from minigrad.creation import zeros_like
from minigrad.grad_mode import enable_grad
from minigrad.tensor import Tensor
from minigrad.tensor.joining import stack

__all__ = ["hessian", "hvp", "jacobian", "jvp", "vhp", "vjp"]


def jacobian(
    func: Function,
    inputs: Tensor | Tensors,
    create_graph: bool = False,
    strict: bool = False,
    vectorize: bool = False,
    strategy: str = "reverse-mode",
) -> Any:
    """Return the derivative of every output element by every input element.

    Row by row, in reverse mode: a sweep for each element of the output.

    Returns:
        for an output of shape O and an input of shape I a tensor of shape O + I, in the input's
        dtype.

    Raises:
        NotImplementedError: `vectorize`, or another strategy than "reverse-mode".
    """
    _refuse("jacobian", vectorize, strategy)
    with enable_grad():
        several_inputs, xs = point_at("jacobian", inputs, create_graph)
        several_outputs, outputs = value_of("jacobian", func, xs, strict)
        rows = tuple(_rows(out, xs, create_graph, strict) for out in outputs)
    result = rows if several_inputs else tuple(row[0] for row in rows)
    return result if several_outputs else result[0]


def hessian(
    func: Function,
    inputs: Tensor | Tensors,
    create_graph: bool = False,
    strict: bool = False,
    vectorize: bool = False,
    outer_jacobian_strategy: str = "reverse-mode",
) -> Any:
    """Return the second derivatives of a function of one element by every two input elements.

    Returns:
        for inputs of shapes I and J a tensor of shape I + J.

    Raises:
        RuntimeError: the function returns several tensors, or one of several elements.
        NotImplementedError: `vectorize`, or another strategy than "reverse-mode".
    """
    _refuse("hessian", vectorize, outer_jacobian_strategy)
    several_inputs, xs = tensors_of("hessian", "inputs", inputs)

    def gradient(*point: Tensor) -> Tensors:
        def scalar(*xs: Tensor) -> Tensor:
            return scalar_of("hessian", func, xs, strict).reshape(())

        first: Tensors = jacobian(scalar, point, create_graph=True)
        for i, derivative in enumerate(first):
            require("hessian", strict, derivative.requires_grad, f"the jacobian by input {i}")
        return first

    result = jacobian(gradient, xs, create_graph, strict)
    return result if several_inputs else result[0][0]


def vjp(
    func: Function,
    inputs: Tensor | Tensors,
    v: Tensor | Tensors | None = None,
    create_graph: bool = False,
    strict: bool = False,
) -> tuple[Any, Any]:
    """Return the function's value and the product of a vector with its Jacobian, vᵀ·J.

    Args:
        v: of the shapes of the outputs; by default 1, for an output of a single element.

    Returns:
        the value, and for each input a tensor of its shape.
    """
    with enable_grad():
        several_inputs, xs = point_at("vjp", inputs, create_graph)
        several_outputs, outputs = value_of("vjp", func, xs, strict)
        vectors = vectors_of("vjp", v, outputs, "output")
        products = _filled(_grad(outputs, xs, vectors, create_graph), xs, strict, create_graph)
    return _results(create_graph, (several_outputs, outputs), (several_inputs, products))


def jvp(
    func: Function,
    inputs: Tensor | Tensors,
    v: Tensor | Tensors | None = None,
    create_graph: bool = False,
    strict: bool = False,
) -> tuple[Any, Any]:
    """Return the function's value and the product of its Jacobian with a vector, J·v.

    Reverse mode gives uᵀ·J for any u. That is linear in u, and its derivative by u in the
    direction v is J·v, so two sweeps do (Townsend 2017, *A new trick for calculating
    Jacobian vector products*).

    Args:
        v: of the shapes of the inputs; by default 1, for an input of a single element.

    Returns:
        the value, and for each output a tensor of its shape.
    """
    with enable_grad():
        _, xs = point_at("jvp", inputs, create_graph)
        vectors = vectors_of("jvp", v, xs, "input")
        several_outputs, outputs = value_of("jvp", func, xs, strict)
        us = tuple(zeros_like(out, requires_grad=True) for out in outputs)
        pulled = _grad(outputs, xs, us, create_graph=True)
        for i, row in enumerate(pulled):
            require("jvp", strict, row is not None, f"the output by input {i}")
        products = _filled(_grad(pulled, us, vectors, create_graph), us, strict, create_graph)
    return _results(create_graph, (several_outputs, outputs), (several_outputs, products))


def vhp(
    func: Function,
    inputs: Tensor | Tensors,
    v: Tensor | Tensors | None = None,
    create_graph: bool = False,
    strict: bool = False,
) -> tuple[Any, Any]:
    """Return the value of a function of one element and the product of a vector with its Hessian.

    The gradient of (gradient · v): two sweeps, and no Hessian in memory (Pearlmutter 1994, *Fast
    exact multiplication by the Hessian*). A Hessian that is symmetric gives the same as `hvp`.

    Args:
        v: of the shapes of the inputs; by default 1, for an input of a single element.

    Returns:
        the value, and for each input a tensor of its shape.

    Raises:
        RuntimeError: the function returns several tensors, or one of several elements.
    """
    with enable_grad():
        several, xs, vectors, output, first = _gradient(
            "vhp", func, inputs, v, create_graph, strict
        )
        products = _filled(_grad(first, xs, vectors, create_graph), xs, strict, create_graph)
    return _results(create_graph, (False, (output,)), (several, products))


def hvp(
    func: Function,
    inputs: Tensor | Tensors,
    v: Tensor | Tensors | None = None,
    create_graph: bool = False,
    strict: bool = False,
) -> tuple[Any, Any]:
    """Return the value of a function of one element and the product of its Hessian with a vector.

    The product of a vector u with the Hessian, as in `vhp`, is linear in u. Its derivative by u in
    the direction v is the product with v, a third sweep; see `jvp`.

    Args, returns and what is raised: as for `vhp`. Besides, under `strict` a `RuntimeError` is
    raised where the gradient is the same everywhere along its graph, as that of relu.
    """
    with enable_grad():
        several, xs, vectors, output, first = _gradient(
            "hvp", func, inputs, v, create_graph, strict
        )
        us = tuple(zeros_like(x, requires_grad=True) for x in xs)
        pulled = _grad(first, xs, us, create_graph=True)
        products = _filled(_grad(pulled, us, vectors, create_graph), xs, strict, create_graph)
    return _results(create_graph, (False, (output,)), (several, products))


def _gradient(
    operation: str, func: Function, inputs: Any, v: Any, create_graph: bool, strict: bool
) -> tuple[bool, Tensors, Any, Tensor, Any]:
    """Return whether the inputs are several, the inputs and vectors, the value and its gradient."""
    several, xs = point_at(operation, inputs, create_graph)
    vectors = vectors_of(operation, v, xs, "input")
    output = scalar_of(operation, func, xs, strict)
    first = _grad((output,), xs, (None,), create_graph=True)
    for i, gradient in enumerate(first):
        varies = gradient is not None and gradient.requires_grad
        require(operation, strict, varies, f"the jacobian by input {i}")
    return several, xs, vectors, output, first


def _rows(out: Tensor, xs: Tensors, create_graph: bool, strict: bool) -> Tensors:
    """Return the Jacobian of one output by each input."""
    if not out.numel():
        raise RuntimeError(
            f"jacobian: the output, of shape {list(out.shape)}, has no elements to differentiate: "
            "give a function, and a point, with elements"
        )
    rows = []
    for j in range(out.numel()):
        basis = np.zeros(out.numel(), out.dtype)
        basis[j] = 1
        vector = Tensor._wrapped(basis.reshape(out.shape))
        found = _grad((out,), xs, (vector,), create_graph, retain_graph=True)
        rows.append(_filled(found, xs, strict, create_graph))
    jacobians = tuple(
        stack(column).reshape((*out.shape, *x.shape))
        for column, x in zip(zip(*rows, strict=True), xs, strict=True)
    )
    return _finished(jacobians, create_graph)


def _grad(
    outputs: tuple[Tensor | None, ...],
    inputs: Tensors,
    vectors: tuple[Tensor | None, ...],
    create_graph: bool,
    retain_graph: bool | None = None,
) -> tuple[Tensor | None, ...]:
    """Return the gradients by the inputs; an output that depends on nothing counts for nothing."""
    used = [
        (out, vector)
        for out, vector in zip(outputs, vectors, strict=True)
        if out is not None and out.requires_grad
    ]
    if not used:
        return (None,) * len(inputs)
    results, cotangents = zip(*used, strict=True)
    return grad(results, inputs, cotangents, retain_graph, create_graph, allow_unused=True)


def _filled(
    grads: tuple[Tensor | None, ...], like: Tensors, strict: bool, create_graph: bool
) -> Tensors:
    """Return the gradients with zeros in place of None."""
    for i, gradient in enumerate(grads):
        varies = gradient is not None and (gradient.requires_grad or not create_graph)
        require("derivative", strict, varies, f"the result by input {i}")
    return tuple(
        zeros_like(x) if gradient is None else gradient
        for gradient, x in zip(grads, like, strict=True)
    )


def _finished(tensors: Tensors, create_graph: bool) -> Tensors:
    return tensors if create_graph else tuple(x.detach() for x in tensors)


def _results(create_graph: bool, *parts: tuple[bool, Tensors]) -> tuple[Any, Any]:
    """Return each part as a tuple or, where it is not one of several, as a tensor."""
    first, second = (
        finished if several else finished[0]
        for several, tensors in parts
        for finished in [_finished(tensors, create_graph)]
    )
    return first, second


def _refuse(operation: str, vectorize: bool, strategy: str) -> None:
    if vectorize or strategy != "reverse-mode":
        raise NotImplementedError(
            f"{operation}: minigrad computes derivatives row by row in reverse mode: leave "
            "vectorize=False and the strategy 'reverse-mode'"
        )
