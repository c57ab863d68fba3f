"""An engine and the loop that trains it, both in the engine's process."""

import time
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass

import numpy as np

from parity.engines.asked import Asked
from parity.engines.exchange import Exchange
from parity.engines.protocol import (
    Array,
    Engine,
    Start,
    Task,
    Traced,
)
from parity.engines.serve import alive
from parity.environment import environment

REPORT_EVERY_S = 0.05

Progress = Callable[[int, int], object]
"""Called as `progress(done, of how many)`."""


Step = dict[str, dict[str, Array]]
"""What a step comes to: `loss`, `gradients`, `updated` parameters and, with momentum, `buffers`.

Arrays are by the parameters' names; the loss is by the name `loss`, of shape ().
"""

Told = tuple[float, Array | None]
"""What an engine tells of a step: the loss, and the prediction before the step if it was asked."""


def ignore(done: int, total: int) -> None:
    """A `Progress` that nobody watches."""


@dataclass(frozen=True)
class Run:
    """What one training run left.

    Attributes:
        losses: (steps,) float64, each before its step's update.
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
        self.engine = Asked(factory())

    def environment(self) -> dict[str, object]:
        """Return what this process runs on."""
        return environment()

    def identity(self) -> str:
        """Return the class that makes the engine what it is."""
        return self.engine.identity()

    def draw(self, task: Task) -> Start | None:
        """Return the data and parameters that the engine draws; None if it draws none."""
        return self.engine.draw(task)

    def begin(self, task: Task, start: Start) -> None:
        """Begin a task, for `take`: no step will be a first one."""
        self.engine.begin(task, start)

    def take(
        self, parameters: Mapping[str, Array], momentum_buffers: Mapping[str, Array] = {}
    ) -> Step:
        """Take one step of the task from this state; return all that it comes to."""
        self.engine.put(parameters, momentum_buffers)
        loss, gradients = self.engine.loss_and_gradients()
        self.engine.step()
        dtype = next(iter(gradients.values())).dtype
        found = {
            "loss": {"loss": np.array(loss, dtype)},
            "gradients": gradients,
            "updated": self.engine.parameters(),
        }
        if buffers := self.engine.momentum_buffers(after_a_step=True):
            found["buffers"] = buffers
        return found

    def loss_and_gradients(self, task: Task, start: Start) -> tuple[float, dict[str, Array]]:
        """Return loss and gradients at the given parameters, by the first call for this task."""
        self.engine.load(task, start)
        return self.engine.loss_and_gradients()

    def later_loss_and_gradients(self, task: Task, start: Start) -> tuple[float, dict[str, Array]]:
        """Return the same by a call that is no first one: of a recorded step, by a replay."""
        self.engine.begin(task, start)
        return self.engine.loss_and_gradients()

    def trace(
        self, task: Task, start: Start, momentum_buffers: Mapping[str, Array]
    ) -> list[Traced] | None:
        """Return all that a step from this state computes; None if the engine cannot show it."""
        if not self.engine.traces:
            return None
        self.engine.begin(task, start, momentum_buffers, traced=True)
        return self.trace_next()

    def trace_next(self) -> list[Traced] | None:
        """Return all that the next step computes; None if the engine cannot show it."""
        return self.engine.trace() if self.engine.traces else None

    def state_before(
        self,
        task: Task,
        start: Start,
        epoch: int,
        momentum_buffers: Mapping[str, Array] = {},
    ) -> tuple[dict[str, Array], dict[str, Array]]:
        """Train from `start` up to `epoch`; return parameters and momentum buffers."""
        self.engine.load(task, start, momentum_buffers)
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
        """Prepare for `forced_step` or, on the side "free", for `free_step`.

        The side says which rooms are written to.
        """
        prepare = self.engine.load if side == "free" else self.engine.begin
        prepare(task, start, momentum_buffers)
        self._exchange, self._side = exchange, side

    def forced_step(self, slot: int, momentum_buffers: bool, step: int) -> Told:
        """Take the step of this number from the state in the exchange's rooms `given …` of a slot.

        Returns loss and prediction before it; leaves gradients, updated parameters and, if there
        is momentum, updated buffers in the exchange. `momentum_buffers` says whether any are given.

        Raises:
            ReturnedWronglyError: the engine returned other tensors than there must be.
        """
        given = self._exchange.room(f"{slot} given parameters")
        buffers = self._exchange.room(f"{slot} given buffers") if momentum_buffers else {}
        self.engine.put(given, buffers, step)
        loss, gradients = self.engine.loss_and_gradients()
        prediction = self.engine.predict()
        self.engine.step()
        self._leave(slot, gradients=gradients)
        return loss, prediction

    def free_step(self, slot: int, predict: bool) -> Told:
        """Take the next step of the engine's own run; otherwise as `forced_step`, no gradients.

        It is asked to `predict` at the end alone: nothing but steps belongs into its run.
        """
        prediction = self.engine.predict() if predict else None
        loss = self.engine.step()
        self._leave(slot)
        return loss, prediction

    def _leave(self, slot: int, **left: Mapping[str, Array]) -> None:
        """Leave what a step has come to in the exchange."""
        left["updated"] = self.engine.parameters()
        if f"{slot} {self._side} buffers" in self._exchange:
            left["buffers"] = self.engine.momentum_buffers(after_a_step=True)
        for kind, arrays in left.items():
            room = self._exchange.room(f"{slot} {self._side} {kind}")
            for name, array in arrays.items():
                room[name][...] = array

    def leave(self) -> None:
        """Release the exchange."""
        self._exchange.close()

    def train(self, task: Task, start: Start) -> Generator[int, None, Run]:
        """Train from `start`; yield now and then how many steps are done; return the run."""
        self.engine.load(task, start)
        losses = np.empty(task.steps - start.step)
        reported_s = time.monotonic()
        for step in range(len(losses)):
            losses[step] = self.engine.step()
            if time.monotonic() - reported_s > REPORT_EVERY_S:
                reported_s = time.monotonic()
                yield step + 1
        yield len(losses)
        final_mse, _ = self.engine.loss_and_gradients()
        return Run(losses, final_mse, self.engine.predict(), self.engine.parameters())
