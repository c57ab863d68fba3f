"""Training on one engine: watched as epochs pass, and tried on points that it was not trained on.

Whatever is looked at, training goes through the same bits: gradients are asked for between steps,
which changes no parameter, and held-out points are for a second engine beside the first.
"""

import functools
import math
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, cast

import numpy as np

import minigrad
from minigrad.architectures import Architecture
from parity.checks.state import state
from parity.engines.adapters.minigrad import MinigradEngine
from parity.engines.asked import Asked
from parity.engines.process import EngineProcess, together
from parity.engines.protocol import Array, Engine, Start, Task
from parity.engines.trainer import Run, Trainer
from parity.points import column
from parity.processes import Side, trainer

HELD_OUT = 100
"""How many points are held out, whatever the number to train on."""

TRAINING = "training"
"""What progress is reported of."""

MOMENTS = 60
"""Predictions are kept at no more epochs than this."""

MOST_POINTS = 1000
"""Predictions that are kept are thinned evenly to this many points."""


class HeldOut(NamedTuple):
    """Fresh points and what the trained network makes of them; arrays are (HELD_OUT, 1)."""

    x: Array
    y: Array
    prediction: Array
    mse: float


@dataclass(frozen=True)
class History:
    """How training went. An epoch is named by the number of updates that are done: the first is 0.

    Attributes:
        losses: on the data, (epochs + 1,) float64.
        norms: the 2-norm of the loss's gradient by the parameters of each layer, by the layer's
            name in `nn.Sequential`, (epochs + 1,) float64 each.
        held_out: on the held-out points, (epochs + 1,) float64; None if there are none.
        moments: the epochs of the predictions, ascending from 0 to the last.
        points: which of the data is predicted.
        predictions: (points,) for each moment.
    """

    losses: Array
    norms: dict[str, Array]
    held_out: Array | None
    moments: list[int]
    points: slice
    predictions: list[Array]


@dataclass(frozen=True)
class Finished:
    """A training run: where it started, what it left, and what was asked for besides.

    Attributes:
        state: `trained`, `dead` or `diverged`.
        measure: what the loss is called, "MSE" if it is that.
    """

    start: Start
    run: Run
    state: str
    held_out: HeldOut | None = None
    history: History | None = None
    measure: str = "MSE"

    @property
    def gap(self) -> float:
        """The generalisation gap: the MSE on held-out points less that on the data."""
        assert self.held_out is not None
        return self.held_out.mse - self.run.final_mse


def train(
    tasks: Sequence[tuple[Architecture, Task]],
    side: Side,
    progress: Callable[[str, str, int, int], object],
    *,
    hold_out: bool = False,
    watch: bool = False,
) -> list[Finished]:
    """Train every task on one engine, in a process of its own.

    Args:
        tasks, side: what is trained, and on what.
        progress: called as `progress(architecture, TRAINING, epochs done, epochs)`.
        hold_out: try the trained networks on fresh points; see `fresh_points`.
        watch: keep a history of the training.

    Raises:
        UsageError: the engine cannot do what is asked.
    """
    with trainer(side) as process:
        return [
            _finished(
                process,
                side,
                task,
                functools.partial(progress, architecture.name, TRAINING),
                fresh_points(task) if hold_out else None,
                moments(task.steps) if watch else [],
            )
            for architecture, task in tasks
        ]


def _finished(
    process: EngineProcess[Trainer],
    side: Side,
    task: Task,
    progress: Callable[[int, int], object],
    fresh: tuple[Array, Array] | None,
    moments: list[int],
) -> Finished:
    """Train a network in the engine's process."""
    start = process.call(Trainer.draw, task) or _drawn(task)
    progress(0, task.steps)
    stream = process.stream(watch, side.factory, task, start, fresh, moments)
    ((run, held_out, history),) = together([stream], lambda _, done: progress(done, task.steps))
    measure = "MSE" if task.loss == "MSELoss" else "loss"
    return Finished(start, run, state(run, start, task), held_out, history, measure)


def fresh_points(task: Task) -> tuple[Array, Array]:
    """Return x and y of held-out points, (HELD_OUT, 1) each, from where the data came from.

    The random numbers are those that follow in the seed's stream on the data and the initial
    parameters, so they are torch's, too. First x, uniform within each hundredth of [-5, 5]:
    (arange(HELD_OUT) + rand(HELD_OUT))·10/HELD_OUT - 5. Then y = x² + randn(1), one after the
    other, as the data is made. So the points are spread as evenly as the data and lie between its
    points, where a network that has learned these by heart is wrong. Independent x would by chance
    fall more often where a poor fit is good, or bad: that alone moved the MSE of `underfit` by 8.
    The data, which has a point at either end, weighs the ends a little more.
    """
    _drawn(task)
    x = minigrad.arange(HELD_OUT) + minigrad.rand(HELD_OUT, dtype=task.dtype)
    x = x * (10 / HELD_OUT) - 5
    y = minigrad.stack([element**2 + minigrad.randn(1, dtype=task.dtype) for element in x])
    return x.reshape(-1, 1).numpy(), y.numpy()


def _drawn(task: Task) -> Start:
    """Return what minigrad draws."""
    with np.errstate():  # which the engine sets for its process
        return MinigradEngine().draw(task)


def moments(epochs: int) -> list[int]:
    """Return the epochs at which a prediction is kept: MOMENTS at most, from 0 to the last.

    They are spaced like square numbers, denser at the beginning, where most happens.
    """
    return sorted({round(epoch) for epoch in epochs * np.linspace(0, 1, MOMENTS) ** 2})


# ---- in the engine's process --------------------------------------------------------------------


def watch(
    trainer: Trainer,
    factory: Callable[[], Engine],
    task: Task,
    start: Start,
    fresh: tuple[Array, Array] | None,
    moments: Sequence[int],
) -> Generator[int, None, tuple[Run, HeldOut | None, History | None]]:
    """Train from `start`; yield now and then how many epochs are done; return what was seen.

    Without `fresh` points nothing is held out, and without `moments` there is no history. `factory`
    makes a second engine for the held-out points.
    """
    beside, held_out, history = None, None, None
    if fresh is not None:
        x, y = fresh
        beside = Asked(factory())
        beside.load(replace(task, samples=len(x), batch_size=None), Start(x, y, start.parameters))
    watched = _Watched(trainer.engine, moments, task.samples, beside)
    engine = cast(Engine, watched if moments else trainer.engine)
    run = yield from Trainer(lambda: engine).train(task, start)
    if moments:
        watched.look()
        history = watched.history(run)
    if beside is not None:
        beside.put(run.parameters)
        mse, _ = beside.loss_and_gradients()
        held_out = HeldOut(x, y, beside.predict(), mse)
    return run, held_out, history


class _Watched:
    """An engine that is looked at before each of its steps."""

    def __init__(
        self, engine: Asked, moments: Sequence[int], samples: int, beside: Asked | None
    ) -> None:
        self._engine, self._beside = engine, beside
        self._moments = list(moments)
        self._samples = samples
        self._points = slice(None, None, math.ceil(samples / MOST_POINTS))
        self._norms: list[dict[str, float]] = []
        self._predictions: list[Array] = []
        self._held_out: list[float] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    def step(self) -> object:
        """Look, then take a training step."""
        self.look()
        return self._engine.step()

    def look(self) -> None:
        """Keep the norms, the prediction and the held-out loss before the next step."""
        _, gradients = self._engine.loss_and_gradients()
        epoch = len(self._norms)
        self._norms.append(layer_norms(gradients))
        if epoch in self._moments:
            predicted = column(self._engine.predict(), self._samples)
            self._predictions.append(predicted[self._points, 0])
        if self._beside is not None:
            self._beside.put(self._engine.parameters())
            self._held_out.append(self._beside.loss_and_gradients()[0])

    def history(self, run: Run) -> History:
        """Return what was seen of a run that is over."""
        return History(
            losses=np.append(run.losses, run.final_mse),
            norms={name: np.array([n[name] for n in self._norms]) for name in self._norms[0]},
            held_out=np.array(self._held_out) if self._held_out else None,
            moments=self._moments,
            points=self._points,
            predictions=self._predictions,
        )


def layer_norms(gradients: dict[str, Array]) -> dict[str, float]:
    """Return the 2-norm of the gradients of each layer's parameters, weight and bias together."""
    squares: dict[str, float] = {}
    with np.errstate(all="ignore"):
        for name, gradient in gradients.items():
            layer = name.rpartition(".")[0]
            square = np.square(gradient, dtype=np.float64).sum()
            squares[layer] = squares.get(layer, 0.0) + float(square)
    return {layer: math.sqrt(square) for layer, square in squares.items()}
