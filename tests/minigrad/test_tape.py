"""The tape: long chains, order, accumulation, what is kept, what is shared, and what is refused."""

import gc
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import minigrad
from minigrad import autograd, tape
from minigrad.ops import Rule
from tests.minigrad.sessions import agree, parts, sessions

ENGINES = pytest.mark.parametrize("T", [minigrad, torch], ids=["minigrad", "torch"])
"""Runs a test on torch as well: what it expects is then known to be torch's behaviour."""


def leaf(T: Any, values: Any, dtype: str = "float64") -> Any:
    return T.tensor(values, dtype=getattr(T, dtype), requires_grad=True)


# ---- length ---------------------------------------------------------------------------------

LONG_CHAIN = """
import gc
import minigrad

gc.disable()  # it would look through the growing graph again and again
x = minigrad.tensor([1.0, -2.0], requires_grad=True)
y = x
for _ in range(200_001):
    y = -y
assert y.tolist() == [-1.0, 2.0]
y.backward(minigrad.ones(2))
assert x.grad.tolist() == [-1.0, -1.0], x.grad
node = y.grad_fn
del y  # many nodes, each the only owner of the next
gc.collect()
assert node.name() == "NegBackward0"
del node
gc.collect()
print("freed")
"""

DOUBLE_CHAIN = """
import gc
import minigrad

x = minigrad.tensor(1.0, dtype=minigrad.float64, requires_grad=True)
a, b = x, x
for _ in range(2_000):
    a, b = a + b, a - b  # every node has two consumers: 2 ** 2_000 paths
    a, b = a * 0.5, b * 0.5
(a * 1.0).backward()
# The map (a, b) -> (a + b, a - b) / 2 applied twice halves both.
assert x.grad.item() == 0.5 ** 1_000 > 0.0
x.grad = None
c = d = x
for _ in range(100):
    c, d = c + d, c - d
c.backward()
assert x.grad.item() == 2.0 ** 50, x.grad
unused = [x]
for _ in range(100_000):
    unused.append(unused[-1] * 1.0)
del unused[1:-1], a, b, c, d  # a chain that is never swept is freed as well
gc.collect()
del unused
gc.collect()
print("freed")
"""

CREATE_GRAPH_CHAIN = """
import gc
import minigrad
from minigrad.autograd import grad

x = minigrad.tensor(1.0, dtype=minigrad.float64, requires_grad=True)
y = x
for _ in range(10_000):
    y = y * x
(first,) = grad(y, x, create_graph=True)
(second,) = grad(first, x)
assert first.item() == 10_001 and second.item() == 10_001 * 10_000
del y, first, second
gc.collect()
print("freed")
"""


def test_chains_run_backpropagate_and_are_freed() -> None:
    # In a process of their own: what overflows the C stack ends it.
    scripts = LONG_CHAIN + DOUBLE_CHAIN + CREATE_GRAPH_CHAIN
    finished = subprocess.run([sys.executable, "-c", scripts], capture_output=True, text=True)
    assert (finished.returncode, finished.stdout) == (0, 3 * "freed\n"), finished.stderr[-2000:]


# ---- unbroadcast ----------------------------------------------------------------------------

lengths = st.lists(st.integers(0, 3), max_size=4)


@st.composite
def broadcast_shapes(draw: st.DrawFn) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """A shape, and one it broadcasts to."""
    small = tuple(draw(lengths))
    stretched = tuple(draw(st.integers(0, 3)) if n == 1 else n for n in small)
    return small, (*draw(st.lists(st.integers(0, 3), max_size=2)), *stretched)


@settings(deadline=None)  # torch takes long at its first call
@given(broadcast_shapes())
def test_unbroadcast_is_the_gradient_of_torchs_expand(shapes: tuple[Any, Any]) -> None:
    small, large = shapes
    grad = np.arange(np.prod(large), dtype=np.float64).reshape(large)
    x = torch.zeros(small, dtype=torch.float64, requires_grad=True)
    x.expand(large).backward(torch.tensor(grad))  # type: ignore[no-untyped-call]
    assert x.grad is not None
    summed = tape.unbroadcast(grad, small)
    assert summed.shape == small
    assert summed.tolist() == x.grad.tolist()


# ---- sessions --------------------------------------------------------------------------------


SESSIONS = sessions(r"""
# diamond
x = leaf([1.0, 2.0, 3.0])
shared = x * x
((shared + x) * (shared * 2)).sum().backward()
x.grad

# shared subexpression is swept once
x, calls = leaf([2.0]), []
shared = x * 3
handle = shared.register_hook(lambda grad: calls.append(grad.tolist()))
(shared * 2 + shared * shared).sum().backward()
calls, x.grad

# gradients accumulate over backwards
x = leaf([1.0, 2.0])
(x * 3).sum().backward()
first = x.grad
(x * x).sum().backward()
x.grad, first is x.grad  # it was added to in place
x.grad = None
(x * 2).sum().backward()
x.grad, first

# a recorded gradient is added to anew, and only if that is recorded
x = leaf([1.0, 2.0])
(x * x).sum().backward(create_graph=True)
first = x.grad
(x * x).sum().backward(create_graph=True)
second = x.grad
first, second
(x * x).sum().backward()
x.grad is second, second

# gradients of results accumulate anew
x = leaf([1.0, 2.0])
y = x * 3
z = y + 1
y.retain_grad(), z.retain_grad()
z.sum().backward(retain_graph=True)
first = y.grad
z.grad.zero_()  # the same memory as that of y, if it were not a copy
first
z.sum().backward(retain_graph=True)
first, y.grad
z.sum().backward(inputs=[y])
first

# what a hook has kept is not added to
x, y, seen = leaf([1.0]), leaf([1.0]), []
given = T.tensor([5.0], dtype=T.float64)
handles = x.register_hook(seen.append), y.register_hook(lambda grad: given)
(x * 2 + y).sum().backward()
(x * 2 + y).sum().backward()
seen, given, x.grad, y.grad

# a gradient that is added to in place is noticed where it was saved
x, w = leaf([1.0, 2.0]), leaf([3.0, 4.0])
x.sum().backward()
y = (w * x.grad).sum()
x.sum().backward()
refused("modified by an inplace operation", y.backward)

# a gradient whose elements share memory is not added to
x = leaf([1.0, 2.0])
x.grad = T.ones(1, dtype=T.float64).expand(2)
refused("single memory location|share one memory location", x.sum().backward)

# a gradient that shares a part of its memory with what it is added to is not added
x, g = leaf([[1.0, 2.0], [3.0, 4.0]]), T.arange(4.0, dtype=T.float64).reshape(2, 2)
x.backward(g)
for turned in x.T, x.T - 1, x.T.clone(), T.stack([x.T]), x.T.reshape(2, 2):
    g = x.grad.reshape(turned.shape)
    refused("in the same memory|a single memory", turned.backward, g)
    refused("in the same memory|a single memory", turned.backward, g, inputs=x)
    x.grad
handle = x.register_hook(lambda grad: x.grad.T)
refused("in the same memory|a single memory", x.sum().backward)
refused("in the same memory|a single memory", x.sum().backward, inputs=x)
handle.remove()
for same in x, x + 0, x.T.T, x.T * 1, x.T + x, x.sum(0):
    same.backward(x.grad if same.ndim == 2 else x.grad[0] + 0)
    x.grad
x.view(4).backward(x.grad.view(4))
T.autograd.backward([x, x.T], [T.ones_like(x), x.grad])
x.grad
b = T.arange(4.0, dtype=T.float64)
y = leaf([1.0, 2.0])
y.grad = b[:2]
refused("in the same memory|a single memory", y.backward, b[1:3])
y.backward(b[2:])
b

# a second backward through a shared part is refused
x = leaf([1.0])
shared = x * x
(shared * 2).sum().backward()
refused("second time", (shared * 3).sum().backward)

# retain_graph
x = leaf([1.0, 2.0])
y = (x * x).sum()
y.backward(retain_graph=True)
y.backward(retain_graph=True)
y.backward()
x.grad
refused("second time(.|\n)*retain_graph=True", y.backward)
x.grad

# a graph without saved values can be swept again
x = leaf([1.0, 2.0])
y = x + 1
y.backward(T.tensor([1.0, 2.0], dtype=T.float64), retain_graph=True)
y.backward(T.tensor([1.0, 2.0], dtype=T.float64))
x.grad

# a saved output that is changed in place is noticed
y = leaf([1.0, 2.0]).exp()
y.add_(1)
refused("modified by an inplace operation", y.sum().backward)

# a view that was outdated still knows what it is
y = leaf([1.0, 2.0]) * 1
view = y[:1]
y.add_(y)
view.requires_grad, view.is_leaf, view.tolist(), "grad_fn=<" in repr(view)
refused("Take the view again|leaf", view.requires_grad_, False)
view.requires_grad
refused("non-leaf", T.optim.SGD, [view], lr=0.1)

# a value that is not needed may change
x, w = leaf([1.0, 2.0]), T.tensor([3.0, 4.0], dtype=T.float64)
y = ((x + w) * 2).sum()
w.zero_()
y.backward()
x.grad

# in-place operations are recorded
x = leaf([1.0, 2.0, 3.0])
y = x * 2
y += 1
y *= x
y[1] = 0.0
y[2] = x[0] * 10
y -= x * x
y.sum().backward()
y, x.grad

# several hooks
x, seen = leaf([1.0, 2.0]), []
y = x * 3
handles = [y.register_hook(lambda grad: seen.append(grad.tolist()))]
handles.append(y.register_hook(lambda grad: grad * 10))
handles.append(y.register_hook(lambda grad: seen.append(grad.tolist())))
handles.append(x.register_hook(lambda grad: grad + 1))
(y * y).sum().backward()
seen, x.grad

# a hook of a leaf sees the gradients stored before it
x, y, seen = leaf([1.0]), leaf([2.0]), []
handles = [x.register_hook(lambda _: seen.append(y.grad is not None))]
handles.append(y.register_hook(lambda _: seen.append(x.grad is not None)))
(x * y).sum().backward()
seen

# of two leaves, that which is complete first comes first
x, y, seen = leaf([1.0]), leaf([2.0]), []
handle = y.register_hook(lambda _: seen.append(x.grad is not None))
((x * y) * y).sum().backward()
(y * (y * x)).sum().backward()
seen

# the order of the sweep
found = []
def watched(name, tensor):
    tensor.register_hook(lambda grad: found.append(name))
    return tensor
x = leaf([1.0, 2.0])
a, b = watched("a", x * 3), watched("b", x + 1)
c, d = watched("c", a * b), watched("d", b.exp())
watched("sum", watched("e", c + d + a).sum()).backward()
found == ["sum", "e", "d", "c", "b", "a"], found

# the order in which a leaf's gradients are summed shows in float32
found = []
for combine in (
    lambda x: x * 1e8 + x * 1.0 + x * -1e8,
    lambda x: x * 1e8 + (x * -1e8 + x * 1.0),
    lambda x: (x * 1.0 + x * 1e8) + x * -1e8,
):
    x = leaf([1.0], T.float32)
    combine(x).sum().backward()
    found.append(x.grad.item())
len(set(found)) > 1, found

# the gradient of a result is not kept, and reading it warns
y = leaf([1.0, 2.0]) * 3
y.sum().backward()
warned(r"\.grad", lambda: y.grad)

# backward of a leaf
x = leaf(3.0)
x.backward()
x.backward()
x.grad

# the dtype of a gradient is its tensor's
x, y = leaf([1.0, 2.0], T.float32), leaf([3.0, 4.0])
(x * y + x.double()).sum().backward()
x.grad, y.grad

# create_graph keeps and records
x = leaf([1.0, 2.0])
y = (x * x * x).sum()
y.backward(create_graph=True)
first = x.grad
x.grad = None
first.sum().backward()
first, x.grad

# backward without create_graph records nothing
x = leaf([1.0, 2.0])
(x * x).sum().backward()
x.grad, x.grad.grad_fn, T.is_grad_enabled()
""")


@pytest.mark.filterwarnings("ignore:Using backward\\(\\) with create_graph")
@pytest.mark.parametrize("name", SESSIONS)
def test_both_engines_show_the_same(name: str) -> None:
    agree(SESSIONS[name])


# ---- values changed in place ----------------------------------------------------------------


def test_a_gradient_in_the_memory_of_one_of_several_is_refused() -> None:
    """Torch's engine gives the other leaf what the first has by then: twice as much."""
    x, y = (minigrad.ones(2, requires_grad=True) for _ in range(2))
    x.grad = minigrad.ones(2)
    for result in x + y, y * 1 + x * 1, y * 1 + x:
        with pytest.raises(RuntimeError, match=r"backward: .*clone\(\)"):
            result.backward(x.grad)
    (x + y).backward(x.grad.clone())
    assert str((x.grad, y.grad)) == "(tensor([2., 2.]), tensor([1., 1.]))"


def loaded(T: Any, x: Any) -> None:
    module = T.nn.Module()
    module.x = x
    module.load_state_dict({"x": T.ones(2)})


def stepped(T: Any, x: Any) -> None:
    x.grad = T.ones(2)
    T.optim.SGD([x], lr=0.1).step()


CHANGES = """
x.mul_(2); x.add_(1); x.sub_(1); x.div_(2); x.zero_(); x.fill_(3.0); x.copy_(x.clone())
x.__setitem__(0, 5.0); x.__setitem__(slice(1, None), 5.0); x.__iadd__(1); x.__imul__(2)
x[0].zero_(); x.reshape(-1).mul_(2); x.detach().zero_(); T.nn.init.zeros_(x); loaded(T, x)
stepped(T, x)
"""


@ENGINES
@pytest.mark.parametrize("change", parts(CHANGES))
def test_a_saved_value_changed_in_place_is_noticed(T: Any, change: str) -> None:
    x, parameter = leaf(T, [1.0, 2.0], "float32"), T.nn.Parameter(T.tensor([3.0, 4.0]))
    y = (x * parameter).sum()
    with T.no_grad():
        eval(change, {"T": T, "x": parameter, "loaded": loaded, "stepped": stepped})
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.backward()


def test_changes_are_forgotten_with_the_memory_that_was_changed() -> None:
    gc.collect()
    before = len(tape.changes)
    kept = [minigrad.ones(3) for _ in range(5)]
    for _ in range(1000):
        minigrad.ones(3).add_(1)
        minigrad.ones(3, 3)[0].zero_()  # the change is noted of the tensor it is a view of
        for x in kept:
            x.add_(1)
    assert len(tape.changes) == before + len(kept)
    del kept, x
    assert len(tape.changes) == before


@ENGINES
def test_a_view_of_a_view_is_outdated_with_its_tensor(T: Any) -> None:
    x = leaf(T, [[1.0, 2.0], [3.0, 4.0]])
    y = x * 1
    row = y[0]
    element = row[1:]
    y.mul_(x)
    if T is torch:  # which follows the change through the views
        element.sum().backward()
        assert x.grad.tolist() == [[0.0, 4.0], [0.0, 0.0]]
    else:  # which has to refuse, rather than give the derivative of the old values
        for use in (element.sum, row.sum, element.requires_grad_(True).exp):
            with pytest.raises(RuntimeError, match="Take the view again"):
                use()
        y[0][1:].sum().backward()
        assert x.grad.tolist() == [[0.0, 4.0], [0.0, 0.0]]


def test_nothing_is_kept_for_a_view_that_was_outdated() -> None:
    y = leaf(minigrad, [1.0, 2.0]) * 1
    first, second = y[:1], y[1:]
    y.add_(y)
    uses: list[Callable[[], object]] = [
        lambda: first.register_hook(lambda grad: grad),
        first.retain_grad,
        first.backward,
        lambda: autograd.grad(y.sum(), first),
        lambda: first.add_(1),
        lambda: first.requires_grad_(False),
    ]
    for use in uses:
        with pytest.raises(RuntimeError, match="Take the view again"):
            use()
    with pytest.warns(UserWarning, match="not a leaf"):
        assert second.grad is None


# ---- memory ---------------------------------------------------------------------------------

SHARERS = """
x + y; x + x + y; x - y; (x + y).clone(); x.reshape(-1) + y.reshape(-1); x.T + y.T; T.cat([x, y])
T.stack([x, y]); T.where(x > y, x, y); x.float() + y; x[0] + y[1]; x * y; x.sum() + y.sum()
x.mean() * y.sum(0); x.expand(3, 2, 2) + y; x @ y; T.nn.functional.mse_loss(x, y)
x.exp() + y.relu(); x.square() + x.tanh() + y.sigmoid() + y.squeeze()
T.maximum(x, y) + T.minimum(x, y)
"""


@pytest.mark.filterwarnings("ignore:Using backward\\(\\) with create_graph")
@pytest.mark.parametrize("expression", parts(SHARERS))
@pytest.mark.parametrize("create_graph", [False, True])
def test_leaf_gradients_have_memory_of_their_own(expression: str, create_graph: bool) -> None:
    def gradients(T: Any, disturb: bool) -> list[list[float]]:
        x, y = leaf(T, [[1.0, 2.0], [3.0, 4.0]]), leaf(T, [[4.0, 2.0], [-1.0, 0.5]])
        z = eval(expression, {"T": T, "x": x, "y": y})
        seed = T.full(tuple(z.shape), 3.0, dtype=z.dtype)
        z.backward(seed, retain_graph=True, create_graph=create_graph)
        if disturb:
            x.grad = x.grad.detach()
            y.grad = y.grad.detach()
            expected = y.grad.tolist()
            x.grad.zero_()
            assert y.grad.tolist() == expected  # not the other's gradient,
            assert seed.tolist() == T.full(tuple(z.shape), 3.0).tolist()  # nor the caller's,
            assert x.tolist() == [[1.0, 2.0], [3.0, 4.0]]  # nor a value,
            y.grad.zero_()
            z.backward(seed)  # nor anything that is saved
        return [x.grad.tolist(), y.grad.tolist()]

    assert gradients(minigrad, True) == gradients(minigrad, False)
    np.testing.assert_allclose(gradients(minigrad, False), gradients(torch, False), rtol=1e-14)


def test_gradients_can_be_written_to() -> None:
    x = leaf(minigrad, [[1.0, 2.0]])
    for y in (x.sum(), x.mean(), x.expand(3, 2).sum(), x.T.sum(), x[0].sum(), x.amax()):
        x.grad = None
        y.backward()
        assert x.grad is not None
        x.grad[0, 0] = 5.0
        assert x.grad.numpy().flags.writeable


def test_a_saved_array_that_is_the_derivative_itself_is_not_the_gradient() -> None:
    def first(x: Any, y: Any) -> Any:
        return np.multiply(x, y)

    def first_backward_x(grad_out: Any, y: Any) -> Any:
        return y  # right where grad_out is 1, and with no memory of its own

    x, y = leaf(minigrad, [1.0, 2.0]), minigrad.tensor([3.0, 4.0], dtype=minigrad.float64)
    x._apply(Rule(first, first_backward_x), x, y).backward(minigrad.ones(2, dtype=minigrad.float64))
    assert x.grad is not None
    x.grad.zero_()
    assert y.tolist() == [3.0, 4.0]


# ---- the tape itself ------------------------------------------------------------------------


def test_creation_order_is_topological() -> None:
    x = leaf(minigrad, [1.0, 2.0])
    a = x * 2
    b = a + x
    c = b * a
    assert c.grad_fn is not None
    nodes = tape.ancestors(c.grad_fn)
    assert [node.name() for node in nodes] == [
        "AccumulateGrad",
        "MulBackward0",
        "AddBackward0",
        "MulBackward0",
    ]
    position = {node: i for i, node in enumerate(nodes)}
    for node in nodes:
        assert all(position[p] < position[node] for p in node.parents if p is not None)


def test_sweep_yields_complete_gradients_and_drops_what_was_saved() -> None:
    x = leaf(minigrad, [1.0, 2.0])
    shared = x * 3
    z = (shared * shared + shared).sum()
    root = z.grad_fn
    assert root is not None
    nodes = tape.ancestors(root)
    swept = list(tape.sweep([(root, np.ones(()))], watched=nodes))
    assert [node for node, _ in swept] == nodes[::-1]
    assert len(nodes) == 5
    assert swept[-1][1].tolist() == [21.0, 39.0]
    # What saved an array has released it; shapes and options alone are kept, as in torch.
    released = {node.name() for node in nodes if node.saved is None}
    assert released == {"MulBackward0", "AccumulateGrad"}  # a leaf has never saved anything
    kept = [(node.name(), node.saved) for node in nodes if node.saved is not None]
    assert kept == [("AddBackward0", ()), ("SumBackward0", ((2,), None))]


def test_intermediate_gradients_are_dropped_as_the_sweep_passes() -> None:
    x = leaf(minigrad, np.ones(100_000))
    y = x
    for _ in range(50):
        y = y * 2
    root = y.grad_fn
    assert root is not None
    seed = np.ones(100_000)
    tracemalloc.start()
    swept = sum(1 for _ in tape.sweep([(root, seed)], watched=tape.ancestors(root)))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert swept == 51
    assert peak < 4 * seed.nbytes
