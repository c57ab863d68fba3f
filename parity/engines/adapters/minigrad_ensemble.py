"""Many seeds of minigrad trained at once: `minigrad.ensembles`, with its steps captured."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from types import ModuleType
from typing import Any

import numpy as np

import minigrad
from minigrad.arrays.conversion import reproducible
from minigrad.ensembles import ensemble, mse_losses
from parity.engines.adapters.minigrad import MinigradEngine
from parity.engines.adapters.modules import ModuleEngine
from parity.engines.adapters.recorded import replayed
from parity.engines.adapters.together import Together
from parity.engines.protocol import Array, Engine, Start, Task, Traced
from parity.engines.serve import alive
from parity.engines.trainer import Run

CACHE = 2**20
"""The largest working set of a step, in bytes, that stays in a core's own cache."""

MOST = 128
"""The most members: with more, a step of each takes no less time."""


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
    trained = Ensemble()
    while len(runs) < len(tasks):
        some = starts[len(runs) :][: members_at_once(tasks[0])]
        if len(some) == trained.members:
            trained.begin_again(stacked(some))
        else:
            trained.load(tasks[0], stacked(some))
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


def stacked(starts: Sequence[Start]) -> Start:
    """Return the starts of an ensemble's members as one; all but x has an axis for them in front.

    Raises:
        ValueError: they differ in x.
    """
    x, names = starts[0].x, starts[0].parameters
    if not all(np.array_equal(x, start.x) for start in starts):
        raise ValueError(
            f"an ensemble of {len(starts)} begins from as many starts that have the same x, but "
            "the x of these differ"
        )
    return Start(
        x,
        np.stack([start.y for start in starts]),
        {name: np.stack([start.parameters[name] for start in starts]) for name in names},
    )


def spread(start: Start, members: int, shown: int = 0) -> Start:
    """Return, stacked, a start and others beside it with other targets and parameters.

    Args:
        start: the start of one member.
        members: how many there are.
        shown: which of them it is, counted from 0.
    """

    def beside(distance: float) -> Start:
        parameters = {
            name: value * value.dtype.type(1 + distance) for name, value in start.parameters.items()
        }
        return Start(start.x, start.y + start.y.dtype.type(distance), parameters)

    return stacked([beside((i - shown) / members) for i in range(members)])


class Ensemble(ModuleEngine):
    """Networks of one task and many seeds, with their data and their optimiser.

    Arrays of all members have an axis for the members in front. The seed of the task does not
    matter; the start is `stacked`.

    Args:
        in_reproducible_arithmetic: compute on `ReproducibleArray`s, eagerly. Otherwise steps are
            captured.

    Attributes:
        members: how many seeds; 0 before the first task.
    """

    options = ("weight_decay", "dampening", "nesterov")
    _library = minigrad

    def __init__(self, *, in_reproducible_arithmetic: bool = False) -> None:
        self.members = 0
        self._eager = in_reproducible_arithmetic

    def build(self, task: Task, start: Start) -> None:
        """Build the networks and copy the parameters into them."""
        self.members = len(start.y)
        super().build(task, start)
        self._losses, self._values = self._backward, self._traced
        if not self._eager:
            self._step, self._losses, self._values = map(  # type: ignore[method-assign]
                minigrad.capture, (super()._step, self._losses, self._values)
            )

    def _placed(self, model: Any) -> Any:
        members = ensemble([model] * self.members)
        return reproducible(members) if self._eager else members

    def _loss(self, task: Task) -> Callable[[Any, Any], Any]:
        return mse_losses

    def begin_again(self, start: Start) -> None:
        """Begin the task from another start, with the steps that were captured."""
        self.put_data(start.x, start.y)
        self.put(start.parameters)

    def targets(self) -> Array:
        """Copy the y of all members, (members, samples, out)."""
        return self._copy(self._data[-1])

    def step(self) -> Array:
        """Take one training step; return the losses before it, (members,)."""
        losses: Array = self._step().detach().numpy()
        return losses

    def loss_and_gradients(self) -> tuple[Array, dict[str, Array]]:  # type: ignore[override]
        """Run forward and backward; return the losses, (members,), and the gradients."""
        return self._losses().detach().numpy(), self._gradients()

    def _sweep(self, loss: Any) -> None:
        loss.sum().backward()

    def trace(self) -> list[Traced]:
        """Take one training step, by a replay if captured; return all it computed, of all."""
        return super().trace() if self._eager else replayed(self, self._values)

    def _tensor(self, array: Array) -> minigrad.Tensor:
        tensor = minigrad.tensor(array)
        return reproducible(tensor) if self._eager else tensor

    def train(self) -> list[Run]:
        """Train for the task's epochs; return every member's run."""
        losses = np.empty((self._task.steps, self.members))
        with np.errstate(all="ignore"):  # a member that diverges overflows
            for step in range(self._task.steps):
                losses[step] = self.step()
                alive()
            final_mse, _ = self.loss_and_gradients()
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
    """One member of an ensemble, as an engine; the others have other targets and parameters.

    To time it is to time the whole ensemble, as the steps of `STEPS` networks.

    Args:
        members: how many there are; None for `members_at_once`.
        shown: which of them is the engine's, counted from 0; None for another one at each seed.
    """

    options = Ensemble.options
    namespace: ModuleType | None = minigrad
    capture: Any = staticmethod(minigrad.capture)
    together: Any = Together
    _reproducible = False

    def __init__(self, members: int | None = None, shown: int | None = None) -> None:
        np.seterr(all="ignore")  # as in MinigradEngine
        self._members, self._given = members, shown

    def draw(self, task: Task) -> Start:
        """Draw data and parameters with `minigrad.random`."""
        return MinigradEngine().draw(task)

    def build(self, task: Task, start: Start) -> None:
        """Put the ensemble together: the start given is that of the member shown."""
        self.STEPS = self._members or members_at_once(task)
        self._shown = (task.seed + 1 if self._given is None else self._given) % self.STEPS
        self._ensemble = Ensemble(in_reproducible_arithmetic=self._reproducible)
        self._ensemble.load(task, spread(start, self.STEPS, self._shown))

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

    def put_data(self, x: Array, y: Array, *more: Array) -> None:
        """Replace x, which all members have, and the y of the member shown."""
        targets = self._ensemble.targets()
        targets[self._shown] = y
        self._ensemble.put_data(x, targets)

    def loss_and_gradients(self) -> tuple[float, dict[str, Array]]:
        """Run forward and backward."""
        losses, gradients = self._ensemble.loss_and_gradients()
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

    def trace(self) -> list[Traced]:
        """Take one training step; return all that the member shown computed."""
        loss = f"minigrad/ensembles.py:{mse_losses.__code__.co_firstlineno}"
        return [
            step._replace(
                operation=step.operation.removesuffix("Ensemble"),
                value=step.value[self._shown],
                rule=loss if step.node == "loss" else step.rule,
            )
            for step in self._ensemble.trace()
        ]

    def predict(self) -> Array:
        """Run forward without recording."""
        prediction: Array = self._ensemble.predict()[self._shown]
        return prediction

    def _of_shown(self, values: Mapping[str, Array]) -> dict[str, Array]:
        return {name: value[self._shown] for name, value in values.items()}


class ReproducibleEnsembleEngine(EnsembleEngine):
    """One of two members, each with the bits of its network trained by itself."""

    namespace = None
    capture = together = None
    _reproducible = True

    def __init__(self) -> None:
        super().__init__(members=2)
