"""A script as users write one, with types; `make lint` and `test_typed_script` check it."""

from typing import assert_type

import minigrad as torch
import minigrad.nn.functional as F
from minigrad import Tensor, nn, optim


class Net(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(1, width)
        self.activation = nn.ReLU()
        self.last = nn.Linear(width, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.activation(self.hidden(x)))


class Scaled(nn.Module):
    def forward(self, x: Tensor, factor: float = 2.0) -> tuple[Tensor, float]:
        return x * factor, factor


def trained(x: Tensor, y: Tensor, epochs: int) -> tuple[Net, Tensor]:
    model = Net(16)
    loss_function = nn.MSELoss()
    optimizer = optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    loss = loss_function(model(x), y)
    for _ in range(epochs):
        optimizer.zero_grad()
        loss = loss_function(model(x), y)
        loss.backward()
        optimizer.step()
    assert_type(loss, Tensor)
    return model, loss


def main() -> float:
    torch.manual_seed(0)
    x = torch.linspace(-5, 5, 100).reshape(-1, 1)
    y = x**2 + torch.randn(100, 1)
    model, loss = trained(x, y, epochs=20)
    assert_type(model(x), Tensor)
    assert_type(nn.Sequential(nn.Linear(1, 1), nn.ReLU())(x), Tensor)
    assert_type(Scaled()(x, factor=3.0), tuple[Tensor, float])
    assert_type(torch.relu(x), Tensor)
    assert_type(F.mse_loss(x, y), Tensor)
    with torch.no_grad():
        residual: Tensor = model(x) - y
    weight = model.hidden.weight
    assert weight.grad is not None
    (slope,) = torch.autograd.grad(F.mse_loss(model(x), y), weight)
    assert_type(slope, Tensor)
    print(f"{residual.abs().mean().item():.3f} {(slope - weight.grad).norm().item():.3f}")
    return loss.item()
