"""`autograd.grad` and `backward`, which part of the graph they run, and hooks: as in torch."""

from typing import Any

import pytest
import torch

import minigrad
from tests.minigrad.sessions import agree, sessions


class Graph:
    """s = Σ z, z = y², y = x·w; each value has a hook that notes its gradient and doubles it."""

    def __init__(self, T: Any, doubling: bool = True) -> None:
        self.log: list[tuple[str, list[float]]] = []
        self.x = T.tensor([2.0, 3.0], requires_grad=True)
        self.w = T.tensor([1.0, 1.0], requires_grad=True)
        self.y = self.x * self.w
        self.z = self.y * self.y
        self.s = self.z.sum()
        for name in ("x", "w", "y", "z"):
            getattr(self, name).register_hook(self._note(name, doubling))

    def _note(self, name: str, doubling: bool) -> Any:
        def hook(grad: Any) -> Any:
            self.log.append((name, grad.tolist()))
            return grad * 2 if doubling else None

        return hook


def as_lists(value: Any) -> Any:
    if isinstance(value, (tuple, list)):
        return [as_lists(part) for part in value]
    return value.tolist() if hasattr(value, "tolist") else value


# ---- which part of the graph is run ----------------------------------------------------------


@pytest.mark.parametrize(
    "expression",
    [
        "grad(g.s, g.y), g.log",
        "grad(g.s, g.x), g.log, g.x.grad, g.w.grad",
        "grad(g.s, [g.x, g.w]), g.log",
        "grad(g.y, g.x, T.ones(2)), g.log",
        "grad([g.s, g.y.sum()], g.z, allow_unused=True), g.log",
        "grad([g.y, g.s], g.x, grad_outputs=[T.tensor([1.0, 10.0]), None]), g.log",
        # What is not on the way is neither run nor released.
        "grad(g.s, g.y), grad(g.y.sum(), g.x), g.log",
        "grad(g.s, g.z, retain_graph=True), g.s.backward(), g.x.grad",
        "grad(g.s, u, allow_unused=True), g.s.backward(), g.log, g.x.grad",
        "grad(g.s, [u, g.x], allow_unused=True), g.log",
        "grad(g.s, [u, g.x], materialize_grads=True)",
        "grad(g.s, u, allow_unused=True, materialize_grads=True)",
        "grad(g.s, [g.x, g.x])",
        "grad(g.x, g.x, T.ones(2)), g.log",
        "grad([g.s, (u * 2).sum()], [g.x, u])",
        "grad(g.s * u.sum(), [u]), g.log",
        # Of several outputs only those that lead to the inputs are run; a single one always is.
        "grad([g.y.sum(), g.s], g.z, allow_unused=True), g.log",
        "grad([g.y, g.s], u, [T.ones(2), None], allow_unused=True), g.log",
        "grad([g.y, g.y], u, [T.ones(2)] * 2, allow_unused=True), g.log",
        "grad([g.x, g.s], u, [T.ones(2), None], allow_unused=True), g.log",
        "grad(g.y, u, T.ones(2), allow_unused=True), g.log",
        "g.y.retain_grad(), grad([g.y, g.s], g.z, [T.ones(2), None]), g.y.grad, g.log",
        "backward([g.y, g.s], [T.ones(2), None], inputs=[g.z]), g.log, g.z.grad",
        # A gradient that is retained on the way.
        "g.y.retain_grad(), g.z.retain_grad(), grad(g.s, g.x), g.y.grad, g.z.grad",
        "g.y.retain_grad(), g.z.retain_grad(), grad(g.s, g.z), g.y.grad, g.z.grad",
        "g.y.retain_grad(), g.s.retain_grad(), g.s.backward(), g.y.grad, g.s.grad",
        "g.x.retain_grad(), grad(g.s, g.x), g.x.grad",
        # backward to chosen tensors
        "g.s.backward(inputs=[g.x]), g.x.grad, g.w.grad, g.log",
        "g.s.backward(inputs=g.x), g.x.grad, g.w.grad, g.log",
        "g.s.backward(inputs=[g.y]), g.x.grad, g.w.grad, g.y.grad, g.log",
        "g.s.backward(inputs=(g.x, g.y)), g.x.grad, g.w.grad, g.y.grad, g.log",
        "g.s.backward(inputs=[u]), u.grad, g.x.grad, g.log, g.s.backward()",
        # backward from several
        "backward([g.s, g.y.sum()]), g.x.grad, g.log",
        "backward([g.s, g.y], [None, T.ones(2)]), g.x.grad, g.w.grad",
        "backward(g.y, T.ones(2)), g.x.grad, g.w.grad",
        "g.y.backward(gradient=T.tensor([1.0, 10.0])), g.x.grad",
        "backward([g.s], inputs=[g.w]), g.x.grad, g.w.grad",
        "backward([g.s], retain_graph=True), backward([g.s]), g.x.grad",
        "backward([g.s, g.s], retain_graph=True), g.x.grad",
    ],
)
def test_results_hooks_and_what_is_released(expression: str) -> None:
    found = []
    for T in (minigrad, torch):
        names = {
            "T": T,
            "g": Graph(T),
            "u": T.ones(2, requires_grad=True),
            "grad": T.autograd.grad,
            "backward": T.autograd.backward,
        }
        found.append(as_lists(eval(expression, names)))
    assert found[0] == found[1]


def test_the_hooks_of_an_input_change_its_gradient_whatever_else_is_wanted() -> None:
    # torch takes the gradient before the hooks if the node is also run for another input.
    g = Graph(minigrad)
    (alone,) = minigrad.autograd.grad(g.s, g.y)
    g = Graph(minigrad)
    together, _ = minigrad.autograd.grad(g.s, [g.y, g.x])
    assert alone.tolist() == together.tolist() == [16.0, 24.0]


def test_as_many_gradients_as_outputs() -> None:  # torch ignores what is left over or missing
    x = minigrad.ones(2, requires_grad=True)
    with pytest.raises(RuntimeError, match="1 outputs, but 2 gradients"):
        minigrad.autograd.grad(x.sum(), x, [None, None])
    with pytest.raises(RuntimeError, match="no output to start from"):
        minigrad.autograd.backward([])
    with pytest.raises(RuntimeError, match="2 outputs, but 1 gradients"):
        minigrad.autograd.backward([x.sum(), x.sum()], [None])


def test_a_long_chain_is_pruned_without_recursion() -> None:
    x = minigrad.ones(1, requires_grad=True)
    y = x
    for _ in range(5_000):
        y = y + 1
    assert minigrad.autograd.grad(y, x)[0].item() == 1.0


# ---- sessions ------------------------------------------------------------------------------

SESSIONS = sessions(r"""
# what is refused
g, u = Graph(T, doubling=False), T.ones(2, requires_grad=True)
refused("not have been used in the graph", grad, g.s, u)
refused("not require", grad, g.s, T.ones(2)), refused("not require", grad, T.ones(1), g.x)
refused("cannot be empty", grad, g.s, []), refused("int", grad, 3, g.x)
refused("only for scalar outputs", grad, g.z, g.x)
refused("[Mm]ismatch in shape", grad, g.z, g.x, T.ones(3))
refused("either Tensors or None", grad, g.z, g.x, [3])
words = "allow_unused to be True or not passed"
refused(words, grad, g.s, u, allow_unused=False, materialize_grads=True)
refused("cannot be empty", g.s.backward, inputs=[])
refused("requires_grad|require a gradient", g.s.backward, inputs=[T.ones(1)])
refused("only for scalar outputs", g.z.backward)
refused("[Mm]ismatch in shape", g.z.backward, T.ones(3))
refused("does not require a? ?grad", T.ones(1).backward)
refused("int", T.autograd.backward, 3)
refused("either Tensors or None", T.autograd.backward, [g.z], [3])
grad(g.s, g.x), refused("a second time", grad, g.s, g.x)

# what is not on the way may have been released
x, y = leaf([1.0, 1.0]), leaf([1.0, 1.0])
released = x * x
released.sum().backward()
out = (released * 2).sum() + (x * 3).sum()
refused("a second time", grad, out, x, retain_graph=True)
grad(out * y.sum(), y)

# a pruned sweep is recorded
x, w = leaf([2.0]), leaf([3.0])
(first,) = grad((x**3 * w).sum(), x, create_graph=True)
first, grad(first, [x, w])

# hooks are called in order and removed
x, calls = leaf([1.0]), []
handles = [x.register_hook(lambda g, n=name: calls.append(n)) for name in "abc"]
handles[1].remove(), handles[1].remove()
(x * 2).sum().backward()
with handles[0]:
    (x * 2).sum().backward()
(x * 2).sum().backward()
calls

# a hook may remove another
x, calls, handles = leaf([1.0]), [], []
handles.append(x.register_hook(lambda g: (calls.append("first"), handles[1].remove())[2:] or None))
handles.append(x.register_hook(lambda g: calls.append("second")))
(x * 2).sum().backward()
(x * 2).sum().backward()
calls

# hooks run without recording, unless the pass is recorded
x, modes = leaf([1.0]), []
handle = x.register_hook(lambda g: modes.append(T.is_grad_enabled()))
(x * x).sum().backward()
grad((x * x).sum(), x, create_graph=True)
modes

# a replaced gradient is differentiated
x = leaf([2.0])
handle = x.register_hook(lambda g: g * x)
(first,) = grad((x * x).sum(), x, create_graph=True)  # 2x·x
first, grad(first, x)  # 4x, times x by the hook

# what a hook may not return
x, answers = leaf([1.0, 1.0]), [3, T.ones(3).double(), T.ones(2)]
handle = x.register_hook(lambda g: answers.pop(0))
refused("int", (x * 2).sum().backward)
refused("changed the size", (x * 2).sum().backward)
refused("changed the (size or )?type", (x * 2).sum().backward)

# data is changed behind the graph's back
w = leaf([1.0, 2.0])
(w * w).sum().backward()
w.data -= 0.5 * w.grad.data
w
w.data = T.tensor([3.0, 4.0], dtype=T.float64)
w.data[0] = 5.0
w, w.is_leaf, w.data, w.grad

# a gradient that is passed on as it is stays the same tensor
x, w = leaf([[1.0, 2.0], [3.0, 4.0]]), T.nn.Parameter(T.ones(2, 2, dtype=T.float64))
def same(result, g):
    (found,) = grad(result, x, g)
    return found is g, type(found) is type(g), found
for g in w, w.detach():
    same(x[...], g), same(x[()], g)
    same(x.expand(2, 2), g), same(x.expand(-1, -1), g), same(x[...].expand(1, 2, 2), g[None])
    same(x.squeeze(), g), same(x.squeeze(0), g), same(x.squeeze((0, 1)), g)
    same(x[None].squeeze(), g), same(x.view(2, 2), g), same(x[:], g), same(x + 0, g)

# random values in place have no derivative
x = leaf([1.0, 1.0])
y = x * 2
y.uniform_().sum().backward()
x.grad
""")


@pytest.mark.parametrize("name", SESSIONS)
def test_both_engines_show_the_same(name: str) -> None:
    agree(SESSIONS[name], Graph=Graph)


def test_data_of_another_form_is_refused() -> None:
    w = minigrad.ones(2, requires_grad=True)
    with pytest.raises(RuntimeError, match=r"shape \[3\]"):
        w.data = minigrad.ones(3)
    with pytest.raises(TypeError, match="Tensor"):
        w.data = 3  # type: ignore[assignment]
