"""bitwise: in reproducible arithmetic two engines train through the same bits, however chaotic.

Every loss, every parameter and momentum buffer after every epoch and the final MSE must be equal in
every bit; NaNs, whose bits IEEE 754 leaves open, are equal to each other. The engines train at the
same time, each in a process of its own, and send a digest for each epoch. Only if two digests
differ are both trained again up to that epoch, and the arrays themselves compared.
"""

import hashlib
from collections.abc import Generator, Mapping
from typing import Any

import numpy as np

from parity.checks import words
from parity.checks.bits import canonical, first_difference
from parity.checks.state import state
from parity.checks.words import Document
from parity.engines.asked import Asked
from parity.engines.process import EngineProcess, of_each, together
from parity.engines.protocol import BUFFER, Array, Start, Task
from parity.engines.serve import alive
from parity.engines.trainer import Progress, Run, Trainer, ignore
from parity.errors import CannotBeJudgedError

LOSS = "loss"
"""What the loss is called where a parameter is named."""


def digests(
    trainer: Trainer, task: Task, start: Start, momentum_buffers: Mapping[str, Array]
) -> Generator[bytes, None, tuple[float, str]]:
    """Train; yield a digest of every epoch; return the final MSE, and how the run ended."""
    engine = trainer.engine
    engine.load(task, start, momentum_buffers)
    losses = []
    for _ in range(task.steps - start.step):
        stepped = _stepped(engine)
        losses.append(stepped[LOSS])
        yield digest(stepped)
    final_mse, _ = engine.loss_and_gradients()
    run = Run(np.array(losses), final_mse, engine.predict(), engine.parameters())
    return final_mse, state(run, start, task)


def refusal(trainer: Trainer, task: Task, start: Start) -> str | None:
    """Return what in a step is not rounded alike everywhere, and so is refused; None if nothing."""
    try:
        trainer.engine.load(task, start)
        trainer.engine.step()
    except (TypeError, NotImplementedError, CannotBeJudgedError) as error:
        return str(error).partition(", because")[0].partition(". ")[0]
    return None


def state_after(
    trainer: Trainer, task: Task, start: Start, momentum_buffers: Mapping[str, Array], epoch: int
) -> dict[str, Array]:
    """Train up to and including `epoch`; return its loss and the state it left."""
    trainer.engine.load(task, start, momentum_buffers)
    for _ in range(epoch):
        trainer.engine.step()
        alive()
    return _stepped(trainer.engine)


def _stepped(engine: Asked) -> dict[str, Array]:
    """Take a step; return the loss before it and the state after it."""
    return {
        LOSS: np.array(engine.step()),
        **engine.parameters(),
        **{name + BUFFER: buffer for name, buffer in engine.momentum_buffers().items()},
    }


def check_bitwise(
    actual: EngineProcess[Trainer],
    expected: EngineProcess[Trainer],
    task: Task,
    start: Start,
    progress: Progress = ignore,
    momentum_buffers: Mapping[str, Array] | None = None,
) -> dict[str, Any]:
    """Train both engines from `start` and compare them epoch by epoch.

    Args:
        actual, expected: processes of the engines, entered.
        task, start: what is trained, and from where.
        progress: called after each epoch of either engine; both engines' epochs are counted.
        momentum_buffers: the state of the optimiser at the start; None if it is fresh.

    Returns:
        `passed`; `epochs`, how many were compared; `first_difference`, None or the first epoch
        (from 0) with the first of its tensors and elements that differs: "loss" is the loss before
        the epoch's update, parameters and buffers are those after it; `final_mse_hex` of both
        engines, after the last update; `state`, how both runs ended.
    """
    buffers = dict(momentum_buffers or {})
    received: tuple[list[bytes], list[bytes]] = ([], [])

    def seen(side: int, epoch: bytes) -> None:
        received[side].append(epoch)
        progress(len(received[0]) + len(received[1]), 2 * (task.steps - start.step))

    sides = (actual, expected)
    ends = together([side.stream(digests, task, start, buffers) for side in sides], seen)
    different = [i for i, (a, b) in enumerate(zip(*received, strict=True)) if a != b]
    difference = None
    if different:
        epoch = different[0]
        states = of_each(sides, state_after, task, start, buffers, epoch)
        difference = first_difference(canonical(states[0]), canonical(states[1])) or {
            "parameter": None,
            "index": [],
            "problem": "it did not show again: an engine is not repeatable, let alone reproducible",
        }
        difference = {"epoch": epoch, **difference}
    hexes = [final_mse.hex() for final_mse, _ in ends]
    return {
        "passed": difference is None and hexes[0] == hexes[1],
        "epochs": len(received[0]),
        "first_difference": difference,
        "final_mse_hex": {"actual": hexes[0], "expected": hexes[1]},
        "state": {"actual": ends[0][1], "expected": ends[1][1]},
    }


def describe_bitwise(verdict: Document, architecture: Document, settings: Document) -> str:
    """Return the final MSE with all its digits, of both engines if they differ."""
    hexes, name = verdict["final_mse_hex"], words.final_loss(architecture)
    dtype = settings["dtype"] if verdict["passed"] else "float64"  # which tells any two apart
    actual, expected = (words.exactly(hexes[side], dtype) for side in ("actual", "expected"))
    if verdict["passed"]:
        return f"{words.steps(verdict, architecture)} equal in every bit; {name} {actual}"
    return f"{name} {actual} and {expected}"


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
