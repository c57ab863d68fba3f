"""torch as engines, through its public API: devices and arithmetic are those of `torch_impl`.

Eager, compiled, and in its reproducible arithmetic.
"""

from types import ModuleType
from typing import Any

import torch

from parity.engines.adapters.modules import ModuleEngine
from parity.engines.protocol import Array, Start, Task
from parity.errors import UsageError
from torch_impl.devices import deterministic, device
from torch_impl.reproducible import reproducible_arithmetic
from torch_impl.train import step


class TorchEngine(ModuleEngine):
    """`nn.Module`s, losses and `torch.optim.SGD`, deterministic, TF32 off."""

    namespace: ModuleType | None = torch
    _library = torch

    def __init__(self) -> None:
        # For the life of the process, which is the engine's own.
        deterministic().__enter__()

    def draw(self, task: Task) -> Start:
        """Draw data and parameters, on the CPU, by torch's default generator."""
        _device(task)
        return super().draw(task)

    def build(self, task: Task, start: Start) -> None:
        """Build the network, copy the parameters into it and move everything to the device."""
        self._device = _device(task)
        super().build(task, start)

    def synchronize(self) -> None:
        """Wait for a CUDA device."""
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)

    def _placed(self, model: Any) -> Any:
        return model.to(self._device)

    def _rows(self, rows: Array) -> torch.Tensor:
        return torch.tensor(rows, device=self._device)

    def _tensor(self, array: Array) -> torch.Tensor:
        return torch.tensor(array, device=self._device)

    def _copy(self, tensor: torch.Tensor) -> Array:
        return tensor.cpu().numpy().copy()


class TorchCompileEngine(TorchEngine):
    """The whole step is compiled, forward, backward and optimiser; a C++ compiler is needed.

    The first step after `load` is slow. What the verdicts look at beside steps runs eagerly; there
    is nothing to see within a compiled step.
    """

    options = ("weight_decay", "dampening", "nesterov", "activation", "loss", "bias")
    namespace = None
    trace = None  # type: ignore[assignment]

    def build(self, task: Task, start: Start) -> None:
        """Build everything anew; the next step compiles."""
        super().build(task, start)
        torch.compiler.reset()
        self._compiled_step: Any = torch.compile(step)

    def step(self) -> object:
        """Take one training step."""
        return self._compiled_step(self._model, self._optimizer, *self._data, self._loss_function)


class TorchReproducibleEngine(TorchEngine):
    """The same training within `reproducible_arithmetic`: model, loss and optimiser stay."""

    namespace = None

    step = reproducible_arithmetic()(TorchEngine.step)
    loss_and_gradients = reproducible_arithmetic()(TorchEngine.loss_and_gradients)
    predict = reproducible_arithmetic()(TorchEngine.predict)
    trace = reproducible_arithmetic()(TorchEngine.trace)


def _device(task: Task) -> torch.device:
    try:
        return device(task.device)
    except ValueError as error:
        raise UsageError(str(error)) from error
