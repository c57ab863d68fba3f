"""Data, networks and training: the seed protocol, what the losses are, and that bits repeat."""

import pytest
import torch
from torch import nn

from torch_impl.__main__ import main
from torch_impl.data import parabola
from torch_impl.devices import deterministic, device
from torch_impl.model import build
from torch_impl.train import mse, start, train

cuda = pytest.mark.cuda
needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")
DTYPES = [torch.float32, torch.float64]


@pytest.mark.parametrize("dtype", DTYPES)
def test_parabola(dtype: torch.dtype) -> None:
    torch.manual_seed(3)
    x, y = parabola(2000, dtype)
    assert x.shape == y.shape == (2000, 1)
    assert x.dtype == y.dtype == dtype
    assert (x[0].item(), x[-1].item()) == (-5, 5)
    spacing = torch.full((1999, 1), 10 / 1999, dtype=dtype)
    torch.testing.assert_close(x.diff(dim=0), spacing, rtol=0, atol=2e-6)
    noise = y - x**2
    assert abs(noise.mean().item()) < 5 / 2000**0.5
    assert abs(noise.std().item() - 1) < 0.1
    # One element at a time, in order: torch's other method for long tensors gives other numbers.
    torch.manual_seed(3)
    drawn = torch.cat([torch.randn(1, dtype=dtype) for _ in range(2000)])
    assert torch.equal(y.flatten(), x.flatten() ** 2 + drawn)
    torch.manual_seed(3)
    assert not torch.equal(drawn, torch.randn(2000, dtype=dtype))


def test_no_samples_are_refused() -> None:
    with pytest.raises(ValueError, match="cannot draw 0 samples"):
        parabola(0)


def test_build() -> None:
    model = build((1, 5, 3, 1), torch.float64)
    assert [type(layer) for layer in model] == [nn.Linear, nn.ReLU, nn.Linear, nn.ReLU, nn.Linear]
    assert [tuple(p.shape) for p in model.parameters()] == [
        *((5, 1), (5,)),
        *((3, 5), (3,)),
        *((1, 3), (1,)),
    ]
    assert {p.dtype for p in model.parameters()} == {torch.float64}
    with pytest.raises(ValueError, match=r"not \(1,\)"):
        build((1,))


@pytest.mark.parametrize("dtype", DTYPES)
def test_start_draws_the_parameters_after_the_data(dtype: torch.dtype) -> None:
    model, x, y = start((1, 4, 1), seed=11, samples=7, dtype=dtype)
    torch.manual_seed(11)
    expected_x, expected_y = parabola(7, dtype)
    first = nn.Linear(1, 4, dtype=dtype)
    second = nn.Linear(4, 1, dtype=dtype)
    assert torch.equal(x, expected_x)
    assert torch.equal(y, expected_y)
    expected = [first.weight, first.bias, second.weight, second.bias]
    for actual, reference in zip(model.parameters(), expected, strict=True):
        assert torch.equal(actual, reference)


def test_a_step_is_gradient_descent() -> None:
    """On a straight line the gradient of the mean squared error is known in closed form."""
    model = build((1, 1), torch.float64)
    x = torch.tensor([[1.0], [2.0], [4.0]], dtype=torch.float64)
    y = torch.tensor([[3.0], [1.0], [5.0]], dtype=torch.float64)
    weight, bias = (p.item() for p in model.parameters())
    error = weight * x + bias - y
    losses = train(model, x, y, epochs=1, learning_rate=0.1)
    assert losses.tolist() == pytest.approx([(error**2).mean().item()])
    new_weight, new_bias = (p.item() for p in model.parameters())
    assert new_weight == pytest.approx(weight - 0.1 * (2 * error * x).mean().item())
    assert new_bias == pytest.approx(bias - 0.1 * (2 * error).mean().item())


def test_losses_are_those_before_each_update() -> None:
    with deterministic():
        once, x, y = start((1, 8, 1), seed=0)
        first = mse(once, x, y)
        losses = train(once, x, y, 5, 0.01)
        assert losses.shape == (5,)
        assert losses[0].item() == first
        # Training on from there begins with the loss that training to there ended with.
        last = mse(once, x, y)
        assert train(once, x, y, 1, 0.01).tolist() == [last]
        assert train(once, x, y, 0, 0.01).shape == (0,)


def test_momentum_reaches_the_optimiser() -> None:
    plain, x, y = start((1, 8, 1), seed=0)
    heavy, _, _ = start((1, 8, 1), seed=0)
    plain_losses = train(plain, x, y, 3, 0.001)
    heavy_losses = train(heavy, x, y, 3, 0.001, momentum=0.9)
    assert plain_losses[:2].tolist() == heavy_losses[:2].tolist()
    assert plain_losses[2] != heavy_losses[2]


def trained_bits(seed: int, where: torch.device, dtype: torch.dtype) -> list[bytes]:
    """Return the bits of the losses and of every parameter of a short run."""
    with deterministic():
        model, x, y = start((1, 64, 64, 1), seed, dtype=dtype, device=where)
        losses = train(model, x, y, 30, 0.01)
    return [t.detach().cpu().numpy().tobytes() for t in (losses, *model.parameters())]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("where", ["cpu", pytest.param("cuda", marks=[cuda, needs_gpu])])
def test_a_seed_means_the_same_bits_every_time(where: str, dtype: torch.dtype) -> None:
    place = device(where)
    assert trained_bits(5, place, dtype) == trained_bits(5, place, dtype)
    assert trained_bits(5, place, dtype) != trained_bits(6, place, dtype)


@cuda
@needs_gpu
def test_cuda_starts_where_the_cpu_does_and_trains_alike() -> None:
    on_cpu, x, y = start((1, 16, 16, 1), seed=2, dtype=torch.float64)
    on_gpu, gpu_x, gpu_y = start((1, 16, 16, 1), seed=2, dtype=torch.float64, device=device("cuda"))
    assert gpu_x.is_cuda
    assert torch.equal(x, gpu_x.cpu())
    assert torch.equal(y, gpu_y.cpu())
    for expected, actual in zip(on_cpu.parameters(), on_gpu.parameters(), strict=True):
        assert torch.equal(expected, actual.cpu())
    with deterministic():
        expected_losses = train(on_cpu, x, y, 20, 0.01)
        losses = train(on_gpu, gpu_x, gpu_y, 20, 0.01)
    torch.testing.assert_close(losses.cpu(), expected_losses, rtol=1e-9, atol=0)


@cuda
@needs_gpu
def test_tf32_only_when_asked_for() -> None:
    torch.manual_seed(0)
    a, b = torch.randn(2, 256, 256, dtype=torch.float64)
    exact = a.float().double() @ b.float().double()

    def error(tf32: bool) -> float:
        with deterministic(tf32):
            product = a.float().cuda() @ b.float().cuda()
        return float((product.cpu().double() - exact).abs().max() / exact.abs().max())

    assert error(tf32=False) < 2**-20
    if torch.cuda.get_device_capability() >= (8, 0):
        assert error(tf32=True) > 2**-17


@cuda
@needs_gpu
def test_a_gpu_beyond_the_last_is_refused() -> None:
    with pytest.raises(ValueError, match=r"'cuda:999'.*the last one here is cuda:"):
        device("cuda:999")


def test_deterministic_restores_what_it_found() -> None:
    def settings() -> tuple[bool, bool, str]:
        return (
            torch.are_deterministic_algorithms_enabled(),
            torch.is_deterministic_algorithms_warn_only_enabled(),
            torch.get_float32_matmul_precision(),
        )

    before = settings()
    with deterministic():
        assert settings() == (True, False, "highest")
        with pytest.raises(KeyError), deterministic(tf32=True):
            assert settings() == (True, False, "high")
            raise KeyError
        assert settings() == (True, False, "highest")
    assert settings() == before


def test_devices() -> None:
    assert device("cpu") == torch.device("cpu")
    for name in ("tpu", "cpu:0", "cuda:", "cuda:x", "cuda:-1", "", "cuda\n"):
        with pytest.raises(ValueError, match=r"unknown device.*cpu, cuda"):
            device(name)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_no_gpu_is_said_plainly() -> None:
    with pytest.raises(ValueError, match=r"no device 'cuda'.*use cpu"):
        device("cuda")


def test_command_prints_the_final_mse(capsys: pytest.CaptureFixture[str]) -> None:
    main(["underfit", "--seed", "18446744073709551615", "--dtype", "float64"])
    printed = capsys.readouterr()
    assert printed.err == ""
    model, x, y = start((1, 1, 1), seed=2**64 - 1, dtype=torch.float64)
    train(model, x, y, 500, 0.01)
    name, _, value = printed.out.partition(": final MSE ")
    assert name == "underfit"
    assert float(value) == pytest.approx(mse(model, x, y), rel=1e-9)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["middlefit"], "unknown architecture 'middlefit'"),
        (["rightfit", "--seed", "-1"], "'-1' is no seed"),
        (["rightfit", "--seed", "18446744073709551616"], "is no seed"),
        (["rightfit", "--device", "abacus"], "unknown device 'abacus'"),
        (["rightfit", "--tf32"], "leave it out"),
    ],
)
def test_bad_usage_ends_with_status_2(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    printed = capsys.readouterr()
    assert said in printed.err
    assert printed.out == ""
