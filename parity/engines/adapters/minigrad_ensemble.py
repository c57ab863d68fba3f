"""Many seeds of minigrad trained at once: `minigrad.ensembles`, with its steps captured."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np

import minigrad
from minigrad import optim
from minigrad.architectures import build
from minigrad.arrays.conversion import reproducible
from minigrad.ensembles import ensemble, mse_losses
from parity.engines.adapters.minigrad import MinigradEngine
from parity.engines.protocol import Array, Engine, Start, Task
from parity.engines.trainer import Run

CACHE = 2**20
"""Bytes: what a step works on should be no larger, to stay in a core's own cache."""

MOST = 128
"""With more members a step of each takes no less time: what it takes to begin a call is shared."""


def members_at_once(task: Task) -> int:
    """Return how many seeds of a task are best trained as one ensemble, at least 1."""
    parameters = sum((n + 1) * m for n, m in pairwise(task.sizes))
    results = task.samples * sum(task.sizes[1:])
    # Of every parameter there are a gradient and an update, of every result a gradient.
    size = np.dtype(task.dtype).itemsize * (3 * parameters + 2 * results)
    return max(1, min(CACHE // size, MOST))


def train_ensemble(tasks: Sequence[Task], starts: Sequence[Start]) -> list[Run]:
    """Train each task from its start in native arithmetic; return the runs in their order.

    A member's run does not depend, in any bit, on how many others there are, or which.

    Args:
        tasks: tasks that differ in their seeds alone, any number of them.
        starts: where each begins. All have the same x.

    Raises:
        ValueError: the tasks or the starts do not fit together.
    """
    if len(starts) != len(tasks):
        raise ValueError(f"there are {len(tasks)} tasks but {len(starts)} starts: give each one")
    for task in tasks:
        _require_alike(tasks[0], task)
    runs: list[Run] = []
    trained: Ensemble | None = None
    while len(runs) < len(tasks):
        some = starts[len(runs) :][: members_at_once(tasks[0])]
        if trained is None or trained.members != len(some):
            trained = Ensemble(tasks[0], len(some))
        trained.load(some)
        runs += trained.train()
    return runs


def _require_alike(first: Task, task: Task) -> None:
    for field in dataclasses.fields(Task):
        given, expected = getattr(task, field.name), getattr(first, field.name)
        if field.name != "seed" and given != expected:
            raise ValueError(
                f"the tasks of an ensemble differ in their seeds alone, but their {field.name} is "
                f"{expected} and {given}: train them in two ensembles"
            )


class Ensemble:
    """Networks of one task and many seeds, with their data and their optimiser.

    Arrays of all members have an axis for the members in front.

    Args:
        task: what is trained; its seed does not matter.
        members: how many seeds.
        in_reproducible_arithmetic: compute on `ReproducibleArray`s, eagerly. Otherwise steps are
            captured.
    """

    def __init__(
        self, task: Task, members: int, *, in_reproducible_arithmetic: bool = False
    ) -> None:
        self.members = members
        self._task = task
        self._model = ensemble([build(task.sizes, task.dtype)] * members)
        # A step is captured with these tensors: new data are written into them.
        self._x = minigrad.zeros(task.samples, task.sizes[0], dtype=task.dtype)
        self._y = minigrad.zeros(members, task.samples, task.sizes[-1], dtype=task.dtype)
        if in_reproducible_arithmetic:
            self._model = reproducible(self._model)
            self._x, self._y = reproducible(self._x), reproducible(self._y)
            self._step, self._losses = self._eager_step, self._eager_losses
        else:
            self._step = minigrad.capture(self._eager_step)
            self._losses = minigrad.capture(self._eager_losses)
        self._optimizer = optim.SGD(
            self._model.parameters(), lr=task.learning_rate, momentum=task.momentum
        )

    def load(self, starts: Sequence[Start]) -> None:
        """Begin from these starts, one for each member.

        Raises:
            ValueError: they are not as many, or differ in x.
        """
        x = starts[0].x
        if len(starts) != self.members or not all(np.array_equal(x, s.x) for s in starts):
            raise ValueError(
                f"an ensemble of {self.members} begins from as many starts that have the same x, "
                f"but the {len(starts)} that were given are others"
            )
        self._x.copy_(minigrad.tensor(x))
        self._y.copy_(minigrad.tensor(np.stack([start.y for start in starts])))
        names = starts[0].parameters
        self.put({name: np.stack([start.parameters[name] for start in starts]) for name in names})

    def put(
        self, parameters: Mapping[str, Array], momentum_buffers: Mapping[str, Array] = {}
    ) -> None:
        """Copy values into the networks and, where there are any, into the optimiser's buffers."""
        self._model.load_state_dict({n: minigrad.tensor(a) for n, a in parameters.items()})
        kept = dict(self._optimizer.state)
        self._optimizer.state.clear()
        for name, parameter in self._model.named_parameters():
            if name in momentum_buffers:
                # A step that found other buffers than before would be captured again.
                state = kept.get(parameter) or {"momentum_buffer": parameter.detach().clone()}
                state["momentum_buffer"].copy_(minigrad.tensor(momentum_buffers[name]))
                self._optimizer.state[parameter] = state

    def step(self) -> Array:
        """Take one training step; return the losses before it, (members,)."""
        return self._step().detach().numpy()

    def _eager_step(self) -> minigrad.Tensor:
        losses = self._eager_losses()
        self._optimizer.step()
        return losses

    def _eager_losses(self) -> minigrad.Tensor:
        self._optimizer.zero_grad()
        losses = mse_losses(self._model(self._x), self._y)
        losses.sum().backward()
        return losses

    def losses_and_gradients(self) -> tuple[Array, dict[str, Array]]:
        """Run forward and backward; return the losses, (members,), and the gradients."""
        losses = self._losses().detach().numpy()
        gradients = {}
        for name, parameter in self._model.named_parameters():
            assert parameter.grad is not None
            gradients[name] = parameter.grad.numpy().copy()
        return losses, gradients

    def parameters(self) -> dict[str, Array]:
        """Copy the parameters."""
        return {name: value.numpy().copy() for name, value in self._model.state_dict().items()}

    def momentum_buffers(self) -> dict[str, Array]:
        """Copy the optimiser's buffers; there are none before the first step."""
        return {
            name: self._optimizer.state[parameter]["momentum_buffer"].numpy().copy()
            for name, parameter in self._model.named_parameters()
            if parameter in self._optimizer.state
        }

    def predict(self) -> Array:
        """Return the networks' outputs for the data, (members, samples, 1)."""
        with minigrad.no_grad():
            output: minigrad.Tensor = self._model(self._x)
        return output.numpy()

    def train(self) -> list[Run]:
        """Train for the task's epochs; return every member's run."""
        losses = np.empty((self._task.epochs, self.members))
        with np.errstate(all="ignore"):  # a member that diverges overflows
            for epoch in range(self._task.epochs):
                losses[epoch] = self.step()
            final_mse, _ = self.losses_and_gradients()
            prediction, parameters = self.predict(), self.parameters()
        return [
            Run(
                losses[:, i].copy(),
                float(final_mse[i]),
                prediction[i].copy(),
                {name: value[i].copy() for name, value in parameters.items()},
            )
            for i in range(self.members)
        ]


class EnsembleEngine(Engine):
    """One member of an ensemble, as an engine; the others have the seeds after the task's.

    To time it is to time the whole ensemble, as the steps of `STEPS` networks.

    Args:
        members: how many there are; None for `members_at_once`.
        shown: which of them is the engine's, counted from 0.
        in_reproducible_arithmetic: see `Ensemble`.
    """

    def __init__(
        self,
        members: int | None = None,
        shown: int = 0,
        *,
        in_reproducible_arithmetic: bool = False,
    ) -> None:
        np.seterr(all="ignore")  # as in MinigradEngine
        self._members, self._shown = members, shown
        self._in_reproducible_arithmetic = in_reproducible_arithmetic

    def draw(self, task: Task) -> Start:
        """Draw data and parameters with `minigrad.random`."""
        return MinigradEngine().draw(task)

    def build(self, task: Task, start: Start) -> None:
        """Put the ensemble together: the start given is that of the member shown."""
        self.STEPS = self._members or members_at_once(task)
        seeds = [(task.seed + i) % 2**64 for i in range(1, self.STEPS)]
        others = [self.draw(dataclasses.replace(task, seed=seed)) for seed in seeds]
        starts = [dataclasses.replace(other, x=start.x) for other in others]
        starts.insert(self._shown, start)
        self._ensemble = Ensemble(
            task, self.STEPS, in_reproducible_arithmetic=self._in_reproducible_arithmetic
        )
        self._ensemble.load(starts)

    def put(
        self, parameters: Mapping[str, Array], momentum_buffers: Mapping[str, Array] = {}
    ) -> None:
        """Replace the values of the member shown; without buffers, all of them begin anew."""
        all_parameters = self._ensemble.parameters()
        all_buffers = {name: np.zeros_like(all_parameters[name]) for name in momentum_buffers}
        if momentum_buffers:
            all_buffers |= self._ensemble.momentum_buffers()
        for given, values in ((parameters, all_parameters), (momentum_buffers, all_buffers)):
            for name, value in given.items():
                values[name][self._shown] = value
        self._ensemble.put(all_parameters, all_buffers)

    def loss_and_gradients(self) -> tuple[float, dict[str, Array]]:
        """Run forward and backward."""
        losses, gradients = self._ensemble.losses_and_gradients()
        return float(losses[self._shown]), self._of_shown(gradients)

    def step(self) -> object:
        """Take one training step."""
        return self._ensemble.step()[self._shown]

    loop = step  # of STEPS networks

    def parameters(self) -> dict[str, Array]:
        """Copy the parameters."""
        return self._of_shown(self._ensemble.parameters())

    def momentum_buffers(self) -> dict[str, Array]:
        """Copy the optimiser's buffers."""
        return self._of_shown(self._ensemble.momentum_buffers())

    def predict(self) -> Array:
        """Run forward without recording."""
        prediction: Array = self._ensemble.predict()[self._shown]
        return prediction

    def _of_shown(self, values: Mapping[str, Array]) -> dict[str, Array]:
        return {name: value[self._shown] for name, value in values.items()}
