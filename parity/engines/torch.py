"""torch as an engine: the networks, data and optimiser of `torch_impl`."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from parity.engines import Array, Start, Task
from parity.errors import UsageError
from torch_impl.devices import deterministic, device
from torch_impl.model import build
from torch_impl.train import LOSS_FUNCTION, step
from torch_impl.train import start as draw_start


class TorchEngine:
    """`nn.Sequential`, `nn.MSELoss` and `torch.optim.SGD`, deterministic, TF32 off."""

    def __init__(self) -> None:
        # For the life of the process, which is the engine's own.
        deterministic().__enter__()

    def draw(self, task: Task) -> Start:
        """Draw data and parameters on the CPU with torch's default generator."""
        _device(task)
        model, x, y = draw_start(task.sizes, task.seed, task.samples, _dtype(task))
        return Start(x.numpy(), y.numpy(), _copies(model))

    def load(self, task: Task, start: Start) -> None:
        """Build the network, copy the parameters into it and move everything to the device."""
        self._device = _device(task)
        self._model = build(task.sizes, _dtype(task))
        self._model.load_state_dict(
            {name: torch.tensor(value) for name, value in start.parameters.items()}
        )
        self._model.to(self._device)
        self._x = torch.tensor(start.x, device=self._device)
        self._y = torch.tensor(start.y, device=self._device)
        self._optimizer = torch.optim.SGD(
            self._model.parameters(), lr=task.learning_rate, momentum=task.momentum
        )

    def put(self, parameters: Mapping[str, Array]) -> None:
        """Copy the values into the network, on whatever device it is."""
        self._model.load_state_dict({n: torch.tensor(a) for n, a in parameters.items()})

    def loss_and_gradients(self) -> tuple[float, dict[str, Array]]:
        """Run forward and backward."""
        self._optimizer.zero_grad()
        loss = LOSS_FUNCTION(self._model(self._x), self._y)
        loss.backward()
        gradients = {}
        for name, parameter in self._model.named_parameters():
            assert parameter.grad is not None
            gradients[name] = parameter.grad.detach().cpu().numpy().copy()
        return loss.item(), gradients

    def step(self) -> object:
        """Take one training step."""
        return step(self._model, self._optimizer, self._x, self._y)

    def parameters(self) -> dict[str, Array]:
        """Copy the parameters to the CPU."""
        return _copies(self._model)

    def predict(self) -> Array:
        """Run forward without recording."""
        with torch.no_grad():
            output: torch.Tensor = self._model(self._x)
        return output.cpu().numpy()

    def synchronize(self) -> None:
        """Wait for a CUDA device."""
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)


def _device(task: Task) -> torch.device:
    try:
        return device(task.device)
    except ValueError as error:
        raise UsageError(str(error)) from error


def _dtype(task: Task) -> torch.dtype:
    return {"float32": torch.float32, "float64": torch.float64}[task.dtype]


def _copies(model: nn.Module) -> dict[str, Array]:
    return {name: value.cpu().numpy().copy() for name, value in model.state_dict().items()}
