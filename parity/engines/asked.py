"""`Asked`: an engine, asked in such a way that it cannot change what others have, nor they its own.

What it returns is copied before it is asked for anything else: it may be the engine's own memory,
which its next step overwrites. What it is given are copies, too, which are the engine's to keep.
Tensors go by their names: they come in whatever order the engine has them, and leave in torch's.
"""

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from types import ModuleType
from typing import Any

import numpy as np

from parity.engines.protocol import (
    PREDICTION,
    Array,
    DrawingEngine,
    Engine,
    Start,
    Task,
    Traced,
    TracingEngine,
    copied,
    elsewhere,
    wrong_tensor,
)
from parity.errors import ReturnedWronglyError
from parity.problems.parts import chain_shapes, step_seed


class Asked:
    """What is asked of an engine; the methods are those of `Engine`.

    Raises (all that return something):
        ReturnedWronglyError: the engine returned other tensors, shapes, dtypes or types than there
            must be.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @property
    def namespace(self) -> ModuleType | None:
        """The engine's library, if that has torch's names."""
        return self._engine.namespace

    @property
    def capture(self) -> Callable[[Callable[..., Any]], Callable[..., Any]] | None:
        """What records a function of that library, and replays it; None without it."""
        return self._engine.capture

    @property
    def together(self) -> Callable[[Any, Sequence[Any]], Any] | None:
        """What trains several networks of that library at once; None without it."""
        return self._engine.together

    def identity(self) -> str:
        """Return the class that makes the engine what it is, which is none that adds nothing."""
        nothing = vars(type("Nothing", (Engine,), {"__doc__": ""})).keys() | {"__annotations__"}
        classes = (each for each in type(self._engine).__mro__ if vars(each).keys() - nothing)
        found = next(classes)
        return f"{found.__module__}:{found.__qualname__}"

    def draw(self, task: Task) -> Start | None:
        """Return the data and parameters that the engine draws; None if it draws none."""
        if not isinstance(self._engine, DrawingEngine):
            return None
        start = copied(self._engine.draw(task))
        if task.problem is None:
            _check_chain(task, start)
        return start

    def load(
        self, task: Task, start: Start, momentum_buffers: Mapping[str, Array] | None = None
    ) -> None:
        """Begin a task; with `momentum_buffers` the optimiser is in the middle of its work.

        All random numbers begin anew, those of the engine by a draw that is not used: what depends
        on them is the same whenever the task is begun, and so in a case that is replayed.
        """
        self._task, self._start = task, start
        self._step = start.step
        self.seed(task.seed)
        if isinstance(self._engine, DrawingEngine):
            with suppress(Exception):  # it may draw for fewer tasks than it takes
                self._engine.draw(task)
        self._engine.load(task, copied(start))
        if momentum_buffers:
            self.put(start.parameters, momentum_buffers)

    def seed(self, number: int) -> None:
        """Seed every generator that an engine may draw from."""
        random.seed(number)
        np.random.seed(number % 2**32)  # noqa: NPY002 - an engine may use it
        self._engine.seed(number)

    def _draw_anew(self) -> None:
        """Have the numbers that a problem draws in this step depend on seed and step alone."""
        if self._task.problem is not None:
            self.seed(step_seed(self._task.seed, self._step))

    def put(
        self,
        parameters: Mapping[str, Array],
        momentum_buffers: Mapping[str, Array] = {},
        step: int | None = None,
    ) -> None:
        """Replace parameters and momentum buffers; `step` comes next, or the task's first."""
        if self._task.varies:
            self._step = self._start.step if step is None else step
            self._engine.seek(self._step)
        parameters, momentum_buffers = (
            {name: array.copy() for name, array in arrays.items()}
            for arrays in (parameters, momentum_buffers)
        )
        self._engine.put(parameters, momentum_buffers)

    def begin(
        self,
        task: Task,
        start: Start,
        momentum_buffers: Mapping[str, Array] | None = None,
        *,
        traced: bool = False,
    ) -> None:
        """Begin a task; whatever it is asked then is nothing that it is asked for the first time.

        An engine may record its first call, and keep what it should not: the data, a target, an
        option. So it is used elsewhere before, twice: a recording may be another one at first. With
        `traced` it has shown its steps there, too.
        """
        self.load(task, elsewhere(start))
        for _ in range(2):
            self.loss_and_gradients()
            self.step()
        if traced:
            self.trace()
        self._start, data = start, copied(start)
        self._engine.put_data(data.x, data.y, *data.more)
        self.put(start.parameters, momentum_buffers or {})

    def loss_and_gradients(self) -> tuple[float, dict[str, Array]]:
        """Return the loss, and the gradients in the order of the parameters."""
        self._draw_anew()
        returned = self._engine.loss_and_gradients()
        if not isinstance(returned, tuple) or len(returned) != 2:
            raise ReturnedWronglyError(
                f"returned a {type(returned).__name__} from loss_and_gradients(); it must be the "
                "loss and a dictionary of gradients"
            )
        loss, gradients = returned
        copies = _returned("loss_and_gradients", gradients, self._start.parameters)
        return _number("loss_and_gradients", loss), copies

    def step(self) -> float:
        """Take one training step; return the loss before it."""
        self._draw_anew()
        loss = _number("step", self._engine.step())
        self._step += 1
        return loss

    def parameters(self) -> dict[str, Array]:
        """Return the parameters."""
        return _returned("parameters", self._engine.parameters(), self._start.parameters)

    def momentum_buffers(self, *, after_a_step: bool = False) -> dict[str, Array]:
        """Return the momentum buffers: none without momentum; before a step there may be none."""
        if not self._task.momentum:
            return {}
        buffers = self._engine.momentum_buffers()
        if not buffers and not after_a_step:
            return {}
        return _returned("momentum_buffers", buffers, self._start.parameters)

    def predict(self) -> Array:
        """Return the network's output for the data."""
        self._draw_anew()
        found = self._engine.predict()
        # A problem's prediction may be of any shape: the other engine's tells what is right.
        shape = np.shape(found) if self._task.problem else self._start.y.shape
        like = {PREDICTION: np.empty(shape, self._task.dtype)}
        return _returned("predict", {PREDICTION: found}, like)[PREDICTION]

    @property
    def traces(self) -> bool:
        """Whether the engine can show what its steps compute."""
        return isinstance(self._engine, TracingEngine)

    def trace(self) -> list[Traced]:
        """Take one training step; return all it computed."""
        assert isinstance(self._engine, TracingEngine)
        self._draw_anew()
        steps: Iterable[Traced] = self._engine.trace()
        self._step += 1
        return [
            Traced(str(phase), str(node), str(operation), str(tensor), np.array(value), rule, calls)
            for phase, node, operation, tensor, value, rule, calls in (Traced(*s) for s in steps)
        ]


def _check_chain(task: Task, start: Start) -> None:
    """Check what is drawn for a chain, whose shapes are known from its sizes."""
    shapes = chain_shapes(task)
    like = {name: np.empty(shape, task.dtype) for name, shape in shapes.items()}
    data = {
        name: np.empty((task.samples, size), task.dtype)
        for name, size in (("x", task.sizes[0]), ("y", task.sizes[-1]))
    }
    _returned("draw", {"x": start.x, "y": start.y}, data)
    _returned("draw", start.parameters, like)


def _returned(method: str, arrays: Any, like: Mapping[str, Array]) -> dict[str, Array]:
    """Return copies of what a method returned, in the order of the tensors that there must be."""
    if wrong := wrong_tensor(arrays, like):
        raise ReturnedWronglyError(f"returned from {method}() {wrong}")
    return {name: np.array(arrays[name]) for name in like}


def _number(method: str, loss: Any) -> float:
    """Return the loss, which may be of a type of the engine's own."""
    if not any(hasattr(type(loss), name) for name in ("__float__", "__index__")):
        raise ReturnedWronglyError(
            f"returned a loss from {method}() of type {type(loss).__name__}; it must be a number, "
            "or something that float() can read"
        )
    return float(loss)
