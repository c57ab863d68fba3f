"""bitwise: in reproducible arithmetic two engines train through the same bits, however chaotic.

Every loss, every parameter and momentum buffer after every epoch and the final MSE must be equal in
every bit; NaNs, whose bits IEEE 754 leaves open, are equal to each other. The engines train at the
same time, each in a process of its own, and send a digest for each epoch. Only if two digests
differ are both trained again up to that epoch, and the arrays themselves compared.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Generator, Mapping
from typing import Any

import numpy as np

from parity.checks.start import first_difference
from parity.engines.process import EngineProcess, together
from parity.engines.protocol import Array, Engine, Start, Task
from parity.engines.trainer import Trainer

Progress = Callable[[int, int], object]
"""Called as `progress(epochs done, epochs)`, each engine's epochs counted on."""

LOSS = "loss"
"""What the loss is called where a parameter is named."""


class DigestTrainer(Trainer):
    """A trainer that tells two runs apart by their bits."""

    def digests(
        self, task: Task, start: Start, momentum_buffers: Mapping[str, Array]
    ) -> Generator[bytes, None, float]:
        """Train; yield a digest of loss and state for every epoch; return the final MSE."""
        self._load(task, start, momentum_buffers)
        for _ in range(task.epochs):
            yield digest(self._state(self._engine.step()))
        final_mse, _ = self._engine.loss_and_gradients()
        return final_mse

    def state_after(
        self, task: Task, start: Start, momentum_buffers: Mapping[str, Array], epoch: int
    ) -> dict[str, Array]:
        """Train up to and including `epoch`; return its loss and the state it left."""
        self._load(task, start, momentum_buffers)
        for _ in range(epoch):
            self._engine.step()
        return self._state(self._engine.step())

    def _load(self, task: Task, start: Start, momentum_buffers: Mapping[str, Array]) -> None:
        self._engine.load(task, start)
        if momentum_buffers:
            self._engine.put(start.parameters, momentum_buffers)

    def _state(self, loss: Any) -> dict[str, Array]:
        buffers = self._engine.momentum_buffers()
        return {
            LOSS: np.array(float(loss)),
            **self._engine.parameters(),
            **{f"{name}.momentum_buffer": buffer for name, buffer in buffers.items()},
        }


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
    momentum_buffers: Mapping[str, Array] | None = None,
) -> dict[str, Any]:
    """Train both engines from `start` and compare them epoch by epoch.

    Args:
        actual, expected: processes that hold a `DigestTrainer`, entered.
        task, start: what is trained, and from where.
        progress: called after each epoch of either engine.
        momentum_buffers: the state of the optimiser at the start; None if it is fresh.

    Returns:
        `passed`; `epochs`, how many were compared; `first_difference`, None or the first epoch
        (from 0) with the first of its tensors and elements that differs: "loss" is the loss before
        the epoch's update, parameters and buffers are those after it; `final_mse_hex` of both
        engines, after the last update.
    """
    buffers = dict(momentum_buffers or {})
    digests: tuple[list[bytes], list[bytes]] = ([], [])

    def seen(side: int, digest: bytes) -> None:
        digests[side].append(digest)
        progress(len(digests[0]) + len(digests[1]), 2 * task.epochs)

    sides = (actual, expected)
    mse = together([side.stream("digests", task, start, buffers) for side in sides], seen)
    different = [i for i, (a, b) in enumerate(zip(*digests, strict=True)) if a != b]
    difference = None
    if different:
        epoch = different[0]
        states = [side.call("state_after", task, start, buffers, epoch) for side in sides]
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
