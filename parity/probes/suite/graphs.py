"""Graphs that are no chains: what the tape adds up, sums down and puts in order."""

from typing import Any

from parity.probes.probe import away_from_zero, distinct, integers, normal, positive, probe


@probe(exact=True, x=integers(3, 4), y=integers(4), w=integers(3, 4))
def broadcast_over_an_added_axis(lib: Any, inputs: Any, note: Any) -> Any:
    """The gradient of what was repeated is the sum over its repetitions, on either side."""
    x, y, w = inputs.values()
    a = note("x + y", x + y)
    b = note("y - x", y - x)
    return ((note("ab", a * b) + note("y·w", y * w)) * w).sum()


@probe(exact=True, x=integers(3, 1), y=integers(1, 4), z=integers(), w=integers(3, 4))
def broadcast_over_stretched_axes(lib: Any, inputs: Any, note: Any) -> Any:
    """Both operands are stretched, each along another axis, and one has no axes at all."""
    x, y, z, w = inputs.values()
    return (note("x·y", x * y) * w + note("z - x", z - x) * w + note("y + z", y + z)).sum()


@probe(
    x=positive(2, 1, 3),
    y=away_from_zero(4, 1),
    u=positive(4, 1),
    w=normal(2, 4, 3),
)
def broadcast_in_every_operation(lib: Any, inputs: Any, note: Any) -> Any:
    """Axes that are added and axes that are stretched, in all operations of two operands."""
    x, y, u, w = inputs.values()
    total = note("x/y", x / y) + note("x - y", x - y) + note("x**u", x**u) + note("x·y", x * y)
    chosen = note("maximum", lib.maximum(x, u)) + note("minimum", lib.minimum(y, x))
    return ((total + chosen + note("where", lib.where(w > 0, x, y))) * w).sum()


@probe(exact=True, x=integers(4, below=4))
def diamond(lib: Any, inputs: Any, note: Any) -> Any:
    """Two ways from x to the result: both count, and each once."""
    (x,) = inputs.values()
    a = note("a", x * 2)
    b = note("b", a * a + a)
    return note("loss", (b * a).sum())


@probe(x=normal(4))
def diamond_of_functions(lib: Any, inputs: Any, note: Any) -> Any:
    """The same of functions."""
    (x,) = inputs.values()
    a = note("a", lib.tanh(x))
    b = note("b", a.exp() * a)
    c = note("c", lib.sigmoid(a - b))
    return (b * c + a).sum()


@probe(exact=True, x=integers(3, 3), w=integers(3, 3))
def one_tensor_twice_in_an_operation(lib: Any, inputs: Any, note: Any) -> Any:
    """Both inputs of an operation are the same tensor: both gradients count."""
    x, w = inputs.values()
    same = note("x·x", x * x) + note("x + x", x + x) - note("x - x", x - x)
    pair = note("maximum", lib.maximum(x, x)) + note("cat", lib.cat([x, x]))[3:]
    return ((same + note("xx", x @ x) + pair) * w).sum()


@probe(exact=True, x=integers(3, below=4))
def many_diamonds_in_a_row(lib: Any, inputs: Any, note: Any) -> Any:
    """2¹² ways from x to the result: each node's turn comes once, when its gradient is complete."""
    (x,) = inputs.values()
    a = x
    for i in range(12):
        a = note(f"a{i}", a + a) if i % 4 == 3 else a + a
    return a.sum()


@probe(exact=True, x=integers(3, below=4), y=integers(3, below=4))
def connections_that_skip(lib: Any, inputs: Any, note: Any) -> Any:
    """Values that are used early and again late: a gradient must not be passed on too soon."""
    x, y = inputs.values()
    a = note("a", x * y)
    b = note("b", a + x)
    c = note("c", b * 2 - y)
    d = note("d", c * a)
    return (note("e", d + b * a + x)).sum()


@probe(exact=True, x=integers(4), y=integers(4))
def a_branch_that_leads_nowhere(lib: Any, inputs: Any, note: Any) -> Any:
    """What the result does not depend on receives no gradient, and disturbs none."""
    x, y = inputs.values()
    a = note("a", x * 3)
    note("unused", a * y)
    return (a * x).sum()


@probe(x=normal(5, 3), weight=normal(3, 3), bias=normal(3))
def one_layer_applied_twice(lib: Any, inputs: Any, note: Any) -> Any:
    """A shared parameter's gradient is the sum over its uses."""
    x, weight, bias = inputs.values()
    a = note("first", lib.tanh(lib.nn.functional.linear(x, weight, bias)))
    b = note("second", lib.nn.functional.linear(a, weight, bias))
    return (b * b).mean()


@probe(exact=True, x=integers(4, 3))
def rows_and_columns_that_meet(lib: Any, inputs: Any, note: Any) -> Any:
    """Views that share elements: their gradients meet in the base."""
    (x,) = inputs.values()
    y = note("y", x * 2)
    turned = note("turned", y.t()) * note("again", y.reshape(3, 4))
    crossing = note("row", y[1]).sum() * note("column", y[:, 1]).sum()
    return turned.sum() + crossing + (y[1:] * y[:-1]).sum()


@probe(exact=True, x=integers(4), w=integers(6))
def one_element_named_several_times(lib: Any, inputs: Any, note: Any) -> Any:
    """Repeated indices: an element receives a gradient for each time it was read."""
    x, w = inputs.values()
    return (note("read", x[lib.tensor([0, 2, 2, 1, 2, 0])]) * w).sum()


@probe(exact=True, x=distinct(3, 4), w=integers(4))
def one_result_in_several_reductions(lib: Any, inputs: Any, note: Any) -> Any:
    """Reductions of reductions, over other axes."""
    x, w = inputs.values()
    columns = note("columns", x.sum(0))
    top = note("top", columns.amax())
    mean = note("mean", (columns * w).mean())
    return top * mean + (x - top).sum()
