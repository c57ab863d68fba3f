"""torch's reproducible arithmetic: exact, without order, differentiable, the same on a GPU."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes

from torch_impl.reproducible import reproducible_arithmetic
from torch_impl.slices import PRECISION, Factor, product, total
from torch_impl.train import start, train

DTYPES = [torch.float32, torch.float64]
DEVICES = [
    "cpu",
    pytest.param(
        "cuda",
        marks=[
            pytest.mark.cuda,
            pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU"),
        ],
    ),
]


def matrix(seed: int, *shape: int, dtype: torch.dtype, span: int = 0) -> Tensor:
    """Normal values times powers of two, the rows' and columns' from 2^-span to 2^span."""
    generator = torch.Generator().manual_seed(seed)
    values = torch.randn(shape, generator=generator, dtype=torch.float64)
    for axis in range(2):
        lengths = [n if i == axis else 1 for i, n in enumerate(shape)]
        values *= 2.0 ** torch.randint(-span, span + 1, lengths, generator=generator)
    return values.to(dtype)


def bits(x: Tensor) -> bytes:
    return torch.where(x.isnan(), math.nan, x.detach().cpu()).numpy().tobytes()


def matmul(x: Tensor, y: Tensor) -> Tensor:
    with reproducible_arithmetic():
        return x @ y


def exactly(rows: Any, columns: Any) -> list[list[Fraction]]:
    return [
        [
            sum((Fraction(a) * Fraction(b) for a, b in zip(x, y, strict=True)), Fraction(0))
            for y in columns
        ]
        for x in rows
    ]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("terms", [2, 3, 64, 65, 512, 513, 2500])
def test_products_of_slices_are_exact(terms: int, dtype: torch.dtype) -> None:
    width = (53 - (terms - 1).bit_length()) // 2
    generator = torch.Generator().manual_seed(terms)
    largest = torch.randint(2**width - 2, 2**width, (1, terms), generator=generator).to(dtype)
    for x in (matrix(0, 1, terms, dtype=dtype), largest):
        for y in (matrix(1, 1, terms, dtype=dtype, span=3), largest):
            for a in Factor(x).along(1).parts:
                for b in Factor(y).along(1).parts:
                    actual = (a @ b.mT).item()
                    assert Fraction(actual) == exactly(a.tolist(), b.tolist())[0][0]
    a = Factor(largest * 2 - 1).along(1).parts[0] * 2 + 1  # one bit more
    if terms == 513:  # so many odd squares have an odd sum beyond 2^53, which is no float64
        assert Fraction((a @ a.mT).item()) != exactly(a.tolist(), a.tolist())[0][0]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("span", [0, 4, 12, 28])
@pytest.mark.parametrize("terms", [1, 2, 17, 100, 3000])
def test_error_bound(terms: int, span: int, dtype: torch.dtype) -> None:
    x, y = (matrix(i, 3, terms, dtype=dtype, span=span) for i in (0, 1))
    actual = matmul(x, y.mT)
    exact = exactly(x.tolist(), y.tolist())
    u = Fraction(1, 2 ** PRECISION[dtype])
    for i in range(3):
        for j in range(3):
            scale = Fraction(x[i].abs().max().item()) * Fraction(y[j].abs().max().item())
            error = abs(Fraction(actual[i, j].item()) - exact[i][j])
            assert error <= u * abs(exact[i][j]) + 5 * terms * u * scale


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("span", [0, 5, 28])
def test_order_does_not_matter(span: int, dtype: torch.dtype) -> None:
    x, y = matrix(0, 20, 700, dtype=dtype, span=span), matrix(1, 700, 30, dtype=dtype, span=span)
    expected, expected_sum = bits(matmul(x, y)), bits(total(x, 1))
    plain_differs = False
    for seed in range(5):
        order = torch.randperm(700, generator=torch.Generator().manual_seed(seed))
        assert bits(matmul(x[:, order], y[order])) == expected
        assert bits(total(x[:, order], 1)) == expected_sum
        plain_differs |= bits(x[:, order] @ y[order]) != bits(x @ y)
    assert plain_differs


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_transposed_factor_has_the_same_slices(dtype: torch.dtype) -> None:
    x, y = matrix(0, 6, 5, dtype=dtype, span=20), matrix(1, 5, 4, dtype=dtype, span=20)
    expected = bits(product(Factor(x), Factor(y)))
    assert bits(product(Factor(x), Factor(y.mT.contiguous()).mT)) == expected
    assert bits(product(Factor(x.mT.contiguous()).mT, Factor(y))) == expected
    assert bits(product(Factor(x.mT).mT, Factor(y.mT).mT)) == expected


@pytest.mark.parametrize("dtype", DTYPES)
def test_special_values(dtype: torch.dtype) -> None:
    inf, nan = math.inf, math.nan
    x = torch.tensor([[1, 2, inf], [1, -1, 0], [nan, 0, 0], [inf, -inf, 1], [0, 0, 0]], dtype=dtype)
    y = torch.tensor([[1, 0, -1], [1, inf, 0], [2, -1, 0]], dtype=dtype)
    terms = x.double()[:, :, None] * y.double()[None]
    assert bits(matmul(x, y)) == bits(terms.sum(1).to(dtype))
    assert bits(total(x, 0)) == bits(x.sum(0))
    huge = torch.finfo(dtype).max
    assert total(torch.tensor([huge, huge, -inf], dtype=dtype)).item() == -inf
    assert total(torch.tensor([huge, huge, -huge], dtype=dtype)).item() == huge
    assert not torch.signbit(total(torch.tensor([-0.0, -0.0], dtype=dtype)))
    assert total(torch.zeros(0, 2, dtype=dtype), 0).tolist() == [0, 0]
    assert matmul(torch.zeros(2, 0, dtype=dtype), torch.zeros(0, 1, dtype=dtype)).tolist() == [
        [0],
        [0],
    ]


class Regression(nn.Module):
    """Branches, a batch of matrices, a vector, and a parameter of its own."""

    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.first = nn.Linear(3, 4, dtype=dtype)
        self.second = nn.Linear(4, 4, bias=False, dtype=dtype)
        self.own = nn.Parameter(torch.tensor([1.5, -0.5, 0.25, 2.0], dtype=dtype))
        for parameter in (self.first.weight, self.first.bias, self.second.weight):
            nn.init.uniform_(parameter, -0.6, 0.6, generator)

    def forward(self, x: Tensor) -> Tensor:
        h: Tensor = self.first(x).relu()
        h = h + self.second(h[:, [0, 1, 1, 3]]) * self.own
        batch = h.reshape(-1, 2, 4) @ self.second.weight
        h = torch.cat([h, nn.functional.leaky_relu(batch).reshape(-1, 4)], 1)
        h = h - h.mean(0) + h.max() - (h[:, :4] @ self.own).unsqueeze(1) ** 3 / 50
        return h / (1 + h.abs().amax(1, keepdim=True))


LOSSES: dict[str, Any] = {
    "mse": nn.functional.mse_loss,
    "mse sum": lambda x, y: nn.functional.mse_loss(x, y, reduction="sum"),
    "l1": nn.functional.l1_loss,
    "huber": lambda x, y: nn.functional.huber_loss(x, y, delta=0.3),
    "smooth l1": lambda x, y: nn.functional.smooth_l1_loss(x, y, beta=0.3),
    "own": lambda x, y: (x - y).square().mean(1).sum() + torch.dot(x[0], y[0]),
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", LOSSES)
def test_gradients_are_torchs(name: str, dtype: torch.dtype) -> None:
    model = Regression(dtype)
    x, y = matrix(0, 6, 3, dtype=dtype), matrix(1, 6, 8, dtype=dtype)

    def results() -> list[Tensor]:
        inputs = x.clone().requires_grad_(), y.clone().requires_grad_()
        loss = LOSSES[name](model(inputs[0]), inputs[1])
        return [loss, *torch.autograd.grad(loss, [*inputs, *model.parameters()])]

    expected = results()
    with reproducible_arithmetic():
        actual = results()
    for a, b in zip(actual, expected, strict=True):
        torch.testing.assert_close(a, b)
    assert any(bits(a) != bits(b) for a, b in zip(actual, expected, strict=True))


@pytest.mark.parametrize("name", LOSSES)
def test_second_derivatives_are_torchs(name: str) -> None:
    model = Regression(torch.float64)
    x, y = (matrix(i, 6, n, dtype=torch.float64).requires_grad_() for i, n in enumerate((3, 8)))

    def results() -> tuple[Tensor, ...]:
        loss = LOSSES[name](model(x), y)
        grad, _ = torch.autograd.grad(loss, (x, y), create_graph=True)
        return torch.autograd.grad((grad * x.detach()).sum(), [x, y, *model.parameters()])

    expected = results()
    with reproducible_arithmetic():
        actual = results()
    for a, b in zip(actual, expected, strict=True):
        torch.testing.assert_close(a, b)


def test_relu_at_special_values() -> None:
    x = torch.tensor([-1.0, 0.0, 1.0, math.nan, math.inf], requires_grad=True)
    grad = torch.tensor([math.inf, math.nan, math.inf, 2.0, math.nan])
    with reproducible_arithmetic():
        (grad,) = torch.autograd.grad(x.relu(), x, grad)
    assert bits(grad) == bits(torch.tensor([0, 0, math.inf, 2, math.nan]))


def test_what_is_not_the_largest_of_all_receives_0() -> None:
    x = torch.tensor([[1.0, 4.0], [4.0, -4.0]], requires_grad=True)
    y = torch.tensor([1.0, math.nan, 2.0], requires_grad=True)
    with reproducible_arithmetic():
        for value in (-2.0, math.inf, math.nan):
            (grad,) = torch.autograd.grad(x.max(), x, torch.tensor(value))
            assert bits(grad) == bits(torch.tensor([[0.0, value / 2], [value / 2, 0.0]]))
        (grad,) = torch.autograd.grad(y.min(), y)
    assert bits(grad) == bits(torch.tensor([0.0, 1.0, 0.0]))


def test_elements_that_are_named_several_times_sum_in_any_order() -> None:
    x = torch.zeros(3, requires_grad=True)
    terms, places = matrix(0, 1, 1000, dtype=torch.float32)[0], torch.arange(1000) % 3
    found: list[Tensor] = []
    for order in (torch.arange(1000), torch.randperm(1000)):
        with reproducible_arithmetic():
            found += torch.autograd.grad(x[places[order]], x, terms[order])
    assert bits(found[0]) == bits(found[1])
    exact = [float(sum(map(Fraction, terms[places == i].tolist()))) for i in range(3)]
    torch.testing.assert_close(found[0], torch.tensor(exact), rtol=1e-7, atol=1e-6)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_training_learns_and_is_the_same_in_any_order(
    momentum: float, device: str, dtype: torch.dtype
) -> None:
    """The CPU with the points in another order stands for any other device."""

    def trained(place: str, order: Tensor) -> tuple[list[bytes], Tensor]:
        model, x, y = start((1, 16, 16, 1), 3, dtype=dtype)
        model.to(place)
        x, y = x[order].to(place), y[order].to(place)
        with reproducible_arithmetic():
            losses = train(model, x, y, 60, 0.01 * (1 - momentum), momentum)
        return [bits(p) for p in (losses, *model.parameters())], losses

    expected, losses = trained(device, torch.arange(100))
    assert losses[-1] < losses[0] / 2
    assert trained("cpu", torch.randperm(100))[0] == expected


OPTIONS: list[dict[str, Any]] = [
    {},
    {"momentum": 0.9, "weight_decay": 0.1},
    {"momentum": 0.9, "nesterov": True, "maximize": True},
    {"momentum": 0.5, "dampening": 0.25, "weight_decay": 0.01},
]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_sgd_has_the_bits_of_single_operations(
    options: dict[str, Any], device: str, dtype: torch.dtype
) -> None:
    """By one tensor after the other and by lists of them: those of the formula torch documents."""
    parameters = [
        [matrix(i, 4, 3, dtype=dtype).to(device).requires_grad_() for i in range(2)]
        for _ in range(3)
    ]
    by_one, by_lists, expected = parameters
    optimizers = [
        torch.optim.SGD(own, lr=0.1, foreach=foreach, **options)
        for own, foreach in ((by_one, False), (by_lists, True))
    ]
    buffers: dict[int, Tensor] = {}
    for step in range(5):
        grads = [matrix(10 * step + i, 4, 3, dtype=dtype).to(device) for i in range(1 + step % 2)]
        for own in parameters:
            for p, grad in zip(own, [*grads, None], strict=False):
                p.grad = None if grad is None else grad.clone()
        with reproducible_arithmetic():
            for optimizer in optimizers:
                optimizer.step()
        for i, d in enumerate(grads):
            p = expected[i].detach()
            d = (-d if "maximize" in options else d) + p * options.get("weight_decay", 0)
            if momentum := options.get("momentum", 0):
                share = d * (1 - options.get("dampening", 0))
                buffers[i] = buffers[i] * momentum + share if i in buffers else d
                d = d + buffers[i] * momentum if "nesterov" in options else buffers[i]
            p.copy_(p - d * 0.1)
    for one, several, by_formula in zip(*parameters, strict=True):
        assert bits(one) == bits(several) == bits(by_formula)


@pytest.mark.parametrize("device", DEVICES)
def test_no_fused_kernel_is_called(device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    called = set()

    class Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]
        def __torch_dispatch__(
            self, function: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            name = function.overloadpacket.__name__
            called.add(name)
            if "alpha" in (kwargs or {}):
                raise AssertionError(f"{function} with alpha")
            if "div" in name:
                assert isinstance(args[1], Tensor)
                assert args[1].device == args[0].device
            if name in ("mm", "sum") and args[0].is_floating_point():
                assert args[0].dtype == torch.float64 or args[0].numel() == 0
            return function(*args, **(kwargs or {}))

    @contextmanager
    def watched() -> Iterator[None]:
        """What sums and products are made of is seen by the recorder alone."""
        with _disable_current_modes(), Recorder():  # type: ignore[no-untyped-call]
            yield

    monkeypatch.setattr(torch._C, "_DisableTorchDispatch", watched)
    model, x, y = start((1, 4, 3, 1), 0, device=device)
    general = Regression(torch.float32).to(device)
    with Recorder(), reproducible_arithmetic():  # type: ignore[no-untyped-call]
        train(model, x, y, 2, 0.01, 0.9)
        loss = nn.functional.huber_loss(general(torch.ones(6, 3, device=device) / 3), y[:8].T)
        torch.autograd.backward(loss)
        torch.optim.SGD(general.parameters(), 0.1, 0.9, weight_decay=0.1, foreach=True).step()
    assert {"mm", "sum", "div", "mul", "sub"} <= called
    assert called.isdisjoint(
        {"addmm", "addmv", "addcmul", "baddbmm", "bmm", "dot", "exp", "huber_loss", "lerp"}
        | {"linear", "mean", "mse_loss", "mv", "pow", "sqrt"}
    )


INEXACT: dict[str, Callable[[Tensor], Any]] = {
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "exp": torch.exp,
    "log": torch.log,
    "sqrt": torch.sqrt,
    "softplus": nn.functional.softplus,
    "_softmax": lambda x: x.softmax(0),
    "linalg_vector_norm": torch.linalg.vector_norm,
    "pow": lambda x: x**0.5,
    "std": torch.std,
    "cumsum": lambda x: x.cumsum(0),
    "addmm": lambda x: torch.addmm(x, x, x),
    "erf": lambda x: torch._foreach_erf([x]),
    "norm": lambda x: torch._foreach_norm([x]),
    "index_add": lambda x: x.index_add(0, torch.tensor([0, 0]), x),
    "_fused_sgd": lambda x: torch.optim.SGD([x], lr=0.1, fused=True).step(),
}


@pytest.mark.parametrize("name", INEXACT)
def test_what_does_not_round_alike_everywhere_is_refused_by_name(name: str) -> None:
    x = torch.ones(2, 2)
    x.grad = torch.ones(2, 2)
    INEXACT[name](x)
    with (
        reproducible_arithmetic(),
        pytest.raises(NotImplementedError, match=f"^{name} does not round alike everywhere"),
    ):
        INEXACT[name](x)
    with (
        reproducible_arithmetic(),
        pytest.raises(NotImplementedError, match="does not round alike everywhere"),
    ):
        with torch.enable_grad():  # only the derivative of this is refused
            x = torch.ones(3, requires_grad=True)
        torch.autograd.grad(x.index_select(0, torch.tensor([0, 0])).sum(), x)


def test_sums_and_products_of_whole_numbers_are_torchs() -> None:
    x = torch.arange(6).reshape(2, 3)
    with reproducible_arithmetic():
        assert torch.equal(x.sum(0), torch.tensor([3, 5, 7]))
        assert (x > 2).sum().item() == 3
        assert torch.equal(x**2, x * x)
        assert (x / 2).dtype == torch.float32
        assert torch.equal(x.sum(1, dtype=torch.float64), torch.tensor([3.0, 12.0]).double())


def test_outside_of_the_block_torch_is_itself() -> None:
    x = torch.rand(30, 30)
    expected = bits(x @ x)
    with pytest.raises(NotImplementedError), reproducible_arithmetic():
        x.tanh()
    assert bits(x @ x) == expected
    assert x.tanh().shape == x.shape


def test_refusals() -> None:
    with pytest.raises(TypeError, match=r"float32 or float64, not torch\.int64"):
        Factor(torch.ones(2, 2, dtype=torch.int64))
    with pytest.raises(ValueError, match="a factor is a matrix"):
        Factor(torch.ones(2))
    with pytest.raises(RuntimeError, match="lengths must be equal"):
        matmul(torch.ones(2, 3), torch.ones(2, 3))
    with reproducible_arithmetic():
        with pytest.raises(TypeError, match="float32 or float64"):
            torch.ones(3, dtype=torch.float16).sum()
        with pytest.raises(RuntimeError, match="dtype"):
            nn.functional.linear(torch.ones(1, 2), torch.ones(1, 2), torch.ones(1).double())
        with pytest.raises(NotImplementedError, match="mse_loss"):
            nn.functional.mse_loss(torch.ones(2), torch.ones(2), size_average=True)
        with pytest.raises(ValueError, match="not a valid value for reduction"):
            nn.functional.mse_loss(torch.ones(2), torch.ones(2), reduction="most")
        with pytest.raises(RuntimeError, match="beta must be at least 0"):
            nn.functional.smooth_l1_loss(torch.ones(2), torch.ones(2), beta=-1.0)
