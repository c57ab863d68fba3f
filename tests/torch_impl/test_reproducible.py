"""torch's reproducible arithmetic: exact, without order, differentiable, the same on a GPU."""

import math
from fractions import Fraction
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from torch_impl.reproducible import (
    SGD,
    linear,
    matmul,
    mse_loss,
    relu,
    reproducible,
    train_reproducibly,
)
from torch_impl.slices import PRECISION, Factor, contract, total
from torch_impl.train import start

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
            for a in Factor(x).along(1)[0].slices:
                for b in Factor(y).along(1)[0].slices:
                    actual = (a @ b.mT).item()
                    assert Fraction(actual) == exactly(a.tolist(), b.tolist())[0][0]
    a = Factor(largest * 2 - 1).along(1)[0].slices[0] * 2 + 1  # one bit more
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
def test_the_four_ways_to_contract(dtype: torch.dtype) -> None:
    x, y = matrix(0, 6, 5, dtype=dtype, span=20), matrix(1, 5, 4, dtype=dtype, span=20)
    expected = bits(contract(Factor(x), 1, Factor(y), 0))
    assert bits(contract(Factor(x), 1, Factor(y.mT.contiguous()), 1)) == expected
    assert bits(contract(Factor(x.mT.contiguous()), 0, Factor(y), 0)) == expected
    assert bits(contract(Factor(x.mT), 0, Factor(y.mT), 1)) == expected


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


@pytest.mark.parametrize("dtype", DTYPES)
def test_gradients_are_torchs(dtype: torch.dtype) -> None:
    def inputs() -> list[Tensor]:
        shapes = [(7, 3), (4, 3), (4,), (4, 2), (7, 2)]
        values = [matrix(i, *shape, 1, dtype=dtype)[..., 0] for i, shape in enumerate(shapes)]
        return [value.requires_grad_() for value in values]

    ours, theirs = inputs(), inputs()
    x, weight, bias, second, y = ours
    loss = mse_loss(matmul(relu(linear(x, weight, bias)), second), y)
    x, weight, bias, second, y = theirs
    expected = nn.functional.mse_loss(nn.functional.linear(x, weight, bias).relu() @ second, y)
    torch.testing.assert_close(loss, expected)
    loss.backward()  # type: ignore[no-untyped-call]
    expected.backward()  # type: ignore[no-untyped-call]
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a.grad, b.grad)


def test_relu_at_special_values() -> None:
    x = torch.tensor([-1.0, 0.0, 1.0, math.nan, math.inf], requires_grad=True)
    relu(x).backward(torch.tensor([math.inf, math.nan, math.inf, 2.0, math.nan]))  # type: ignore[no-untyped-call]
    assert x.grad is not None
    assert bits(x.grad) == bits(torch.tensor([0, 0, math.inf, 2, math.nan]))


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
        losses = train_reproducibly(model, x, y, 60, 0.01 * (1 - momentum), momentum)
        return [bits(p) for p in (losses, *model.parameters())], losses

    expected, losses = trained(device, torch.arange(100))
    assert losses[-1] < losses[0] / 2
    assert trained("cpu", torch.randperm(100))[0] == expected


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_sgd_is_torchs(momentum: float, device: str, dtype: torch.dtype) -> None:
    ours, theirs = (
        [matrix(i, 4, 3, dtype=dtype).to(device).requires_grad_() for i in range(2)] for _ in "ab"
    )
    optimizers = [
        SGD(ours, lr=0.1, momentum=momentum),
        torch.optim.SGD(theirs, lr=0.1, momentum=momentum),
    ]
    for step in range(5):
        for parameters, optimizer in zip((ours, theirs), optimizers, strict=True):
            optimizer.zero_grad()
            assert parameters[0].grad is None
            for i, parameter in enumerate(parameters[: 1 + step % 2]):  # one is left out at times
                parameter.grad = matrix(10 * step + i, 4, 3, dtype=dtype).to(device)
            optimizer.step()
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b)
        states = [optimizers[0].state.get(a, {}), optimizers[1].state.get(b, {})]
        if momentum:
            torch.testing.assert_close(*(state["momentum_buffer"] for state in states))
            assert states[0]["momentum_buffer"] is not a.grad
        else:
            assert not states[0]


def test_a_reproducible_network_has_the_same_parameters_and_draws_none() -> None:
    model, x, _ = start((1, 4, 1), 0)
    state = torch.get_rng_state()
    twin = reproducible(model)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(a is b for a, b in zip(twin.parameters(), model.parameters(), strict=True))
    assert list(twin.state_dict()) == list(model.state_dict())
    torch.testing.assert_close(twin(x), model(x))


@pytest.mark.parametrize("device", DEVICES)
def test_no_fused_kernel_is_called(device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from torch.utils._python_dispatch import TorchDispatchMode

    called = set()

    class Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]
        def __torch_dispatch__(
            self, function: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            called.add(function.overloadpacket.__name__)
            if "alpha" in (kwargs or {}):
                raise AssertionError(f"{function} with alpha")
            if "div" in function.overloadpacket.__name__:
                assert isinstance(args[1], Tensor)
            if function.overloadpacket.__name__ in ("mm", "sum"):
                assert args[0].dtype == torch.float64 or args[0].numel() == 0
            return function(*args, **(kwargs or {}))

    model, x, y = start((1, 4, 3, 1), 0, device=device)
    with Recorder():  # type: ignore[no-untyped-call]
        train_reproducibly(model, x, y, 2, 0.01, 0.9)
    assert {"mm", "sum", "div", "mul", "sub"} <= called
    assert called.isdisjoint(
        {"addmm", "addmv", "addcmul", "baddbmm", "sqrt", "exp", "pow", "lerp", "mse_loss", "linear"}
    )


def test_refusals() -> None:
    with pytest.raises(TypeError, match=r"float32 or float64, not torch\.int64"):
        Factor(torch.ones(2, 2, dtype=torch.int64))
    with pytest.raises(ValueError, match="a factor is a matrix"):
        Factor(torch.ones(2))
    with pytest.raises(ValueError, match="lengths must be equal"):
        matmul(torch.ones(2, 3), torch.ones(2, 3))
    with pytest.raises(TypeError, match="no reproducible arithmetic for Tanh"):
        reproducible(nn.Sequential(nn.Tanh()))
    with pytest.raises(ValueError, match="must be equal and not empty"):
        mse_loss(torch.ones(2, 1), torch.ones(2))
