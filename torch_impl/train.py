"""Where a run starts, and the training loop."""

from collections.abc import Callable, Sequence

import torch
from torch import nn

from torch_impl.data import parabola
from torch_impl.model import build


def start(
    sizes: Sequence[int],
    seed: int,
    samples: int = 100,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str = "cpu",
) -> tuple[nn.Sequential, torch.Tensor, torch.Tensor]:
    """Return the network and the data, x and y of shape (samples, 1), that a run begins with.

    Seeds torch's default generator, draws the data and then the parameters, on the CPU in the run's
    own dtype, and only then moves them: a seed gives the same numbers on every device.
    """
    torch.manual_seed(seed)
    x, y = parabola(samples, dtype)
    model = build(sizes, dtype)
    return model.to(device), x.to(device), y.to(device)


LOSS_FUNCTION = nn.MSELoss()


def train(
    model: nn.Module,
    x: torch.Tensor,
    y: torch.Tensor,
    epochs: int,
    learning_rate: float,
    momentum: float = 0.0,
) -> torch.Tensor:
    """Train `model` in place by full-batch SGD on the mean squared error.

    Returns the losses, shape (epochs,): entry i is the loss at the beginning of epoch i, so the
    loss of the trained network is not among them (`mse` gives it).
    """
    optimizer = torch.optim.SGD(model.parameters(), lr=learning_rate, momentum=momentum)
    losses = torch.empty(epochs, dtype=y.dtype, device=y.device)
    for epoch in range(epochs):
        losses[epoch] = step(model, optimizer, x, y)
    return losses


def step(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    x: torch.Tensor,
    y: torch.Tensor,
    loss_function: Callable[[torch.Tensor, torch.Tensor], torch.Tensor] = LOSS_FUNCTION,
) -> torch.Tensor:
    """Take one training step; return the loss before it, on its device, without waiting for it."""
    optimizer.zero_grad()
    loss = loss_function(model(x), y)
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    return loss.detach()


def mse(model: nn.Module, x: torch.Tensor, y: torch.Tensor) -> float:
    """Return the mean squared error of `model` on (x, y)."""
    with torch.no_grad():
        return float(nn.functional.mse_loss(model(x), y))
