"""torch as an engine, its training step compiled by `torch.compile`."""

from __future__ import annotations

import torch

from parity.engines.adapters.torch import TorchEngine
from parity.engines.protocol import Start, Task
from torch_impl.train import step


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
