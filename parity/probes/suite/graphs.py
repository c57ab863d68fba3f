"""Graphs that are no chains: what the tape adds up, sums down and puts in order."""

from typing import Any

from parity.probes.probe import integers, normal, probe


@probe(exact=True, x=integers(3, 4), y=integers(4), z=integers(4), w=integers(3, 4))
def broadcast_over_an_added_axis(lib: Any, inputs: Any, note: Any) -> Any:
    """The gradient of what was repeated is the sum over its repetitions, however it was done."""
    x, y, z, w = inputs.values()
    a = note("x + y", x + y)
    b = note("z - x", note("expanded", z.expand(3, 4)) - x)
    return ((note("ab", a * b) + note("y·w", y * w)) * w).sum()


@probe(x=normal(4, 1), y=normal(3))
def losses_of_a_column_and_a_row(lib: Any, inputs: Any, note: Any) -> None:
    """Each broadcasts its two tensors, and its mean is that over all differences."""
    for name in ("mse_loss", "l1_loss", "huber_loss", "smooth_l1_loss"):
        for reduction in ("mean", "sum", "none"):
            x, y = note.leaf("x"), note.leaf("y")
            loss = getattr(lib.nn.functional, name)(x, y, reduction=reduction)
            note(f"{name}, {reduction}", loss, gradient=False).sum().backward()
            note.gradient(f"{name}, {reduction}: by x", x)
            note.gradient(f"{name}, {reduction}: by y", y)


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


@probe(exact=True, x=integers(4, 3))
def rows_and_columns_that_meet(lib: Any, inputs: Any, note: Any) -> Any:
    """Views that share elements: their gradients meet in the base."""
    (x,) = inputs.values()
    y = note("y", x * 2)
    turned = note("turned", y.t()) * note("again", y.reshape(3, 4))
    crossing = note("row", y[1]).sum() * note("column", y[:, 1]).sum()
    return turned.sum() + crossing + (y[1:] * y[:-1]).sum()
