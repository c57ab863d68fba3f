"""Gradients of gradients: the backward pass, recorded and run backwards in its turn."""

from collections.abc import Callable, Mapping
from typing import Any

from parity.probes.probe import distinct, given, integers, normal, positive, probe
from parity.probes.suite import counted


def twice(lib: Any, note: Any, calls: Mapping[str, Callable[..., Any]], *inputs: str) -> None:
    """Note for every call the gradients, recorded, and the gradients of the sum of their squares.

    Each call has leaves of its own.
    """
    for name, call in calls.items():
        leaves = [note.leaf(by) for by in inputs]
        out = note(name, call(*leaves), gradient=False)
        gradients = lib.autograd.grad(out, leaves, counted(lib, out), create_graph=True)
        for by, leaf, gradient in zip(inputs, leaves, gradients, strict=True):
            note.gradient(f"{name}: gradient by {by}", leaf, gradient)
        penalty = sum((gradient * gradient).sum() for gradient in gradients)
        note(f"{name}: penalty", penalty, gradient=False).backward()
        for by, leaf in zip(inputs, leaves, strict=True):
            note.gradient(f"{name}: penalty by {by}", leaf)


@probe(exact=True, x=integers(3, below=6), y=integers(3, below=6))
def twice_differentiated(lib: Any, inputs: Any, note: Any) -> None:
    """Polynomials of integers: not a bit may be off."""
    calls = {
        "xy²": lambda x, y: x * y * y,
        "x·x - y·x": lambda x, y: x * x - y * x,
        "square": lambda x, y: x.square() * y,
        "x³": lambda x, y: x**3 + y**2 + x**0,
        "relu and |y|": lambda x, y: lib.relu(x) * y * y + y.abs() * x * y,
        "where": lambda x, y: lib.where(x > y, x * y, -y * y),
        "clone": lambda x, y: x.clone() * x * y,
        "conversion": lambda x, y: (x.double() * y).to(x.dtype) * y,
        "broadcast": lambda x, y: x[:, None] * y * x,
    }
    twice(lib, note, calls, *inputs)


@probe(exact=True, x=distinct(3, 2, beside=0.5), y=integers(3, 2, below=4))
def twice_differentiated_choices(lib: Any, inputs: Any, note: Any) -> None:
    """Maximum and minimum have no curvature, but what stands beside them has."""
    calls = {
        "maximum": lambda x, y: lib.maximum(x, y) * x * y,
        "minimum": lambda x, y: lib.minimum(x, y) * y * y,
        "amax": lambda x, y: x.amax(0) * y * x,
        "amin": lambda x, y: x.amin(1, keepdim=True) * y * x,
    }
    twice(lib, note, calls, *inputs)


@probe(exact=True, x=integers(4, 2, below=4), y=integers(4, 2, below=4))
def twice_differentiated_rearrangements(lib: Any, inputs: Any, note: Any) -> None:
    """Shapes, indices, assignments, joins, sums and products of matrices."""

    def assigned(x: Any, y: Any) -> Any:
        target = x * y
        target[1] = x[2] * x[3]
        return target

    calls = {
        "sum and mean": lambda x, y: x.sum(0) * y.mean(0) * x,
        "permute": lambda x, y: x.permute(1, 0) * y.t() * x.reshape(2, 4),
        "expand": lambda x, y: y[:1].expand(4, 2) * x * x,
        "squeeze": lambda x, y: x.unsqueeze(1).squeeze(1) * y * y,
        "index": lambda x, y: x[[0, 0, 2]] * y[1:] * x[:3],
        "assignment": assigned,
        "cat": lambda x, y: lib.cat([x, x * y], 1) * lib.cat([y, y], 1),
        "stack": lambda x, y: lib.stack([x, y * x]) * y,
        "matmul": lambda x, y: x @ y.t() * x[:, :1],
        "linear": lambda x, y: lib.nn.functional.linear(x, y, y[:, 0]) * x[:, :1],
        "loss": lambda x, y: lib.nn.functional.mse_loss(x, y) * x[0] * y[0],
    }
    twice(lib, note, calls, *inputs)


@probe(x=positive(3), y=positive(3))
def twice_differentiated_functions(lib: Any, inputs: Any, note: Any) -> None:
    """Quotients, powers and functions of a mathematics library."""
    calls = {
        "x/y": lambda x, y: x / y,
        "x**y": lambda x, y: x**y,
        "x**-1.5": lambda x, y: x**-1.5 * y,
        "sqrt": lambda x, y: x.sqrt() * y.sqrt(),
        "log": lambda x, y: x.log() * y.log(),
        "exp": lambda x, y: (x * -0.5).exp() * y,
        "tanh": lambda x, y: lib.tanh(x) * y,
        "sigmoid": lambda x, y: lib.sigmoid(x - y),
    }
    twice(lib, note, calls, *inputs)


@probe(exact=True, x=given(0.0, 0.0, 1.0), y=given(1.0, 3.0, 2.0))
def twice_differentiated_at_zero(lib: Any, inputs: Any, note: Any) -> None:
    """Powers of 0, whose logarithm is not finite."""
    calls = {"x**2": lambda x, y: x**2 * y, "|x|": lambda x, y: x.abs() * x * y}
    twice(lib, note, calls, *inputs)
    x, y = inputs.values()
    out = note("x**y", x**y, gradient=False)
    (gradient,) = lib.autograd.grad(out, y, counted(lib, out), create_graph=True)
    note.gradient("x**y: gradient by y", y, gradient)


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
