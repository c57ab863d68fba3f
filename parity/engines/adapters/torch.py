"""torch as an engine: the networks, data and optimiser of `torch_impl`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import ModuleType

import torch
from torch import nn

from parity.engines.protocol import Array, Engine, Start, Task, Traced
from parity.engines.trace import traced_step
from parity.errors import UsageError
from torch_impl.devices import deterministic, device
from torch_impl.model import build
from torch_impl.train import LOSS_FUNCTION, step
from torch_impl.train import start as draw_start


class TorchEngine(Engine):
    """`nn.Sequential`, `nn.MSELoss` and `torch.optim.SGD`, deterministic, TF32 off."""

    namespace: ModuleType | None = torch
    _loss_function: Callable[[torch.Tensor, torch.Tensor], torch.Tensor] = LOSS_FUNCTION

    def __init__(self) -> None:
        # For the life of the process, which is the engine's own.
        deterministic().__enter__()

    def draw(self, task: Task) -> Start:
        """Draw data and parameters on the CPU with torch's default generator."""
        _device(task)
        model, x, y = draw_start(task.sizes, task.seed, task.samples, _dtype(task))
        return Start(x.numpy(), y.numpy(), _copies(model))

    def build(self, task: Task, start: Start) -> None:
        """Build the network, copy the parameters into it and move everything to the device."""
        self._device = _device(task)
        self._model = self._network(task)
        self._model.load_state_dict(
            {name: torch.tensor(value) for name, value in start.parameters.items()}
        )
        self._model.to(self._device)
        self._x = torch.tensor(start.x, device=self._device)
        self._y = torch.tensor(start.y, device=self._device)
        self._optimizer = self._sgd(task)

    def put(
        self, parameters: Mapping[str, Array], momentum_buffers: Mapping[str, Array] = {}
    ) -> None:
        """Copy the values into the network and the optimiser, on whatever device they are."""
        self._model.load_state_dict({n: torch.tensor(a) for n, a in parameters.items()})
        self._optimizer.state.clear()
        for name, parameter in self._model.named_parameters():
            if name in momentum_buffers:
                buffer = torch.tensor(momentum_buffers[name], device=self._device)
                self._optimizer.state[parameter] = {"momentum_buffer": buffer}

    def momentum_buffers(self) -> dict[str, Array]:
        """Copy the optimiser's buffers to the CPU."""
        buffers = {
            name: self._optimizer.state.get(parameter, {}).get("momentum_buffer")
            for name, parameter in self._model.named_parameters()
        }
        return {name: _copy(buffer) for name, buffer in buffers.items() if buffer is not None}

    def loss_and_gradients(self) -> tuple[float, dict[str, Array]]:
        """Run forward and backward."""
        self._optimizer.zero_grad()
        loss = self._loss_function(self._model(self._x), self._y)
        loss.backward()  # type: ignore[no-untyped-call]
        gradients = {}
        for name, parameter in self._model.named_parameters():
            assert parameter.grad is not None
            gradients[name] = _copy(parameter.grad)
        return loss.item(), gradients

    def step(self) -> object:
        """Take one training step."""
        return step(self._model, self._optimizer, self._x, self._y, self._loss_function)

    def trace(self) -> list[Traced]:
        """Take one training step, layer by layer; bring its values to the CPU."""
        return traced_step(
            self._model,
            self._optimizer,
            self._x,
            self._y,
            self._loss_function,
            _copy,
        )

    def parameters(self) -> dict[str, Array]:
        """Copy the parameters to the CPU."""
        return _copies(self._model)

    def predict(self) -> Array:
        """Run forward without recording."""
        with torch.no_grad():
            output: torch.Tensor = self._model(self._x)
        return _copy(output)

    def synchronize(self) -> None:
        """Wait for a CUDA device."""
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)

    def _network(self, task: Task) -> nn.Sequential:
        return build(task.sizes, _dtype(task))

    def _sgd(self, task: Task) -> torch.optim.Optimizer:
        """Return the optimiser of the network, which is on its device by now."""
        parameters = self._model.parameters()
        return torch.optim.SGD(parameters, lr=task.learning_rate, momentum=task.momentum)


def _device(task: Task) -> torch.device:
    try:
        return device(task.device)
    except ValueError as error:
        raise UsageError(str(error)) from error


def _dtype(task: Task) -> torch.dtype:
    return {"float32": torch.float32, "float64": torch.float64}[task.dtype]


def _copies(model: nn.Module) -> dict[str, Array]:
    return {name: _copy(value) for name, value in model.state_dict().items()}


def _copy(tensor: torch.Tensor) -> Array:
    return tensor.cpu().numpy().copy()
