"""steps: at every epoch both engines take one step from the same state.

Errors cannot accumulate, so each step is judged as sharply as the first, through chaos too. The
reference drives: at every epoch both engines are given the parameters, and momentum buffers, it has
come to. Loss, gradients, updated parameters and buffers are judged by the budget of that very step.

A budget costs far more than a step, and that of one epoch does not depend on that of another. So
judges work in processes of their own, an epoch each, while the engines take the next steps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from parity.checks.judge import SIDES, Judge, Judgement
from parity.engines.exchange import Exchange
from parity.engines.local import LocalObject
from parity.engines.process import EngineProcess
from parity.engines.protocol import Array, Start, Task

Progress = Callable[[int], object]
"""Called with the number of epochs that are done."""


def check_steps(
    actual: EngineProcess,
    expected: EngineProcess,
    task: Task,
    start: Start,
    progress: Progress = lambda done: None,
    momentum_buffers: Mapping[str, Array] | None = None,
    judges: Sequence[EngineProcess] = (),
) -> dict[str, Any]:
    """Judge every epoch's step of two engines, which live in `Trainer` processes.

    Args:
        actual, expected: the engines.
        task, start: what is trained, and from where.
        progress: called after each epoch.
        momentum_buffers: the state of the optimiser at the start; None if it is fresh.
        judges: processes that hold a `Judge`; without them this process judges.

    Returns:
        the verdict. `worst_at` says in `of` what was worst: `loss`, `gradients`, `updated`, the
        parameters after the step, or `buffers`, those of the momentum; `first_failure` the same of
        the first epoch out of its budget, None if there is none.

    Raises:
        ValueError: an engine returned other tensors, shapes or dtypes than the parameters'.
    """
    judges = judges or [LocalObject(Judge())]
    kinds = ("gradients", "updated", *(("buffers",) if task.momentum else ()))
    given = ("given parameters", *(("given buffers",) if task.momentum else ()))
    slots = len(judges) + 1  # the engines go ahead by one
    rooms = [
        f"{slot} {room}"
        for slot in range(slots)
        for room in (*given, *(f"{side} {kind}" for side in SIDES for kind in kinds))
    ]
    shapes = {name: value.shape for name, value in start.parameters.items()}
    tally = _Tally()
    with Exchange(shapes, task.dtype, rooms) as exchange:
        for side, process in zip(SIDES, (actual, expected), strict=True):
            process.call("join", task, start, exchange, side)
        for judge in judges:
            judge.call("join", task, start, exchange)
        _copy(start.parameters, exchange.room("0 given parameters"))
        if momentum_buffers:
            _copy(momentum_buffers, exchange.room("0 given buffers"))
        for epoch, judgement in enumerate(
            _judgements(actual, expected, judges, exchange, slots, task, bool(momentum_buffers))
        ):
            tally.add(epoch, judgement)
            progress(epoch + 1)
        for process in (actual, expected, *judges):
            process.call("leave")
    return tally.entry()


def _judgements(
    actual: EngineProcess,
    expected: EngineProcess,
    judges: Sequence[EngineProcess],
    exchange: Exchange,
    slots: int,
    task: Task,
    buffers: bool,
) -> Iterator[Judgement]:
    """Yield the judgement of every epoch, from what is given in slot 0; the judges take turns."""
    for epoch in range(task.epochs + len(judges)):
        slot, judge = epoch % slots, judges[epoch % len(judges)]
        if epoch < task.epochs:
            for process in (actual, expected):
                process.ask("forced_step", slot, buffers)
            losses = tuple(process.answer() for process in (actual, expected))
        if epoch >= len(judges):
            yield judge.answer()
        if epoch < task.epochs:
            judge.ask("step", slot, buffers, losses)
            after = (slot + 1) % slots
            _copy(
                exchange.room(f"{slot} expected updated"),
                exchange.room(f"{after} given parameters"),
            )
            if task.momentum:
                buffers = True
                _copy(
                    exchange.room(f"{slot} expected buffers"),
                    exchange.room(f"{after} given buffers"),
                )


def _copy(source: Mapping[str, Array], target: Mapping[str, Array]) -> None:
    for name, value in source.items():
        target[name][...] = value


class _Tally:
    """The worst of many comparisons, and the first that failed."""

    def __init__(self) -> None:
        self._worst: tuple[float, dict[str, Any] | None] = (-1.0, None)
        self._aggregate: tuple[float, dict[str, Any] | None] = (-1.0, None)
        self._first_failure: dict[str, Any] | None = None
        self._elements = self._unlimited = self._choices = self._kinks = self._epochs = 0

    def add(self, epoch: int, judgement: Judgement) -> None:
        """Count the comparisons of an epoch."""
        comparisons, kinks = judgement
        self._kinks += kinks
        self._epochs = epoch + 1
        for of, found in comparisons.items():
            place = {"epoch": epoch, "of": of}
            if found.worst_used > self._worst[0]:
                self._worst = found.worst_used, place | found.worst_at
            if found.aggregate_at is not None and found.aggregate_used > self._aggregate[0]:
                self._aggregate = found.aggregate_used, place | found.aggregate_at
            if not found.passed and self._first_failure is None:
                at = found.worst_at if found.worst_used > 1 else found.aggregate_at
                self._first_failure = place | (at or {})
            self._elements += found.elements
            self._unlimited += found.unlimited
            self._choices += found.choices

    def entry(self) -> dict[str, Any]:
        """Return the verdict."""
        return {
            "passed": self._first_failure is None,
            "epochs": self._epochs,
            "worst_budget_used": max(self._worst[0], 0.0),
            "worst_at": self._worst[1],
            "first_failure": self._first_failure,
            "kinks": self._kinks,
            "choices": self._choices,
            "elements": self._elements,
            "unlimited": self._unlimited,
            "aggregate_used": max(self._aggregate[0], 0.0),
            "aggregate_at": self._aggregate[1],
        }
