"""free_steps: every step of the engine's own run, from where the engine itself stood.

`steps` puts a state into the engines at every epoch. An engine that begins anew with that, as one
that is built again does, is judged by its first step again and again, and nothing is known of what
it keeps between its steps: a schedule of its learning rate, a recorded graph that is replayed,
averages, gradients that are not cleared, memory that is used twice. So here it runs freely. At
every epoch its parameters, and momentum buffers, are read; the reference is given these and takes
the same step. The loss that `step()` returned and the state after it are held against the
reference's by the budget of that very step.

Only the engine under test runs freely. Of the reference each step is a first one, so that what it
keeps is not in question; exchange the engines to have it judged.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from parity.checks import words
from parity.checks.steps import Judge, judge_steps
from parity.checks.words import Document
from parity.engines.process import EngineProcess
from parity.engines.protocol import Array, Start, Task
from parity.engines.trainer import Progress, Trainer, ignore


def check_free_steps(
    actual: EngineProcess[Trainer],
    expected: EngineProcess[Trainer],
    task: Task,
    start: Start,
    progress: Progress = ignore,
    momentum_buffers: Mapping[str, Array] | None = None,
    judges: Sequence[EngineProcess[Judge]] = (),
) -> dict[str, Any]:
    """Judge every epoch's step of an engine's own run.

    Args, Returns, Raises:
        as `parity.checks.steps.check_steps`; gradients are not among what is judged.
    """
    sides = {"free": actual, "expected": expected}
    return judge_steps(sides, task, start, progress, momentum_buffers, judges)["free_steps"]


def describe_free_steps(verdict: Document, architecture: Document, settings: Document) -> str:
    """Return what `describe_steps` does, and where to look if only the free steps are wrong."""
    said = f"{words.steps(verdict, architecture)}; {words.budget(verdict)}"
    steps = architecture.get("steps")
    if verdict["passed"] is False and steps is not None and steps["passed"]:
        engine = settings["engine"]
        said += f"; only its own run is wrong: look at what {engine} keeps between its steps"
    return said
