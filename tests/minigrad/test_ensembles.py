"""Ensembles: every member computes what its network computes by itself, and none sees another."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import minigrad
import minigrad.ensembles
from minigrad import nn, optim
from minigrad.architectures import build
from minigrad.arrays.conversion import reproducible
from minigrad.autograd.gradcheck import gradcheck
from minigrad.ensembles import LINEAR, LinearEnsemble, ensemble, mse_losses
from minigrad.ops import Rule, linalg
from minigrad.tape import Array

DTYPES = pytest.mark.parametrize("dtype", ["float32", "float64"])
SAMPLES = 9


def networks(
    count: int, dtype: str = "float32", sizes: tuple[int, ...] = (2, 5, 3)
) -> list[nn.Sequential]:
    minigrad.manual_seed(1)
    return [build(sizes, dtype) for _ in range(count)]


def data(*shape: int, dtype: str = "float32", seed: int = 0) -> minigrad.Tensor:
    values = np.random.default_rng(seed).standard_normal(shape)
    return minigrad.tensor(values.astype(dtype))


def grad(parameter: minigrad.Tensor) -> Array:
    assert parameter.grad is not None
    return parameter.grad.numpy()


def test_parameters_are_the_members() -> None:
    members = networks(3)
    model = ensemble(members)
    assert [name for name, _ in model.named_parameters()] == list(members[0].state_dict())
    for name, value in model.state_dict().items():
        assert value.requires_grad is False
        for i, member in enumerate(members):
            np.testing.assert_array_equal(value[i].numpy(), member.state_dict()[name].numpy())
    model[0].bias.detach().zero_()
    assert np.abs(members[0][0].bias.detach().numpy()).min() > 0  # they were copied


def test_it_is_printed_with_its_members() -> None:
    assert "LinearEnsemble(members=3, in_features=2, out_features=5)" in repr(ensemble(networks(3)))


@DTYPES
@pytest.mark.parametrize("shared", [True, False])
def test_losses_and_gradients_are_those_of_each_network(dtype: str, shared: bool) -> None:
    members = networks(4, dtype)
    x = data(SAMPLES, 2, dtype=dtype) if shared else data(4, SAMPLES, 2, dtype=dtype)
    y = data(4, SAMPLES, 3, dtype=dtype, seed=1)
    model = ensemble(members)
    losses = mse_losses(model(x), y)
    losses.sum().backward()
    tolerance = 100 * float(np.finfo(dtype).eps)
    for i, member in enumerate(members):
        loss = nn.functional.mse_loss(member(x if shared else x[i]), y[i])
        loss.backward()
        assert losses[i].item() == pytest.approx(loss.item(), rel=tolerance)
        for stacked, parameter in zip(model.parameters(), member.parameters(), strict=True):
            expected, actual = grad(parameter), grad(stacked)[i]
            np.testing.assert_allclose(actual, expected, rtol=tolerance, atol=tolerance)


def test_targets_may_be_shared() -> None:
    model = ensemble(networks(3))
    x, y = data(SAMPLES, 2), data(SAMPLES, 3)
    given = minigrad.stack([y] * 3)
    actual, expected = (mse_losses(model(x), target) for target in (y, given))
    np.testing.assert_array_equal(actual.detach().numpy(), expected.detach().numpy())


def test_derivatives_are_right_by_finite_differences() -> None:
    layer = LinearEnsemble([network[0] for network in networks(2, "float64")])
    x = data(2, 4, 2, dtype="float64").requires_grad_()

    def forward(
        x: minigrad.Tensor, weight: minigrad.Tensor, bias: minigrad.Tensor
    ) -> minigrad.Tensor:
        return x._apply(LINEAR, x, weight, bias.unsqueeze(1))

    weight, bias = (value.detach().clone().requires_grad_() for value in layer.parameters())
    assert gradcheck(forward, (x, weight, bias))


def trained(
    model: nn.Module,
    loss: Callable[[], minigrad.Tensor],
    momentum: float,
    run: Callable[..., Callable[[], minigrad.Tensor]] = lambda step: step,
) -> list[bytes]:
    """The bits of losses, and of the gradients and parameters after the last of four steps."""
    optimizer = optim.SGD(model.parameters(), lr=0.05, momentum=momentum)

    def step() -> minigrad.Tensor:
        optimizer.zero_grad()
        losses = loss()
        losses.sum().backward()
        optimizer.step()
        return losses

    take = run(step)
    return [bits(take()) for _ in range(4)] + [
        found for p in model.parameters() for found in (grad(p).tobytes(), bits(p))
    ]


def bits(value: minigrad.Tensor) -> bytes:
    return value.detach().numpy().tobytes()


@DTYPES
@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_captured_steps_are_eager_steps_in_every_bit(dtype: str, momentum: float) -> None:
    x, y = data(SAMPLES, 2, dtype=dtype), data(3, SAMPLES, 3, dtype=dtype)
    found = []
    for run in (lambda step: step, minigrad.capture):
        model = ensemble(networks(3, dtype))
        found.append(trained(model, lambda m=model: mse_losses(m(x), y), momentum, run))  # type: ignore[misc]
    assert found[0] == found[1]


def unlike(dtype: str) -> list[int]:
    """Train members in reproducible arithmetic; return those without the bits of their network."""
    members = [reproducible(network) for network in networks(3, dtype)]
    model = reproducible(ensemble(networks(3, dtype)))
    # Errors so unlike that an exponent for all would leave the second member few bits to round, but
    # not so unlike that each row gets an exponent of its own; and so many that slices are narrow,
    # and hold hardly more bits than they must.
    samples, scale = (2000, 2.0**-16) if dtype == "float32" else (3000, 2.0**-7)
    scales = np.array([1.0, scale, 1.0], dtype).reshape(3, 1, 1)
    x = reproducible(data(samples, 2, dtype=dtype))
    noise = data(3, samples, 3, dtype=dtype).numpy() * scales
    y = reproducible(minigrad.tensor(model(x).detach().numpy() + noise))
    found = trained(model, lambda: mse_losses(model(x), y), 0.9)
    different = []
    for i, member in enumerate(members):
        own = trained(member, lambda m=member, i=i: nn.functional.mse_loss(m(x), y[i]), 0.9)  # type: ignore[misc]
        mine = [value[i * len(value) // 3 : (i + 1) * len(value) // 3] for value in found]
        if mine != own:
            different.append(i)
    return different


@DTYPES
def test_in_reproducible_arithmetic_a_member_has_the_bits_of_its_network(dtype: str) -> None:
    assert unlike(dtype) == []


def linear_backward_bias(grad_out: Array) -> Array:
    return np.add.reduce(grad_out, axis=-2, keepdims=True)


@DTYPES
def test_a_sum_that_members_share_an_exponent_in_is_seen(
    dtype: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    derivatives = linalg.linear_backward_x, linalg.linear_backward_weight, linear_backward_bias
    monkeypatch.setattr(minigrad.ensembles, "LINEAR", Rule(linalg.linear, *derivatives))
    assert unlike(dtype) != []


def test_a_member_that_is_not_finite_leaves_the_others_as_they_are() -> None:
    x, y = data(SAMPLES, 2), data(3, SAMPLES, 3)
    found = []
    for spoilt in (1.0, float("nan"), float("inf"), 1e38):
        model = ensemble(networks(3))
        with np.errstate(all="ignore"), minigrad.no_grad():
            model[2].weight[1] *= spoilt
        with np.errstate(all="ignore"):
            trained(model, lambda m=model: mse_losses(m(x), y), 0.9)  # type: ignore[misc]
        found.append([value.detach().numpy() for value in model.parameters()])
    for values in found[1:]:
        for actual, expected in zip(values, found[0], strict=True):
            assert actual[[0, 2]].tobytes() == expected[[0, 2]].tobytes()
            assert not np.array_equal(actual[1], expected[1])


class Scale(nn.Module):
    """A layer with a parameter that is no Linear."""

    def __init__(self) -> None:
        super().__init__()
        self.factor = nn.Parameter(minigrad.ones(1))


class Doubled(nn.Linear):
    """A layer that does something else than the one it is derived from."""

    def forward(self, input: minigrad.Tensor) -> minigrad.Tensor:
        return super().forward(input) * 2


class Reversed(nn.Sequential):
    """A network that does something else than the one it is derived from."""

    def forward(self, input: minigrad.Tensor) -> minigrad.Tensor:
        return super().forward(-input)


def frozen(network: nn.Sequential) -> nn.Sequential:
    return network.requires_grad_(False)


def hooked(module: Any) -> Any:
    module.register_forward_hook(lambda module, inputs, output: output * 2)
    return module


def replaced(module: Any) -> Any:
    module.forward = lambda x: x * 0
    return module


def with_a_hook(layer: Any) -> Any:
    layer.weight.register_hook(lambda gradient: gradient * 0)
    return layer


def with_more(layer: Any) -> Any:
    layer.scale = nn.Parameter(minigrad.ones(1))
    return layer


def tied() -> nn.Sequential:
    layer = nn.Linear(2, 2)
    return nn.Sequential(layer, layer)


def same_weight() -> list[nn.Linear]:
    layers = [nn.Linear(2, 2), nn.Linear(2, 2)]
    layers[1].weight = layers[0].weight
    return layers


def test_a_layer_may_stand_at_several_places() -> None:
    minigrad.manual_seed(2)
    members = []
    for _ in range(3):
        act, layer = nn.LeakyReLU(0.3), nn.Linear(2, 2)
        members.append(nn.Sequential(layer, act, layer, act, nn.Linear(2, 1)))
    model, x = ensemble(members), data(SAMPLES, 2)
    output = model(x)
    output.square().sum().backward()
    assert len(list(model.parameters())) == 4
    for i, member in enumerate(members):
        expected = member(x)
        expected.square().sum().backward()
        np.testing.assert_allclose(output[i].detach(), expected.detach(), rtol=1e-6)
        for actual, parameter in zip(model.parameters(), member.parameters(), strict=True):
            np.testing.assert_allclose(grad(actual)[i], grad(parameter), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("shape", [(3,), (5, 3), (2, 5, 2), (3, 5, 3), (1, 3, 5, 2)])
def test_inputs_of_other_shapes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"expected input \(n, 2\) or \(3, n, 2\)"):
        ensemble(networks(3))(data(*shape))


def test_activations_are_copied() -> None:
    members = [nn.Sequential(nn.Linear(1, 1), nn.ReLU()) for _ in range(2)]
    model = ensemble(member for member in members)
    before = model(data(3, 1)).tolist()
    hooked(members[0][1])
    assert model(data(3, 1)).tolist() == before


def test_what_is_frozen_stays_so() -> None:
    members = networks(2)
    for member in members:
        member[0].weight.requires_grad_(False)
    requiring = [parameter.requires_grad for parameter in ensemble(members).parameters()]
    assert requiring == [False, True, True, True]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (list, "0 networks must be at least one"),
        (lambda: [*networks(1), *networks(1, sizes=(2, 5, 3, 3))], "of the same layers"),
        (lambda: [*networks(1), *networks(1, sizes=(2, 4, 3))], "weight must be of one shape"),
        (lambda: [*networks(1), *networks(1, "float64")], "one shape, dtype"),
        (lambda: [nn.Sequential(nn.Linear(1, 1, bias=False))], "bias must be of one shape"),
        (lambda: [*networks(1), frozen(networks(1)[0])], "requires_grad in all"),
        (lambda: [nn.Sequential(Scale())], "Scale cannot be part of one"),
        (lambda: [nn.Sequential(nn.Flatten())], "Flatten cannot"),  # it would mix the samples
        (lambda: [nn.Sequential(Doubled(1, 1))], "Doubled cannot"),
        (lambda: [Reversed(nn.Linear(1, 1))], "Reversed cannot"),
        (lambda: [nn.Sequential(nn.Sequential(nn.Linear(1, 1)))], "Sequential cannot"),
        (lambda: [nn.Sequential(hooked(nn.Linear(1, 1)))], "Linear with a hook"),
        (lambda: [nn.Sequential(hooked(nn.ReLU()))], "ReLU with a hook"),
        (lambda: [hooked(networks(1)[0])], "Sequential with a hook"),
        (lambda: [nn.Sequential(replaced(nn.Linear(1, 1)))], "Linear with a forward of its own"),
        (lambda: [replaced(networks(1)[0])], "Sequential with a forward of its own"),
        (lambda: [nn.Sequential(with_a_hook(nn.Linear(1, 1)))], "Linear with a hook"),
        (lambda: [nn.Sequential(with_more(nn.Linear(1, 1)))], "with further parameters"),
        (lambda: [nn.Sequential(nn.ReLU())], "no Linear layer"),
        (lambda: [nn.Sequential(nn.LeakyReLU(slope)) for slope in (0.1, 0.2)], "the same layers"),
        (lambda: [tied(), nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))], "the same layers"),
        (lambda: [nn.Sequential(*same_weight())], "share a parameter"),
    ],
)
def test_what_cannot_be_put_together_is_refused(
    make: Callable[[], list[nn.Sequential]], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        ensemble(make())


@pytest.mark.parametrize(
    ("input_shape", "target_shape"), [((4, 3), (4, 3)), ((2, 4, 3), (4, 1)), ((2, 4, 3), (2, 4))]
)
def test_losses_of_other_shapes_are_refused(
    input_shape: tuple[int, ...], target_shape: tuple[int, ...]
) -> None:
    with pytest.raises(ValueError, match=r"expected input \(members, n, out\)"):
        mse_losses(data(*input_shape), data(*target_shape))
