"""One training step of a case, by both engines, with every value that it computes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from parity.cases.case import DRAWN, Case
from parity.cases.judge import Engines, raised_by
from parity.engines.protocol import Array, Start, Task, Traced
from parity.engines.trainer import Trainer
from parity.errors import UsageError

SINGLE_STEPS = ("gradients", "steps", "bitwise")
"""Kinds that fail in a single step; the others are of whole runs."""


@dataclass(frozen=True)
class Traces:
    """One step by two engines.

    Attributes:
        actual, expected: all values, in the order of computing.
        task: what is trained.
        epoch: which step of the case it is, from 0.
        start, momentum_buffers: what it starts from; no buffers for the optimiser's first step.
    """

    actual: list[Traced]
    expected: list[Traced]
    task: Task
    epoch: int
    start: Start
    momentum_buffers: dict[str, Array]


def require_step(case: Case) -> None:
    """Check that there is a training step to be shown.

    Raises:
        UsageError: the case is of a kind that has none.
    """
    if case.kind in DRAWN:
        what = "draws a start" if case.kind == "start" else f"runs the probe {case.probe!r}"
        raise UsageError(
            f"--html shows a training step, and this case has none: it {what}. What it found is "
            "said without --html; cases of gradients, steps, trajectory, final MSE and bitwise "
            "have a page"
        )


def traces(case: Case, verdict: Mapping[str, Any], engines: Engines) -> Traces:
    """Let both engines take the step at which the verdict failed, the first one if it did not.

    Both start from where the expected engine has come to by then.

    Args:
        case: of a kind that has steps.
        verdict: on it, by these engines.
        engines: processes of `DigestTrainer`s.

    Raises:
        UsageError: an engine cannot show what its steps compute, or raises an exception.
    """
    assert case.start is not None
    epoch = _failing_epoch(case, verdict)
    start, buffers = case.start, case.momentum_buffers
    with raised_by(engines):
        if epoch:
            parameters, buffers = engines.expected.call(
                Trainer.state_before, case.task, start, epoch, buffers
            )
            start = replace(start, parameters=parameters)
        ours, theirs = (p.call(Trainer.trace, case.task, start, buffers) for p in engines[:2])
    if ours is None or theirs is None:
        process = engines.actual if ours is None else engines.expected
        raise UsageError(
            f"there is no page for {process.name!r}, which cannot show what its steps compute; "
            "minigrad, torch and their reproducible twins can: choose them with --engine and "
            "--against, or leave out --html"
        )
    return Traces(ours, theirs, case.task, epoch, start, buffers)


def _failing_epoch(case: Case, verdict: Mapping[str, Any]) -> int:
    """Return the epoch whose step the verdict failed at: 0 if it is of a whole run, or passed."""
    if case.kind not in SINGLE_STEPS:
        return 0
    place = verdict.get("first_failure") or verdict.get("first_difference") or {}
    epoch: int = place.get("epoch", 0)
    return epoch
