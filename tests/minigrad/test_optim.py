"""SGD: the same steps as torch's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import minigrad
import minigrad.architectures
import torch_impl.train
from minigrad import nn, optim

ENGINES = pytest.mark.parametrize("T", [minigrad, torch], ids=["minigrad", "torch"])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", ["underfit", "rightfit", "overfit"])
def test_training_steps_are_torchs_within_rounding(name: str, dtype: str) -> None:
    sizes = minigrad.architectures.ARCHITECTURES[name].sizes
    theirs, x_torch, y_torch = torch_impl.train.start(sizes, 4, 100, getattr(torch, dtype))
    ours = minigrad.architectures.build(sizes, dtype)
    x, y = minigrad.tensor(x_torch.numpy()), minigrad.tensor(y_torch.numpy())
    optimizers = (
        optim.SGD(ours.parameters(), lr=0.01),
        torch.optim.SGD(theirs.parameters(), lr=0.01),
    )
    unit = float(np.finfo(dtype).eps)
    for _ in range(10):
        # From the same parameters each time, so that rounding errors do not grow.
        ours.load_state_dict(
            {key: minigrad.tensor(value.numpy()) for key, value in theirs.state_dict().items()}
        )
        losses = []
        for T, model, optimizer, data in (
            (minigrad, ours, optimizers[0], (x, y)),
            (torch, theirs, optimizers[1], (x_torch, y_torch)),
        ):
            optimizer.zero_grad()
            loss = T.nn.MSELoss()(model(data[0]), data[1])
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        assert losses[0] == pytest.approx(losses[1], rel=100 * unit)
        for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
            assert b.grad is not None
            assert a.grad is not None
            scale = float(b.grad.abs().max())
            np.testing.assert_allclose(
                a.grad.numpy(), b.grad.numpy(), rtol=0, atol=1000 * unit * scale
            )
            step = 0.01 * 1000 * unit * scale + 2 * unit * float(b.detach().abs().max())
            np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), rtol=0, atol=step)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("lr", [0.01, 1e-3, 0.1, 0.5, 1.0, 3, 0.0])
def test_a_step_is_one_product_and_one_difference(dtype: str, lr: float) -> None:
    rng = np.random.default_rng(1)
    start, gradient = (rng.standard_normal((7, 5)).astype(dtype) for _ in range(2))
    p = nn.Parameter(minigrad.tensor(start))
    p.grad = minigrad.tensor(gradient)
    optim.SGD([p], lr=lr).step()
    assert p.detach().numpy().tobytes() == (start - gradient * np.dtype(dtype).type(lr)).tobytes()
    q = torch.nn.Parameter(torch.tensor(start))
    q.grad = torch.tensor(gradient)
    torch.optim.SGD([q], lr=lr).step()
    # torch's kernel may fuse the two; half an ulp of the product is then not rounded away.
    np.testing.assert_allclose(
        p.detach().numpy(), q.detach().numpy(), rtol=0, atol=4 * float(np.finfo(dtype).eps)
    )


@ENGINES
def test_step_changes_parameters_in_place(T: Any) -> None:
    p = T.nn.Parameter(T.ones(2))
    view = p.detach()
    optimizer = T.optim.SGD([p], lr=0.5)
    (p * 2).sum().backward()
    optimizer.step()
    optimizer.step()
    assert p.tolist() == [-1.0, -1.0]
    assert view.tolist() == [-1.0, -1.0]
    assert p.requires_grad
    assert p.is_leaf
    assert p.grad.tolist() == [2.0, 2.0]


@ENGINES
def test_parameters_without_gradient_are_left_alone(T: Any) -> None:
    used, unused = T.nn.Parameter(T.ones(1)), T.nn.Parameter(T.ones(1))
    optimizer = T.optim.SGD([used, unused], lr=0.5)
    optimizer.step()
    used.sum().backward()
    optimizer.step()
    assert (used.item(), unused.item()) == (0.5, 1.0)


@ENGINES
def test_zero_grad(T: Any) -> None:
    p = T.nn.Parameter(T.ones(2))
    optimizer = T.optim.SGD([p], lr=0.1)
    optimizer.zero_grad()
    (p * 2).sum().backward()
    optimizer.zero_grad(set_to_none=False)
    assert p.grad.tolist() == [0.0, 0.0]
    (p * 2).sum().backward()
    (p * 2).sum().backward()
    assert p.grad.tolist() == [4.0, 4.0]
    optimizer.zero_grad()
    assert p.grad is None


@ENGINES
def test_tensors_that_are_no_parameters_are_trained_as_well(T: Any) -> None:
    w = T.tensor([4.0], requires_grad=True)
    optimizer = T.optim.SGD([w], lr=0.25)
    for _ in range(3):
        optimizer.zero_grad()
        (w * w).sum().backward()
        optimizer.step()
    assert w.item() == 0.5


@ENGINES
def test_parameters_may_come_from_a_generator(T: Any) -> None:
    layer = T.nn.Linear(1, 1)
    optimizer = T.optim.SGD(layer.parameters(), lr=1.0)
    layer(T.ones(1, 1)).sum().backward()
    before = layer.bias.item()
    optimizer.step()
    assert layer.bias.item() == pytest.approx(before - 1)


@ENGINES
def test_what_is_refused(T: Any) -> None:
    with pytest.raises(ValueError, match="empty parameter list"):
        T.optim.SGD([], lr=0.1)
    with pytest.raises(ValueError, match="Invalid learning rate"):
        T.optim.SGD([T.nn.Parameter(T.ones(1))], lr=-1)
    with pytest.raises(TypeError, match="can only optimize Tensors"):
        T.optim.SGD([5], lr=0.1)
    with pytest.raises(TypeError):
        T.optim.SGD(T.nn.Parameter(T.ones(1)), lr=0.1)
    with pytest.raises(ValueError, match="leaf"):
        T.optim.SGD([T.nn.Parameter(T.ones(1)) * 2], lr=0.1)
