"""The tape itself: accumulating, releasing, hooks, in-place changes, and where recording ends."""

from collections.abc import Callable
from typing import Any

from parity.probes.probe import integers, normal, probe


def refused(call: Any) -> bool:
    """Return whether a call raises a RuntimeError."""
    try:
        call()
    except RuntimeError:
        return True
    return False


@probe(exact=True, x=integers(3), y=integers(3))
def two_backward_passes_accumulate(lib: Any, inputs: Any, note: Any) -> None:
    """Gradients are added to what is there, until they are taken away."""
    x, y = inputs.values()
    (x * y).sum().backward()
    note.gradient("first", x)
    kept = x.grad
    (x * x).sum().backward()
    note.gradient("both", x)
    note("kept from the first", kept)
    x.grad = None
    (x * 3).sum().backward()
    note.gradient("anew", x)


@probe(exact=True, x=integers(3), y=integers(3))
def two_losses_of_one_graph(lib: Any, inputs: Any, note: Any) -> None:
    """retain_graph: the second loss uses what the first has left."""
    x, y = inputs.values()
    a = note("a", x * y)
    first, second = note("first", (a * x).sum()), note("second", (a * a).sum())
    first.backward(retain_graph=True)
    note.gradient("of the first", x)
    second.backward()
    note.gradient("of both", x)


@probe(exact=True, x=integers(3))
def a_graph_is_used_once(lib: Any, inputs: Any, note: Any) -> None:
    """A second backward pass without retain_graph is refused, and changes nothing."""
    (x,) = inputs.values()
    loss = (x * x).sum()
    loss.backward()
    note.flag("refused", refused(loss.backward))


@probe(exact=True, x=integers(3), y=integers(3))
def gradients_of_some_inputs(lib: Any, inputs: Any, note: Any) -> None:
    """autograd.grad returns what is asked for and leaves .grad alone."""
    x, y = inputs.values()
    a = note("a", x * y)
    out = a * a + x
    by_a, by_x = lib.autograd.grad(out, [a, x], lib.ones_like(out) * 2, retain_graph=True)
    note.gradient("by a", a, by_a)
    note.gradient("by x", x, by_x)
    (unused,) = lib.autograd.grad(x.sum(), [y], allow_unused=True)
    note.flag("unused is None", unused is None)
    out.sum().backward(inputs=[y], retain_graph=True)
    note.gradient("y alone", y)
    note.gradient("x without one", x)
    lib.autograd.backward([a.sum(), (x * 2).sum()])


@probe(exact=True, x=integers(3), w=integers(3))
def hooks(lib: Any, inputs: Any, note: Any) -> Any:
    """Hooks see the complete gradient, in their order, and may replace it, until removed."""
    x, w = inputs.values()
    a = note("a", x * w)
    seen = []
    a.register_hook(lambda gradient: seen.append(gradient * 1))
    a.register_hook(lambda gradient: gradient * 2)
    a.register_hook(lambda gradient: gradient + 1)
    removed = a.register_hook(lambda gradient: gradient * 0)
    handle = x.register_hook(lambda gradient: -gradient)
    removed.remove()
    (a * a + a).sum().backward()
    note.gradient("what the hook saw", a, seen[0])
    handle.remove()
    note.gradient("doubled, one more, negative", x)
    return (x * 5).sum()


@probe(exact=True, x=integers(3, 4), y=integers(4), w=integers(3, 4))
def changed_in_place(lib: Any, inputs: Any, note: Any) -> Any:
    """Recorded in-place operations: the gradient follows every one of them, with the old values."""
    x, y, w = inputs.values()
    a = x * 2
    a.add_(y)
    a.mul_(w)
    a.sub_(x)
    a.div_(4)
    note("a", a)
    b = x * w
    b += a
    b *= y
    b.add_(x, alpha=2).sub_(w, alpha=3)
    b[1] = x[0] * y
    b[:, 2] = 3.0
    c = (x * 1).copy_(y)
    d = (x * 1).zero_()
    d += w
    e = (x * 1).fill_(2.0)
    return ((note("b", b) + note("c", c) + note("d", d) + note("e", e)) * w).sum()


@probe(exact=True, x=integers(3), y=integers(3))
def overwritten_in_place(lib: Any, inputs: Any, note: Any) -> Any:
    """What replaces all values gets the gradient; the values that were there get zeros."""
    x, y = inputs.values()
    return (note("copied", (x * 1).copy_(y)) * x).sum()


@probe(exact=True, x=integers(3), y=integers(3))
def saved_values_are_guarded(lib: Any, inputs: Any, note: Any) -> None:
    """A value that a derivative needs was changed: refused; one that none needs: allowed."""
    x, y = inputs.values()
    a = x * 2
    loss = (a * y).sum()
    a.mul_(3)
    note.flag("needed", refused(loss.backward))
    b = x * 2
    loss = (b + y).sum()
    b.mul_(3)
    note.flag("not needed", refused(loss.backward))
    views: dict[str, Callable[[Any], Any]] = {
        "turned": lambda a: a.reshape(3, 1).t(),
        "part": lambda a: a[1:],
    }
    for name, view in views.items():
        c = x * 2
        loss = (view(c) * view(y)).sum()
        c.mul_(3)
        note.flag(f"{name}, whose base was changed", refused(loss.backward))
    note.flag("leaf", refused(lambda: x.add_(1)))
    with lib.no_grad():
        leaf = (x * 1).requires_grad_()
        leaf.add_(1)
    note("leaf under no_grad", leaf)


@probe(exact=True, x=integers(3), y=integers(3))
def where_recording_ends(lib: Any, inputs: Any, note: Any) -> Any:
    """Detached values and no_grad make constants; enable_grad and what follows record again."""
    x, y = inputs.values()
    a = note("a", x * y)
    constant = note("detached", a.detach())
    with lib.no_grad():
        quiet = note("under no_grad", a * x)
        with lib.enable_grad():
            again = note("recorded again", a * 3)
    for name, tensor in {"a": a, "detached": constant, "quiet": quiet, "again": again}.items():
        note.flag(f"{name} is recorded", tensor.requires_grad)
    return (a * constant + quiet * y + again + x.detach() * x).sum()


@probe(exact=True, x=integers(3))
def detached_values_share_memory(lib: Any, inputs: Any, note: Any) -> Any:
    """A clone has memory of its own, a detached tensor has not, nor has a slice."""
    (x,) = inputs.values()
    a = (x * 1).detach()
    own, shared, view = a.clone(), a.detach(), a[1:]
    a.add_(10)
    note("own", own)
    note("shared", shared)
    note("view", view)
    return (x * own).sum()


@probe(x=normal(4, 3), y=normal(4, 3))
def backward_with_a_gradient(lib: Any, inputs: Any, note: Any) -> None:
    """A result of several elements is given its gradient, which is not changed."""
    x, y = inputs.values()
    a = note("a", lib.tanh(x) * y)
    gradient = note.leaf("y") * 1
    a.backward(gradient)
    note("given", gradient)


@probe(exact=True, x=integers(3), y=integers(3))
def gradients_have_memory_of_their_own(lib: Any, inputs: Any, note: Any) -> None:
    """A gradient is its owner's to change: neither another one nor what was given changes too."""
    x, y = inputs.values()
    given = note.leaf("x") * 1
    (x + y).backward(given)
    (x - y).backward(given)
    note.gradient("x twice", x)
    note.gradient("y to and fro", y)
    (x + y).backward(given)
    x.grad.mul_(0)
    note.gradient("x set to 0", x)
    note.gradient("y as it was", y)
    note("given", given)


@probe(exact=True, x=integers(4, below=4))
def views_of_views(lib: Any, inputs: Any, note: Any) -> Any:
    """What changes a tensor in place changes its views, and theirs: their gradients too."""
    (x,) = inputs.values()
    base = x * 2
    part = base[1:][:2].reshape(2, 1)
    base.mul_(3)
    note("base", base, gradient=False)
    try:
        right = bool((part == (x * 6)[1:3].reshape(2, 1)).all())
        (by,) = lib.autograd.grad((part * 7).sum(), x, retain_graph=True)
        right = right and by.tolist() == [0.0, 42.0, 42.0, 0.0]
    except RuntimeError:  # torch follows it; an engine may refuse to
        right = True
    note.flag("right, or refused", right)
    return (base * x).sum()
