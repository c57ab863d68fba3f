"""bitwise: in reproducible arithmetic two engines train through the same bits, however chaotic.

Every loss, every parameter after every epoch and the final MSE must be equal in every bit; NaNs,
whose bits IEEE 754 leaves open, are equal to each other. The engines train in turn, each in a
process of its own, and send a digest for each epoch. Only if two digests differ are both trained
again up to that epoch, and the arrays themselves compared.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Generator
from typing import Any

import numpy as np

from parity.checks.start import first_difference
from parity.engines import Array, Engine, Start, Task
from parity.engines.process import EngineProcess
from parity.engines.trainer import Trainer

Progress = Callable[[int, int], object]
"""Called as `progress(epochs done, epochs)`, each engine's epochs counted on."""

LOSS = "loss"
"""What the loss is called where a parameter is named."""


class DigestTrainer(Trainer):
    """A trainer that tells two runs apart by their bits."""

    def digests(self, task: Task, start: Start) -> Generator[bytes, None, float]:
        """Train; yield a digest of loss and parameters for every epoch; return the final MSE."""
        self._engine.load(task, start)
        for _ in range(task.epochs):
            yield digest(self._state(self._engine.step()))
        final_mse, _ = self._engine.loss_and_gradients()
        return final_mse

    def state_after(self, task: Task, start: Start, epoch: int) -> dict[str, Array]:
        """Train up to and including `epoch`; return its loss and the parameters it left."""
        self._engine.load(task, start)
        for _ in range(epoch):
            self._engine.step()
        return self._state(self._engine.step())

    def _state(self, loss: Any) -> dict[str, Array]:
        return {LOSS: np.array(float(loss)), **self._engine.parameters()}


def digest_trainer(
    factory: Callable[[], Engine], threads: int | None = None, name: str = "engine"
) -> EngineProcess:
    """Return the process that `check_bitwise` wants for an engine."""
    return EngineProcess(functools.partial(DigestTrainer, factory), threads, name)


def check_bitwise(
    actual: EngineProcess,
    expected: EngineProcess,
    task: Task,
    start: Start,
    progress: Progress = lambda done, epochs: None,
) -> dict[str, Any]:
    """Train both engines from `start` and compare them epoch by epoch.

    Args:
        actual, expected: processes made by `digest_trainer`, entered. They are used in turn.
        task, start: what is trained, and from where.
        progress: called after each epoch of either engine.

    Returns:
        `passed`; `epochs`, how many were compared; `first_difference`, None or the first epoch
        (from 0) with the first of its tensors and elements that differs: "loss" is the loss before
        the epoch's update, parameters are those after it; `final_mse_hex` of both engines, after
        the last update.
    """
    digests, mse = [], []
    for side, process in enumerate((actual, expected)):
        found, final_mse = _digests(process, task, start, progress, side * task.epochs)
        digests.append(found)
        mse.append(final_mse)
    different = [i for i, (a, b) in enumerate(zip(*digests, strict=True)) if a != b]
    difference = None
    if different:
        epoch = different[0]
        states = [p.call("state_after", task, start, epoch) for p in (actual, expected)]
        difference = first_difference(canonical(states[0]), canonical(states[1])) or {
            "parameter": None,
            "index": [],
            "problem": "it did not show again: an engine is not repeatable, let alone reproducible",
        }
        difference = {"epoch": epoch, **difference}
    hexes = [value.hex() for value in mse]
    return {
        "passed": difference is None and hexes[0] == hexes[1],
        "epochs": task.epochs,
        "first_difference": difference,
        "final_mse_hex": {"actual": hexes[0], "expected": hexes[1]},
    }


def canonical(state: dict[str, Array]) -> dict[str, Array]:
    """Return the arrays with every NaN replaced by NumPy's."""
    return {
        name: np.where(np.isnan(array), np.nan, array).astype(array.dtype, copy=False)
        for name, array in state.items()
    }


def digest(state: dict[str, Array]) -> bytes:
    """Return 20 bytes that depend on every bit, name and shape, but on no NaN's payload."""
    total = hashlib.sha1(usedforsecurity=False)
    for name, array in state.items():
        # Quicker than a look at every element. It may overflow, which costs no more than that look.
        with np.errstate(all="ignore"):
            suspicious = not np.isfinite(array.sum())
        if suspicious:
            array = canonical({name: array})[name]
        total.update(f"{name} {array.shape} {array.dtype};".encode())
        total.update(np.ascontiguousarray(array).data)
    return total.digest()


def _digests(
    process: EngineProcess, task: Task, start: Start, progress: Progress, done: int
) -> tuple[list[bytes], float]:
    """Train one engine to the end; return its digests and its final MSE."""
    digests: list[bytes] = []
    epochs = process.stream("digests", task, start)
    while True:
        try:
            digests.append(next(epochs))
        except StopIteration as stop:
            return digests, stop.value
        progress(done + len(digests), 2 * task.epochs)
