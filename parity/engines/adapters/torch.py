"""torch as engines, with the networks, data and training loop of `torch_impl`.

Eager, compiled, and in its reproducible arithmetic.
"""

from collections.abc import Callable
from types import ModuleType

import torch
from torch import nn

from parity.engines.adapters.sequential import SequentialEngine
from parity.engines.protocol import Array, Start, Task
from parity.errors import UsageError
from torch_impl.devices import deterministic, device
from torch_impl.model import build
from torch_impl.reproducible import reproducible_arithmetic
from torch_impl.train import LOSS_FUNCTION, step
from torch_impl.train import start as draw_start


class TorchEngine(SequentialEngine):
    """`nn.Sequential`, `nn.MSELoss` and `torch.optim.SGD`, deterministic, TF32 off."""

    namespace: ModuleType | None = torch
    _library = torch
    _loss_function: Callable[[torch.Tensor, torch.Tensor], torch.Tensor] = LOSS_FUNCTION

    def __init__(self) -> None:
        # For the life of the process, which is the engine's own.
        deterministic().__enter__()

    def draw(self, task: Task) -> Start:
        """Draw data and parameters on the CPU with torch's default generator."""
        _device(task)
        model, x, y = draw_start(task.sizes, task.seed, task.samples, _dtype(task))
        return Start(x.numpy(), y.numpy(), self._copies(model))

    def build(self, task: Task, start: Start) -> None:
        """Build the network, copy the parameters into it and move everything to the device."""
        self._device = _device(task)
        self._model = self._network(task)
        self._fill(self._model, start.parameters)
        self._model.to(self._device)
        self._x, self._y = self._tensor(start.x), self._tensor(start.y)
        self._optimizer = self._sgd(task)

    def step(self) -> object:
        """Take one training step."""
        return step(self._model, self._optimizer, self._x, self._y, self._loss_function)

    def synchronize(self) -> None:
        """Wait for a CUDA device."""
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)

    def _network(self, task: Task) -> nn.Sequential:
        return build(task.sizes, _dtype(task))

    def _tensor(self, array: Array) -> torch.Tensor:
        return torch.tensor(array, device=self._device)

    def _copy(self, tensor: torch.Tensor) -> Array:
        return tensor.cpu().numpy().copy()


class TorchCompileEngine(TorchEngine):
    """The whole step is compiled, forward, backward and optimiser; a C++ compiler is needed.

    The first step after `load` is slow. What the verdicts look at beside steps runs eagerly; there
    is nothing to see within a compiled step.
    """

    namespace = None
    trace = None  # type: ignore[assignment]

    def build(self, task: Task, start: Start) -> None:
        """Build everything anew; the next step compiles."""
        super().build(task, start)
        torch.compiler.reset()
        self._compiled_step = torch.compile(step)

    def step(self) -> object:
        """Take one training step."""
        return self._compiled_step(self._model, self._optimizer, self._x, self._y)


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


def _dtype(task: Task) -> torch.dtype:
    return {"float32": torch.float32, "float64": torch.float64}[task.dtype]
