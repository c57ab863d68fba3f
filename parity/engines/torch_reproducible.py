"""torch as an engine with the reproducible arithmetic of `torch_impl`."""

from __future__ import annotations

import torch

from parity.engines import Array, Start, Task
from parity.engines.torch import TorchEngine
from torch_impl.reproducible import forward, mse_loss, step


class TorchReproducibleEngine(TorchEngine):
    """The networks and data of `torch_impl`, the arithmetic of `torch_impl.reproducible`."""

    def load(self, task: Task, start: Start) -> None:
        """Build network and data on the device."""
        super().load(task, start)
        self._learning_rate = task.learning_rate

    def loss_and_gradients(self) -> tuple[float, dict[str, Array]]:
        """Run forward and backward."""
        self._model.zero_grad()
        loss = mse_loss(forward(self._model, self._x), self._y)
        loss.backward()  # type: ignore[no-untyped-call]
        gradients = {}
        for name, parameter in self._model.named_parameters():
            assert parameter.grad is not None
            gradients[name] = parameter.grad.detach().cpu().numpy().copy()
        return loss.item(), gradients

    def step(self) -> object:
        """Take one training step."""
        return step(self._model, self._x, self._y, self._learning_rate)

    def predict(self) -> Array:
        """Run forward without recording."""
        with torch.no_grad():
            return forward(self._model, self._x).cpu().numpy()
