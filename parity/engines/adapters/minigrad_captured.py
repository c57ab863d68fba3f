"""minigrad with its steps captured, as an engine, through its public API alone."""

from __future__ import annotations

from collections.abc import Mapping

import minigrad
from parity.engines.adapters.minigrad import MinigradEngine
from parity.engines.protocol import Array, Start, Task


class MinigradCapturedEngine(MinigradEngine):
    """`minigrad.capture` of a training step, and of the forward and backward pass alone."""

    # What these would run is minigrad's eager step, which is another engine's.
    namespace = None
    trace = None  # type: ignore[assignment]

    def build(self, task: Task, start: Start) -> None:
        """Build the network, copy the parameters into it, and have its steps captured."""
        super().build(task, start)
        self.step = minigrad.capture(super().step)  # type: ignore[method-assign]
        self._loss = minigrad.capture(self._backward)

    def put(
        self, parameters: Mapping[str, Array], momentum_buffers: Mapping[str, Array] = {}
    ) -> None:
        """Copy the values into the network and, where there are any, into the optimiser's buffers.

        Buffers in the place of those that a step was captured with would have it captured again.
        """
        kept = dict(self._optimizer.state)
        super().put(parameters, momentum_buffers)
        for parameter, state in self._optimizer.state.items():
            if parameter in kept:
                buffer = kept[parameter]["momentum_buffer"]
                state["momentum_buffer"] = buffer.copy_(state["momentum_buffer"])

    def loss_and_gradients(self) -> tuple[float, dict[str, Array]]:
        """Run forward and backward."""
        loss = self._loss()
        return loss.item(), self._gradients()
