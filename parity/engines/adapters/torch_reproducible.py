"""torch as an engine with the reproducible arithmetic of `torch_impl`."""

from __future__ import annotations

import torch
from torch import nn

from parity.engines.adapters.torch import TorchEngine
from parity.engines.protocol import Task
from torch_impl.reproducible import SGD, mse_loss, reproducible


class TorchReproducibleEngine(TorchEngine):
    """The networks and data of `torch_impl`, the arithmetic of `torch_impl.reproducible`."""

    namespace = None
    _loss_function = staticmethod(mse_loss)

    def _network(self, task: Task) -> nn.Sequential:
        return reproducible(super()._network(task))

    def _sgd(self, task: Task) -> torch.optim.Optimizer:
        return SGD(self._model.parameters(), task.learning_rate, task.momentum)
