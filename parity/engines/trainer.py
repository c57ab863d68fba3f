"""An engine and the loop that trains it, both in the engine's process."""

import time
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass

import numpy as np

from parity.engines.exchange import Exchange
from parity.engines.protocol import (
    Array,
    DrawingEngine,
    Engine,
    Start,
    Task,
    Traced,
    TracingEngine,
    require_same,
)
from parity.engines.serve import alive
from parity.environment import environment

REPORT_EVERY_S = 0.05

Progress = Callable[[int, int], object]
"""Called as `progress(done, of how many)`."""


def ignore(done: int, total: int) -> None:
    """A `Progress` that nobody watches."""


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
    """An engine in its process, and what is asked of it there.

    A function that only one verdict needs takes a trainer and stands beside that verdict.
    """

    def __init__(self, factory: Callable[[], Engine]) -> None:
        self.engine = factory()

    def environment(self) -> dict[str, object]:
        """Return what this process runs on."""
        return environment()

    def draw(self, task: Task) -> Start | None:
        """Return the data and parameters that the engine draws; None if it draws none."""
        return self.engine.draw(task) if isinstance(self.engine, DrawingEngine) else None

    def loss_and_gradients(self, task: Task, start: Start) -> tuple[float, dict[str, Array]]:
        """Return loss and gradients at the given parameters."""
        self.engine.load(task, start)
        return self._loss_and_gradients(start.parameters)

    def _loss_and_gradients(
        self, parameters: Mapping[str, Array]
    ) -> tuple[float, dict[str, Array]]:
        """Return the engine's loss and gradients, in the order of the parameters.

        Raises:
            ValueError: there are other gradients, or they have other shapes or dtypes.
        """
        loss, gradients = self.engine.loss_and_gradients()
        require_same(gradients, parameters)
        return float(loss), {name: gradients[name] for name in parameters}

    def trace(
        self, task: Task, start: Start, momentum_buffers: Mapping[str, Array]
    ) -> list[Traced] | None:
        """Return all that a step from this state computes; None if the engine cannot show it.

        A step is taken before it, from the same state, to show what a step wrongly leaves behind.
        """
        if not isinstance(self.engine, TracingEngine):
            return None
        self.engine.load(task, start)
        self.engine.put(start.parameters, momentum_buffers)
        self.engine.step()
        self.engine.put(start.parameters, momentum_buffers)
        return self.trace_next()

    def trace_next(self) -> list[Traced] | None:
        """Return all that the next step computes; None if the engine cannot show it."""
        if not isinstance(self.engine, TracingEngine):
            return None
        return [step._replace(value=np.asarray(step.value)) for step in self.engine.trace()]

    def load(self, task: Task, start: Start, momentum_buffers: Mapping[str, Array]) -> None:
        """Begin a task; with `momentum_buffers` the optimiser is in the middle of its work."""
        self.engine.load(task, start)
        if momentum_buffers:
            self.engine.put(start.parameters, momentum_buffers)

    def state_before(
        self,
        task: Task,
        start: Start,
        epoch: int,
        momentum_buffers: Mapping[str, Array] = {},
    ) -> tuple[dict[str, Array], dict[str, Array]]:
        """Train from `start` up to `epoch`; return parameters and momentum buffers."""
        self.load(task, start, momentum_buffers)
        for _ in range(epoch):
            self.engine.step()
            alive()
        return self.engine.parameters(), self.engine.momentum_buffers()

    def join(
        self,
        task: Task,
        start: Start,
        exchange: Exchange,
        side: str,
        momentum_buffers: Mapping[str, Array] = {},
    ) -> None:
        """Prepare for `forced_step` or `free_step`; side says which rooms are written to."""
        self.load(task, start, momentum_buffers)
        self._exchange, self._side = exchange, side

    def forced_step(self, slot: int, momentum_buffers: bool) -> float:
        """Take one step from the state in the exchange's rooms `given …` of this slot.

        Returns the loss before it; leaves gradients, updated parameters and, if there is momentum,
        updated buffers in the exchange. `momentum_buffers` says whether buffers are given.

        Raises:
            ValueError: the engine returned other tensors, shapes or dtypes than there must be.
        """
        given = self._exchange.room(f"{slot} given parameters")
        buffers = self._exchange.room(f"{slot} given buffers") if momentum_buffers else {}
        self.engine.put(given, buffers)
        loss, gradients = self._loss_and_gradients(given)
        self.engine.step()
        self._leave(slot, gradients=gradients)
        return loss

    def free_step(self, slot: int) -> float:
        """Take the next step of the engine's own run; otherwise as `forced_step`, no gradients."""
        loss = float(self.engine.step())  # type: ignore[arg-type]
        self._leave(slot)
        return loss

    def _leave(self, slot: int, **left: Mapping[str, Array]) -> None:
        """Leave what a step has come to in the exchange."""
        left["updated"] = self.engine.parameters()
        if f"{slot} {self._side} buffers" in self._exchange:
            left["buffers"] = self.engine.momentum_buffers()
        for kind, arrays in left.items():
            room = self._exchange.room(f"{slot} {self._side} {kind}")
            require_same(arrays, room, kind)
            for name, array in arrays.items():
                room[name][...] = array

    def leave(self) -> None:
        """Release the exchange."""
        self._exchange.close()

    def train(self, task: Task, start: Start) -> Generator[int, None, Run]:
        """Train from `start`; yield now and then how many epochs are done; return the run."""
        self.engine.load(task, start)
        losses = np.empty(task.epochs)
        reported_s = time.monotonic()
        for epoch in range(task.epochs):
            losses[epoch] = float(self.engine.step())  # type: ignore[arg-type]
            if time.monotonic() - reported_s > REPORT_EVERY_S:
                reported_s = time.monotonic()
                yield epoch + 1
        yield task.epochs
        final_mse, _ = self._loss_and_gradients(start.parameters)
        parameters, prediction = self.engine.parameters(), self.engine.predict()
        require_same(parameters, start.parameters, "parameters")
        require_same({"prediction": prediction}, {"prediction": start.y}, "output")
        return Run(losses, final_mse, prediction, parameters)
