"""What an engine is asked to do."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from types import ModuleType
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from parity.errors import CannotBeJudgedError, harmless

Array = NDArray[Any]


@dataclass(frozen=True)
class Task:
    """What is trained, and how.

    Attributes:
        sizes: the layer sizes, ReLU between the layers.
        epochs: the number of full-batch steps.
        learning_rate: of SGD.
        samples: how many points of the noisy parabola.
        seed: of the data and the initial parameters, 0 to 2⁶⁴ - 1.
        dtype: "float32" or "float64".
        device: "cpu", "cuda" or "cuda:N"; an engine that only knows the CPU stays there.
        momentum: of SGD.
    """

    sizes: tuple[int, ...]
    epochs: int
    learning_rate: float
    samples: int
    seed: int
    dtype: str
    device: str
    momentum: float = 0.0


@dataclass(frozen=True)
class Start:
    """Where a run starts: data x and y, each (samples, 1), and parameters by torch's names."""

    x: Array
    y: Array
    parameters: dict[str, Array]


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


def parameter_shapes(sizes: Sequence[int]) -> dict[str, tuple[int, ...]]:
    """Return the shapes of a network's parameters by torch's names, in torch's order."""
    shapes: dict[str, tuple[int, ...]] = {}
    for i, (inputs, outputs) in enumerate(pairwise(sizes)):
        shapes |= {f"{2 * i}.weight": (outputs, inputs), f"{2 * i}.bias": (outputs,)}
    return shapes


BUFFER = ".momentum_buffer"
"""What follows a parameter's name in the name of its momentum buffer."""


PREDICTION = "prediction"
"""What the network's output is called where tensors have names."""


class Traced(NamedTuple):
    """One of the values that a training step computes.

    Attributes:
        phase: "forward", "backward" or "optimizer".
        node: what computed it: a layer by its name in `nn.Sequential`, or "loss".
        operation: the node's kind, "Linear", "ReLU" or "MSELoss"; of an update, "SGD".
        tensor: forward, "output". Backward, "input" for the gradient by the node's input, or the
            name of a parameter for the gradient by that; the sweep begins with "output", the
            derivative of the loss by itself. Optimizer, the name of a parameter for its new value;
            its new buffer, which comes first, has ".momentum_buffer" behind that name.
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
    return Start(start.x[::-1] / 2, 1 - start.y[::-1] / 2, parameters)


def copied(start: Start) -> Start:
    """Return a start in memory of its own."""
    return Start(
        start.x.copy(), start.y.copy(), {n: array.copy() for n, array in start.parameters.items()}
    )


class Engine(ABC):
    """What is trained, judged and timed: the base of every engine, and of those from elsewhere.

    An engine gives loss and gradients of fully connected layers with ReLU between them, the mean
    squared error, and SGD. Five methods are needed. With `put` and `momentum_buffers` it can be
    judged with momentum, too; with `put_data` recorded steps are given other data; with `draw` its
    random numbers are judged (`DrawingEngine`), with `trace` a defect is located (`TracingEngine`).
    One whose library has torch's names may have an attribute `namespace`, the module, and is then
    asked to run the probe suite; with `capture`, a function that returns a recorded one in place of
    a function, by replays.

    An object is made without arguments; `parity run` makes two, each in a process of its own: one
    is given a state before every step, the other trains alone (`free_steps`). Whatever a method
    raises, SystemExit too, is a failure of the engine, and so is the death of the process,
    or no sign of life for a minute (`--timeout`): a step may take no longer.

    An engine owns the arrays that it is given: it may keep them, and change them in place. What it
    returns is copied before it is asked for anything else, so that it may return its own memory.
    Tensors go by their names, in whatever order.
    """

    namespace: ModuleType | None = None
    capture: Callable[[Callable[..., Any]], Callable[..., Any]] | None = None

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
            CannotBeJudgedError: there is momentum, and the engine's buffers cannot be seen or set.
        """
        mine = type(self)
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

    def put_data(self, x: Array, y: Array) -> None:
        """Replace the data of the loaded network by others of the same shapes; `put` comes next.

        An engine that records its steps, or compiles them, is asked to keep what it recorded, so
        that a step that keeps the data as well is found out. It needs a `put` of its own.
        """
        self._start = replace(self._start, x=x, y=y)
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
