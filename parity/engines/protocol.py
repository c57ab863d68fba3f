"""What an engine is asked to do."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from types import ModuleType
from typing import Any, NamedTuple, Protocol, Self, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from parity.errors import CannotBeJudgedError, harmless
from parity.problems.task import Task as Task
from parity.problems.task import said

Array = NDArray[Any]


@dataclass(frozen=True)
class Start:
    """Where a run starts.

    Attributes:
        x: the model's input, a sample a row.
        y: the targets, a sample a row.
        parameters: by torch's names.
        more: the model's further inputs, where it has several.
        step: how many steps were taken before.
    """

    x: Array
    y: Array
    parameters: dict[str, Array]
    more: tuple[Array, ...] = ()
    step: int = 0

    @property
    def inputs(self) -> tuple[Array, ...]:
        """The model's inputs, however many there are."""
        return self.x, *self.more

    @property
    def data(self) -> dict[str, Array]:
        """The inputs, "x", and "x1" and so on of further ones, and "y"."""
        names = [f"x{i or ''}" for i in range(len(self.inputs))]
        return {**dict(zip(names, self.inputs, strict=True)), "y": self.y}

    def with_data(self, change: Callable[[Array], Array]) -> Self:
        """Return the start with every input and the targets changed."""
        x, *more = map(change, self.inputs)
        return replace(self, x=x, y=change(self.y), more=tuple(more))


def require_same(
    actual: Mapping[str, Array], expected: Mapping[str, Array], what: str = "gradients"
) -> None:
    """Check that tensors are those that there must be.

    Raises:
        ValueError: names, shapes or dtypes differ; it names the first tensor that does.
    """
    if wrong := wrong_tensor(actual, expected):
        raise ValueError(f"the engine returned {what} with {wrong}")


def wrong_tensor(actual: Any, expected: Mapping[str, Array]) -> str | None:
    """Return which tensor is not as it must be, what was got and what is wanted, or None."""
    if not isinstance(actual, Mapping):
        return f"a {type(actual).__name__}; it must be a dictionary of NumPy arrays"
    for name, like in expected.items():
        wanted = f"{like.dtype} {list(like.shape)}"
        if name not in actual:
            return f"no {name}; there must be one, {wanted}"
        if (got := _described(actual[name])) != wanted:
            return f"{name} as {got}; it must be {wanted}"
    for name in actual:
        if name not in expected:
            names = ", ".join(expected) or "none"
            return f"{harmless(repr(name), 100)}, which is none of the tensors: {names}"
    return None


def _described(array: Any) -> str:
    if not isinstance(array, np.ndarray):
        return f"a {type(array).__name__}, not a NumPy array"
    return f"{array.dtype} {list(array.shape)}"


BUFFER = ".momentum_buffer"
"""What follows a parameter's name in the name of its momentum buffer."""


PREDICTION = "prediction"
"""What the network's output is called where tensors have names."""


class Traced(NamedTuple):
    """One of the values that a training step computes.

    Attributes:
        phase: "forward", "backward" or "optimizer".
        node: what computed it: a module by its name in the model, "prediction" what the model does
            after its modules, or "loss". Called again, a module has "#2" behind its name.
        operation: the node's kind, "Linear", "ReLU" or "MSELoss"; of an update, "SGD".
        tensor: forward, "output". Backward, "input" for the gradient by the node's input, "output"
            for that by an output that is not just the next node's input, or the name of a parameter
            for the gradient by that; the sweep begins with "output" of "loss", the derivative of
            the loss by itself. Optimizer, the name of a parameter for its new value; its new
            buffer, which comes first, has ".momentum_buffer" behind that name.
        value: on the CPU, the engine's dtype.
        rule: the file of minigrad, and a line of the function in it, that computes the value, such
            as "minigrad/ops/linalg.py:33"; empty where it is the one by which minigrad does.
        calls: of NumPy that compute it, where a recorded step is replayed.
    """

    phase: str
    node: str
    operation: str
    tensor: str
    value: Array
    rule: str = ""
    calls: tuple[str, ...] = ()


def elsewhere(start: Start) -> Start:
    """Return another start of the same shapes: other data, other parameters."""
    parameters = {name: array * array.dtype.type(0.75) for name, array in start.parameters.items()}
    moved = start.with_data(lambda a: a[::-1] / 2 if _is_float(a) else a[::-1].copy())
    y = 1 - moved.y if _is_float(moved.y) else moved.y
    return replace(moved, y=y, parameters=parameters)


def _is_float(array: Array) -> bool:
    return array.dtype.kind == "f"


def copied(start: Start) -> Start:
    """Return a start in memory of its own."""
    parameters = {name: array.copy() for name, array in start.parameters.items()}
    return replace(start.with_data(lambda array: array.copy()), parameters=parameters)


class Engine(ABC):
    """What is trained, judged and timed: the base of every engine, and of those from elsewhere.

    An engine gives loss and gradients of fully connected layers with ReLU between them, the mean
    squared error, and SGD. Five methods are needed. With `put` and `momentum_buffers` it can be
    judged with momentum, too; with `put_data` recorded steps are given other data; with `draw` its
    random numbers are judged (`DrawingEngine`), with `trace` a defect is located (`TracingEngine`).
    One whose library has torch's names may have an attribute `namespace`, the module, and is then
    asked to run the probe suite; with `capture`, a function that returns a recorded one in place of
    a function, by replays; with `together`, which makes of networks of one shape what trains them
    at once (`parity.probes.notes.OneByOne`), by that. One that can do more than these networks
    names in `options` what it reads of its task besides: other activations, losses, options of
    SGD, mini-batches, problems.

    An object is made without arguments; `parity run` makes two, each in a process of its own: one
    is given a state before every step, the other trains alone (`free_steps`). Whatever a method
    raises, SystemExit too, is a failure of the engine, and so is the death of the process,
    or no sign of life for a minute (`--timeout`): a step may take no longer.

    An engine owns the arrays that it is given: it may keep them, and change them in place. What it
    returns is copied before it is asked for anything else, so that it may return its own memory.
    Tensors go by their names, in whatever order.
    """

    options: Collection[str] = ()
    namespace: ModuleType | None = None
    capture: Callable[[Callable[..., Any]], Callable[..., Any]] | None = None
    together: Callable[[Any, Sequence[Any]], Any] | None = None

    @abstractmethod
    def build(self, task: Task, start: Start) -> None:
        """Build model, data and optimiser from these arrays, which are the engine's to keep.

        Called once for each task, and then for other parameters unless there is a `put`.
        """

    @abstractmethod
    def loss_and_gradients(self) -> tuple[float, dict[str, Array]]:
        """Return the loss at the present parameters and its gradients; change no parameter.

        Gradients are NumPy arrays by the parameters' names, of their shapes and the task's dtype.
        """

    @abstractmethod
    def step(self) -> object:
        """Take one training step; return the loss before it in the engine's own type, unread.

        Each step is judged from the parameters, and momentum buffers, that were shown before it.
        They may be rounded: an engine may keep more bits than those of the task's dtype.
        """

    @abstractmethod
    def parameters(self) -> dict[str, Array]:
        """Return the present parameters as NumPy arrays."""

    @abstractmethod
    def predict(self) -> Array:
        """Return the network's output for the data, (samples, 1), of the task's dtype.

        It is judged as all the rest, drawn as the fit, and tells whether the network is dead.
        """

    def load(self, task: Task, start: Start) -> None:
        """Begin a task.

        Raises:
            CannotBeJudgedError: the task asks for an option that the engine does not name, or there
                is momentum, and the engine's buffers cannot be seen or set.
        """
        mine = type(self)
        if lacking := [option for option in task.options if option not in self.options]:
            asked = ", ".join(
                f"the problem {task.problem.name}" if task.problem else said(o, getattr(task, o))
                for o in lacking
            )
            raise CannotBeJudgedError(
                f"{mine.__name__} does not say that it can train with {asked}: leave that out, or "
                f"have the engine do it and name it in `options = {lacking}`"
            )
        if task.momentum and (
            mine.momentum_buffers is Engine.momentum_buffers or mine.put is Engine.put
        ):
            raise CannotBeJudgedError(
                f"{mine.__name__} does not have its momentum buffers read and set, so it cannot be "
                "judged with momentum: give --momentum 0, or give it `put` and `momentum_buffers`"
            )
        self._task, self._start = task, start
        self.build(task, copied(start))

    def put(
        self, parameters: Mapping[str, Array], momentum_buffers: Mapping[str, Array] = {}
    ) -> None:
        """Replace the values of the loaded network's parameters and the optimiser's buffers.

        Buffers are by the parameters' names; without them the next step is the optimiser's first.
        """
        self.build(self._task, copied(replace(self._start, parameters=dict(parameters))))

    def seek(self, step: int) -> None:
        """Say which step comes next, counted from 0; `put` comes next.

        It is asked of an engine that trains on mini-batches or problems: `task.rows(step)` are the
        samples of a step, and a schedule is as far as it is before that step.
        """
        self._start = replace(self._start, step=step)

    def seed(self, number: int) -> None:  # noqa: B027
        """Seed the generator that a problem's random numbers are drawn from, before each step."""

    def put_data(self, x: Array, y: Array, *more: Array) -> None:
        """Replace the data of the loaded network by others of the same shapes; `put` comes next.

        There are `more` inputs only of a problem whose model has them. An engine that records its
        steps, or compiles them, is asked to keep what it recorded, so
        that a step that keeps the data as well is found out. It needs a `put` of its own.
        """
        self._start = replace(self._start, x=x, y=y, more=more)
        self.build(self._task, copied(self._start))

    def momentum_buffers(self) -> dict[str, Array]:
        """Return the momentum buffers by the parameters' names.

        There are none before the first step, and none without momentum.
        """
        return {}

    def synchronize(self) -> None:  # noqa: B027
        """Wait until the device has done what it was told; NumPy has when it returns."""


@runtime_checkable
class DrawingEngine(Protocol):
    """An engine with torch's random numbers, which the verdict `start` judges."""

    def draw(self, task: Task) -> Start:
        """Seed the engine's own generator; draw the data, then the initial parameters.

        It is also called before every task, for the generator's state alone.
        """
        ...


@runtime_checkable
class TracingEngine(Protocol):
    """An engine that can show what its steps compute, so that a defect can be located."""

    def trace(self) -> list[Traced]:
        """Take one training step; return all it computed, in the order of computing."""
        ...
