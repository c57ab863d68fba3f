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

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from minigrad.autograd.gradients import grad
from minigrad.creation import zeros_like
from minigrad.grad_mode import enable_grad
from minigrad.joining import stack
from minigrad.tensor import Tensor

Tensors: TypeAlias = tuple[Tensor, ...]
Function: TypeAlias = Callable[..., Any]

__all__ = ["hessian", "hvp", "jacobian", "jvp", "vjp"]


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
        several_inputs, xs = _point("jacobian", inputs, create_graph)
        several_outputs, outputs = _value("jacobian", func, xs, strict)
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
    several_inputs, xs = _tensors("hessian", "inputs", inputs)

    def gradient(*point: Tensor) -> Tensors:
        def scalar(*xs: Tensor) -> Tensor:
            return _scalar("hessian", func, xs, strict).reshape(())

        first: Tensors = jacobian(scalar, point, create_graph=True)
        for i, derivative in enumerate(first):
            _require("hessian", strict, derivative.requires_grad, f"the jacobian by input {i}")
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
        several_inputs, xs = _point("vjp", inputs, create_graph)
        several_outputs, outputs = _value("vjp", func, xs, strict)
        vectors = _vectors("vjp", v, outputs, "output")
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
        _, xs = _point("jvp", inputs, create_graph)
        vectors = _vectors("jvp", v, xs, "input")
        several_outputs, outputs = _value("jvp", func, xs, strict)
        us = tuple(zeros_like(out, requires_grad=True) for out in outputs)
        pulled = _grad(outputs, xs, us, create_graph=True)
        for i, row in enumerate(pulled):
            _require("jvp", strict, row is not None, f"the output by input {i}")
        products = _filled(_grad(pulled, us, vectors, create_graph), us, strict, create_graph)
    return _results(create_graph, (several_outputs, outputs), (several_outputs, products))


def hvp(
    func: Function,
    inputs: Tensor | Tensors,
    v: Tensor | Tensors | None = None,
    create_graph: bool = False,
    strict: bool = False,
) -> tuple[Any, Any]:
    """Return the value of a function of one element and the product of its Hessian with a vector.

    The gradient of (gradient · v): two sweeps, and no Hessian in memory (Pearlmutter 1994, *Fast
    exact multiplication by the Hessian*). That gives vᵀ·H, which is H·v since H is symmetric.

    Args:
        v: of the shapes of the inputs; by default 1, for an input of a single element.

    Returns:
        the value, and for each input a tensor of its shape.

    Raises:
        RuntimeError: the function returns several tensors, or one of several elements.
    """
    with enable_grad():
        several_inputs, xs = _point("hvp", inputs, create_graph)
        vectors = _vectors("hvp", v, xs, "input")
        output = _scalar("hvp", func, xs, strict)
        first = _grad((output,), xs, (None,), create_graph=True)
        for i, gradient in enumerate(first):
            varies = gradient is not None and gradient.requires_grad
            _require("hvp", strict, varies, f"the jacobian by input {i}")
        products = _filled(_grad(first, xs, vectors, create_graph), xs, strict, create_graph)
    return _results(create_graph, (False, (output,)), (several_inputs, products))


def _rows(out: Tensor, xs: Tensors, create_graph: bool, strict: bool) -> Tensors:
    """Return the Jacobian of one output by each input."""
    rows = []
    for j in range(out.numel()):
        basis = np.zeros(out.numel(), out.dtype)
        basis[j] = 1
        vector = Tensor(basis.reshape(out.shape))
        found = _grad((out,), xs, (vector,), create_graph, retain_graph=True)
        rows.append(_filled(found, xs, strict, create_graph))
    columns = zip(*rows, strict=True) if rows else [()] * len(xs)
    jacobians = tuple(
        stack(column).reshape(*out.shape, *x.shape)
        if column
        else Tensor(np.zeros((*out.shape, *x.shape), x.dtype))
        for column, x in zip(columns, xs, strict=True)
    )
    return _finished(jacobians, create_graph)


def _tensors(operation: str, what: str, given: Any) -> tuple[bool, Tensors]:
    """Return whether a tuple was given, and the tensors as a tuple."""
    several = isinstance(given, tuple)
    tensors = given if several else (given,)
    for tensor in tensors:
        if not isinstance(tensor, Tensor):
            raise TypeError(
                f"{operation}: the {what} must be either a Tensor or a tuple of Tensors, but "
                f"{type(tensor).__name__} was given"
            )
    return several, tensors


def _point(operation: str, inputs: Any, create_graph: bool) -> tuple[bool, Tensors]:
    """Return whether a tuple was given, and the point as tensors of their own.

    New tensors, so that a function which also refers to the same tensors by itself is
    differentiated by its arguments alone.
    """
    several, tensors = _tensors(operation, "inputs", inputs)
    return several, tuple(
        x.clone() if create_graph and x.requires_grad else x.detach().requires_grad_()
        for x in tensors
    )


def _value(operation: str, func: Function, xs: Tensors, strict: bool) -> tuple[bool, Tensors]:
    """Return whether the function gives a tuple, and its value as a tuple."""
    several, outputs = _tensors(operation, "outputs of the function", func(*xs))
    for i, out in enumerate(outputs):
        _require(operation, strict, out.requires_grad, f"output {i}")
    return several, outputs


def _scalar(operation: str, func: Function, xs: Tensors, strict: bool) -> Tensor:
    """Return the function's value, which has a single element."""
    several, outputs = _value(operation, func, xs, strict)
    if several or outputs[0].numel() != 1:
        given = f"{len(outputs)} tensors" if several else f"shape {list(outputs[0].shape)}"
        raise RuntimeError(
            f"{operation}: the function should return a single Tensor that should contain a single "
            f"element, but it returned {given}: reduce it, for example with .sum()"
        )
    return outputs[0]


def _vectors(operation: str, v: Any, like: Tensors, what: str) -> Tensors | tuple[None, ...]:
    """Return the vectors to multiply with, checked against what they belong to."""
    if v is None:
        if len(like) != 1 or like[0].numel() != 1:
            raise RuntimeError(
                f"{operation}: the vector v can only be None if there is a single {what} with a "
                f"single element: give one of shape {[list(x.shape) for x in like]}"
            )
        return (Tensor(np.ones(like[0].shape, like[0].dtype)),)
    _, vectors = _tensors(operation, "vector v", v)
    if [x.shape for x in vectors] != [x.shape for x in like]:
        raise RuntimeError(
            f"{operation}: v has invalid length or size: its shapes are "
            f"{[list(x.shape) for x in vectors]}, those of the {what}s are "
            f"{[list(x.shape) for x in like]}"
        )
    return vectors


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
        _require("derivative", strict, varies, f"the result by input {i}")
    return tuple(
        zeros_like(x) if gradient is None else gradient
        for gradient, x in zip(grads, like, strict=True)
    )


def _require(operation: str, strict: bool, holds: bool, what: str) -> None:
    if strict and not holds:
        raise RuntimeError(
            f"{operation}: {what} is independent of the inputs, or not computed from them by "
            "operations that are recorded. This is not allowed in strict mode."
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
