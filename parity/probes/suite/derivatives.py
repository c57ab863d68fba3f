"""Gradients of gradients: the backward pass, recorded and run backwards in its turn."""

from typing import Any

from parity.probes.probe import integers, normal, probe


@probe(x=normal(5, 3), weight=normal(2, 3), bias=normal(2), y=normal(5, 2))
def gradient_penalty_of_a_layer(lib: Any, inputs: Any, note: Any) -> Any:
    """A layer, an activation and the loss, twice differentiated."""
    x, weight, bias, y = inputs.values()
    out = note("out", lib.tanh(lib.nn.functional.linear(x, weight, bias)))
    loss = note("loss", lib.nn.functional.mse_loss(out, y))
    gradients = lib.autograd.grad(loss, [weight, bias], create_graph=True)
    note.gradient("gradient by weight", weight, gradients[0])
    note.gradient("gradient by bias", bias, gradients[1])
    return loss + sum((gradient * gradient).sum() for gradient in gradients)


@probe(x=normal(4))
def third_derivative(lib: Any, inputs: Any, note: Any) -> Any:
    """Differentiated three times."""
    (x,) = inputs.values()
    out = note("out", (lib.tanh(x) * x.exp()).sum())
    (first,) = lib.autograd.grad(out, x, create_graph=True)
    note.gradient("first", x, first)
    product = note("product", (first * x).sum())
    (second,) = lib.autograd.grad(product, x, create_graph=True)
    note.gradient("second", x, second)
    return (second * second).sum()


@probe(x=normal(4), v=normal(4))
def product_of_hessian_and_vector(lib: Any, inputs: Any, note: Any) -> None:
    """Backward through a gradient with a gradient of its own."""
    x, v = inputs.values()
    out = note("out", (x.tanh() * x).sum())
    (gradient,) = lib.autograd.grad(out, x, create_graph=True)
    (product,) = lib.autograd.grad(gradient, x, v)
    note.gradient("product", x, product)


@probe(exact=True, x=integers(3, below=6))
def recorded_gradients_accumulate(lib: Any, inputs: Any, note: Any) -> None:
    """backward(create_graph=True) leaves a gradient with a history, and adds to it as a new one."""
    (x,) = inputs.values()
    note("out", (x * x * x).sum()).backward(create_graph=True)
    first = x.grad
    note.gradient("first", x)
    (x * x).sum().backward(create_graph=True)
    note.gradient("both", x)
    note("kept from the first", first, gradient=False)
    (second,) = lib.autograd.grad(x.grad.sum(), x)
    note.gradient("second derivative", x, second)
    x.grad = None
