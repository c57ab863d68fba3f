"""An engine and the loop that trains it, both in the engine's process."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from dataclasses import dataclass

import numpy as np

from parity.engines import Array, Engine, Start, Task, require_same
from parity.environment import environment
from parity.exchange import Exchange

REPORT_EVERY_S = 0.05


@dataclass(frozen=True)
class Run:
    """What one training run left.

    Attributes:
        losses: (epochs,) float64, each before its epoch's update.
        final_mse: the loss after the last update.
        prediction: of the trained network, (samples, 1).
        parameters: of the trained network.
    """

    losses: Array
    final_mse: float
    prediction: Array
    parameters: dict[str, Array]


class Trainer:
    """What `parity run` and `parity train` call in an engine's process."""

    def __init__(self, factory: Callable[[], Engine]) -> None:
        self._engine = factory()

    def environment(self) -> dict[str, object]:
        """Return what this process runs on."""
        return environment()

    def draw(self, task: Task) -> Start:
        """Return the data and parameters that the engine's own generator draws."""
        return self._engine.draw(task)

    def loss_and_gradients(self, task: Task, start: Start) -> tuple[float, dict[str, Array]]:
        """Return loss and gradients at the given parameters."""
        self._engine.load(task, start)
        return self._engine.loss_and_gradients()

    def join(self, task: Task, start: Start, exchange: Exchange, room: str) -> None:
        """Prepare for `forced_step`; room is the part of the exchange to leave results in."""
        self._engine.load(task, start)
        self._exchange, self._room = exchange, room

    def forced_step(self) -> float:
        """Take one step from the parameters in the exchange's room `given`.

        Returns the loss before it; leaves gradients and updated parameters in the exchange.

        Raises:
            ValueError: the engine returned other tensors, shapes or dtypes than there must be.
        """
        self._engine.put(self._exchange.room("given"))
        loss, gradients = self._engine.loss_and_gradients()
        self._engine.step()
        for kind, arrays in (("gradients", gradients), ("updated", self._engine.parameters())):
            room = self._exchange.room(f"{self._room} {kind}")
            require_same(arrays, room, kind)
            for name, array in arrays.items():
                room[name][...] = array
        return loss

    def leave(self) -> None:
        """Let go of the exchange."""
        self._exchange.close()

    def train(self, task: Task, start: Start) -> Generator[int, None, Run]:
        """Train from `start`; yield now and then how many epochs are done; return the run."""
        self._engine.load(task, start)
        losses = np.empty(task.epochs)
        reported_s = time.monotonic()
        for epoch in range(task.epochs):
            losses[epoch] = float(self._engine.step())  # type: ignore[arg-type]
            if time.monotonic() - reported_s > REPORT_EVERY_S:
                reported_s = time.monotonic()
                yield epoch + 1
        yield task.epochs
        final_mse, _ = self._engine.loss_and_gradients()
        return Run(losses, final_mse, self._engine.predict(), self._engine.parameters())
