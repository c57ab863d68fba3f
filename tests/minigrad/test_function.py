"""Operations of one's own: `autograd.Function` does what torch's does."""

from typing import Any

import pytest

import minigrad
from minigrad.autograd import gradcheck, gradgradcheck
from tests.minigrad.sessions import agree, sessions


def functions(T: Any) -> dict[str, Any]:
    """A few operations, written on a library."""

    class Cubic(T.autograd.Function):  # type: ignore[misc]
        """(5·x³ - 3·x)/2, of which the input is kept."""

        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            ctx.save_for_backward(x)
            return 0.5 * (5 * x**3 - 3 * x)

        @staticmethod
        def backward(ctx: Any, grad_output: Any) -> Any:
            (x,) = ctx.saved_tensors
            return grad_output * 1.5 * (5 * x**2 - 1)

    class Exp(T.autograd.Function):  # type: ignore[misc]
        """e^x, of which the output is kept, in the style without ctx."""

        @staticmethod
        def forward(x: Any) -> Any:
            return x.exp()

        @staticmethod
        def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
            ctx.save_for_backward(output)

        @staticmethod
        def backward(ctx: Any, grad_output: Any) -> Any:
            return grad_output * ctx.saved_tensors[0]

    class Scaled(T.autograd.Function):  # type: ignore[misc]
        """x·y·n, broadcast, with a number, and notes on what was asked for."""

        @staticmethod
        def forward(ctx: Any, x: Any, y: Any, n: Any) -> Any:
            ctx.n = n
            ctx.save_for_backward(x, None, y)
            ctx.asked = ctx.needs_input_grad
            return x * y * n

        @staticmethod
        def backward(ctx: Any, grad_output: Any) -> Any:
            x, _, y = ctx.saved_tensors
            calls.append((ctx.asked, ctx.needs_input_grad, T.is_grad_enabled()))
            grad_x = grad_output * y * ctx.n if ctx.needs_input_grad[0] else None
            grad_y = grad_output * x * ctx.n if ctx.needs_input_grad[1] else None
            return grad_x, grad_y, None, None

    class Same(T.autograd.Function):  # type: ignore[misc]
        """The input, with a gradient of -1."""

        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            return x

        @staticmethod
        def backward(ctx: Any, grad_output: Any) -> Any:
            return -grad_output

    class Returns(T.autograd.Function):  # type: ignore[misc]
        """x·y with whatever gradients one likes."""

        @staticmethod
        def forward(ctx: Any, x: Any, y: Any, grads: Any) -> Any:
            ctx.grads = grads
            return x * y

        @staticmethod
        def backward(ctx: Any, grad_output: Any) -> Any:
            return ctx.grads

    class Both(T.autograd.Function):  # type: ignore[misc]
        """x·y and x + y² in float32, of which inputs and an output are kept; and more."""

        @staticmethod
        def forward(ctx: Any, x: Any, y: Any) -> Any:
            product, total, rounded = x * y, (x + y * y).float(), x * 3
            ctx.save_for_backward(x, product, y, total)
            ctx.mark_non_differentiable(rounded)
            return product, x.long(), total, rounded, "text"

        @staticmethod
        def backward(ctx: Any, *grads: Any) -> Any:
            x, product, y, total = ctx.saved_tensors
            calls.append(grads)
            by_product, _, by_total, *_ = grads
            by_total = by_total.double() + 0 * total.double()
            slope = by_product * product / x  # which is y
            return slope + by_total, by_product * x + by_total * 2 * y

    class Halves(T.autograd.Function):  # type: ignore[misc]
        """A vector's two ends, in one memory, which is not that of the vector."""

        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            twice = x * 2
            return twice[:1], twice[1:]

        @staticmethod
        def backward(ctx: Any, first: Any, second: Any) -> Any:
            return 2 * T.cat([first, second])

    calls: list[Any] = []
    return {name: value for name, value in locals().items() if name != "T"}


SESSIONS = sessions(r"""
# the output has a place on the tape
x = leaf([1.0, 2.0])
y = Cubic.apply(x)
y, str(y), y.grad_fn.name(), y.is_leaf, len(y.grad_fn.next_functions)
(y * y).sum().backward()
x.grad, refused("second time", y.sum().backward)
Cubic.apply(T.ones(2)).grad_fn, Cubic.apply(T.ones(2)).requires_grad
with T.no_grad():
    Cubic.apply(x).requires_grad
z = Exp.apply(Cubic.apply(x))
z, str(z), grad(z.sum(), x)

# derivatives of derivatives
x = leaf([1.0, -0.5])
for F in (Cubic, Exp):
    (first,) = grad(F.apply(x).sum(), x, create_graph=True)
    (second,) = grad((first * first).sum(), x, create_graph=True)
    (third,) = grad(second.sum(), x)
    shown(F.__name__, [first, second, third])

# several inputs, of which some need a gradient
x, y = leaf([1.0, 2.0]), T.ones(3, 1, dtype=T.float64)
Scaled.apply(x, y, 3).sum().backward()
x.grad, y.grad, calls
y.requires_grad_()
Scaled.apply(x, y, 2.0).sum().backward()
x.grad, y.grad, calls[-1], grad(Scaled.apply(x, y, 2.0).sum(), y), len(calls)
grad(Scaled.apply(x, x, 1).sum(), x, create_graph=True), calls[-1]
with T.no_grad():
    Scaled.apply(x, y, 1).requires_grad

# what is returned as it is
x = leaf([1.0, 2.0])
y = Same.apply(x)
y is x, str(y), y.data_ptr() == x.data_ptr() if hasattr(y, "data_ptr") else True
grad((y * 3).sum(), x)
w = x * 2
Same.apply(w).sum().backward()
x.grad

# changes in place are noticed
x = leaf([1.0, 2.0])
w = x * 1
y = Cubic.apply(w)
w.add_(1)
refused("modified by an inplace operation", y.sum().backward)
y = Exp.apply(x)
y.mul_(2)
refused("modified by an inplace operation", y.sum().backward)

# no gradient, and gradients of every kind
x, y = leaf([1.0, 2.0]), leaf([3.0, 4.0])
Returns.apply(x, y, (None, T.ones(2, dtype=T.float64), None)).sum().backward()
x.grad, y.grad
out = Returns.apply(x, y, (T.ones(3, 2), T.ones(2), None)).sum()
grad(out, [x, y])
kept = T.ones(2, dtype=T.float64)
x.grad = None
Returns.apply(x, y, (kept, None, None)).sum().backward()
x.grad.mul_(5)
kept, grad(Returns.apply(x, y, (None, kept, None)).sum(), [x, y], allow_unused=True)
refused("number of gradients", Returns.apply(x, y, (kept,)).sum().backward)
refused("number of gradients", Returns.apply(x, y, (kept, kept, None, kept)).sum().backward)
refused("invalid gradient at index 1", Returns.apply(x, y, (kept, T.ones(3), None)).sum().backward)
refused("expected", Returns.apply(x, y, (kept, 3.0, None)).sum().backward)

# what is not written
class Nothing(T.autograd.Function):
    pass
class Forward(T.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(3)
class Half(T.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x * 2
refused("must implement the forward", Nothing.apply, T.ones(1))
refused("save", Forward.apply, leaf([1.0]))
refused("must implement", Half.apply(leaf([1.0])).backward)

# an output that has no derivative, and one that is no tensor
class Sign(T.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        out = x * 2
        ctx.mark_non_differentiable(out)
        return out
class Number(T.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return 3
Sign.apply(leaf([1.0])).requires_grad, Sign.apply(leaf([1.0])), Number.apply(leaf([1.0]))

# several outputs
x, y = leaf([1.0, 2.0]), leaf([3.0, -4.0])
outputs = Both.apply(x, y)
outputs, [getattr(o, "is_leaf", None) for o in outputs], str(outputs[0]), str(outputs[3])
product, _, total, *_ = outputs
product.grad_fn.name(), len(product.grad_fn.next_functions)
(product * total * 2 + product).sum().backward()
x.grad, y.grad, calls
product, _, total, *_ = Both.apply(x, y)
grad(total.sum(), [x, y], retain_graph=True), calls[-1], grad(product.sum(), x, retain_graph=True)
refused("a second time", lambda: [grad((product + total).sum(), x) for _ in range(2)])
product, _, total, *_ = Both.apply(x, y)
first = grad((product.exp() + total * x).sum(), [x, y], create_graph=True)
second = grad((first[0] * first[1]).sum(), [x, y], create_graph=True)
first, second, grad(second[0].sum(), [x, y])
Both.apply(x.detach(), y)[0].requires_grad, Both.apply(x.detach(), y.detach()), len(calls)
product, _, total, *_ = Both.apply(x, y)
total.add_(1)
refused("modified by an inplace", grad, product.sum(), x)
first, second = Halves.apply(x * 1)
handle = second.register_hook(lambda g: g * 5)
first.retain_grad()
(first.sum() * second.sum()).backward()
x.grad, first.grad, type(Halves.apply(x))

# hooks and retained gradients
x = leaf([1.0, 2.0])
y = Cubic.apply(x)
y.retain_grad()
handle = y.register_hook(lambda g: g * 10)
(y * 2).sum().backward()
y.grad, x.grad
""")


@pytest.mark.parametrize("name", SESSIONS)
def test_both_engines_show_the_same(name: str) -> None:
    code = SESSIONS[name]
    agree("globals().update(functions(T))\n" + code, functions=functions)


@pytest.mark.parametrize("name", ["Cubic", "Exp"])
def test_a_right_derivative_passes_gradcheck_and_a_wrong_one_fails(name: str) -> None:
    right: Any = functions(minigrad)[name]
    x = minigrad.tensor([0.3, -1.2], dtype=minigrad.float64, requires_grad=True)
    assert gradcheck(right.apply, [x])
    assert gradgradcheck(right.apply, [x])

    class Wrong(right):  # type: ignore[misc]
        @staticmethod
        def backward(ctx: Any, grad_output: Any) -> Any:
            return right.backward(ctx, grad_output) * (1 + 1e-5)

    assert not gradcheck(Wrong.apply, [x], raise_exception=False)


def test_several_outputs_pass_gradcheck() -> None:
    class Both(minigrad.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any, y: Any) -> Any:
            product = x * y
            ctx.save_for_backward(x, y, product)
            return product, (product * product).sum(0)

        @staticmethod
        def backward(ctx: Any, by_product: Any, by_squares: Any) -> Any:
            x, y, product = ctx.saved_tensors
            slope = by_product + 2 * product * by_squares
            return slope * y, slope * x

    x = minigrad.tensor([[0.3, -1.2], [0.5, 2.0]], dtype=minigrad.float64, requires_grad=True)
    y = minigrad.tensor([1.5, -0.7], dtype=minigrad.float64, requires_grad=True)
    assert gradcheck(Both.apply, [x, y])
    assert gradgradcheck(Both.apply, [x, y])


@pytest.mark.parametrize("name", ["Cubic", "Halves"])
def test_a_step_with_a_function_is_captured(name: str) -> None:
    function = functions(minigrad)[name]
    losses = []
    for captured in (False, True):
        w = minigrad.tensor([0.3, -1.2], requires_grad=True)
        optimizer = minigrad.optim.SGD([w], lr=0.01)

        def step(optimizer: Any = optimizer, w: Any = w) -> Any:
            optimizer.zero_grad()
            outputs = function.apply(w)
            parts = outputs if name == "Halves" else [outputs]
            loss = sum((part - 1).square().sum() for part in parts)
            loss.backward()
            optimizer.step()
            return loss

        run = minigrad.capture(step) if captured else step
        losses.append([run().item() for _ in range(5)])
    assert losses[0] == losses[1]
    assert losses[0][-1] < losses[0][0]


def test_unused_outputs_get_zeros_and_not_none() -> None:
    class Two(minigrad.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            ctx.set_materialize_grads(False)
            return x, x * 2

    assert Two.apply(minigrad.ones(2))[1].tolist() == [2, 2]
    with pytest.raises(NotImplementedError, match=r"Two: of several outputs.*leave out"):
        Two.apply(minigrad.ones(2, requires_grad=True))


def test_it_can_be_explained() -> None:
    x = minigrad.tensor([0.3, -1.2], requires_grad=True)
    explained = minigrad.explain(functions(minigrad)["Cubic"].apply(x).sum())
    assert "Cubic" in str(explained)
