"""`parity replay`: a saved case is judged again, by the same engines or by others."""

from __future__ import annotations

import json
from contextlib import ExitStack
from typing import Any, NamedTuple

from threadpoolctl import threadpool_limits

from minigrad.architectures import Architecture
from parity.cases.case import Case
from parity.cases.judge import Engines, judge, locate_in
from parity.cases.traces import Traces, require_step, traces
from parity.documents import to_json
from parity.engines.registry import reproducible
from parity.engines.trainer import Trainer
from parity.environment import usable_cores
from parity.errors import UsageError
from parity.processes import Side, trainer
from parity.run import JUDGED


class Replayed(NamedTuple):
    """A case judged again.

    Attributes:
        case: as it was saved.
        names: of the engines that judged it now.
        verdict: now, in values that JSON can hold.
        environment: of both engines' processes, by "actual" and "expected".
        traces: of the step at which it failed, if they were asked for.
    """

    case: Case
    names: tuple[str, str]
    verdict: dict[str, Any]
    environment: dict[str, Any]
    traces: Traces | None = None


def twin(case: Case, name: str) -> str:
    """Return the engine that judges: for "bitwise" the reproducible twin of one that has one."""
    return (reproducible(name) if case.kind == "bitwise" else None) or name


def replay(case: Case, actual: Side, expected: Side, *, traced: bool = False) -> Replayed:
    """Judge the case by these engines, each in a process of its own.

    Args:
        case: as it was saved.
        actual, expected: the engines.
        traced: whether to have all values of the step at which it fails, too.

    Raises:
        UsageError: an engine cannot do what the case asks, or nothing can be judged.
    """
    if traced:
        require_step(case)
    with threadpool_limits(1), ExitStack() as stack:
        count = usable_cores() if case.kind in ("trajectory", "final_mse") else 0
        ours, theirs, *perturbed = (
            stack.enter_context(trainer(side)) for side in (actual, expected, *([expected] * count))
        )
        engines = Engines(ours, theirs, perturbed)
        verdict = locate_in(case, judge(case, engines), engines)
        found = traces(case, verdict, engines) if traced else None
        environment = {
            "actual": ours.call(Trainer.environment),
            "expected": theirs.call(Trainer.environment),
        }
    if verdict["passed"] is None:
        raise UsageError(
            "nothing can be judged: by these engines, on this machine, the run is not predictable "
            "to its end"
        )
    verdict = json.loads(to_json(verdict))
    return Replayed(case, (actual.name, expected.name), verdict, environment, found)


def document(replayed: Replayed) -> dict[str, Any]:
    """Return the verdict as the content of a report.json, on one network or on the probes alone."""
    case, verdict = replayed.case, replayed.verdict
    task, names = case.task, replayed.names
    settings = {"seed": task.seed, "dtype": task.dtype, "device": task.device}
    shared = {
        "passed": verdict["passed"] is True,
        "settings": {**settings, "engine": names[0], "against": names[1]},
    }
    if case.kind == "probe":
        return {**shared, "architectures": [], "probes": verdict}
    entry = {
        "name": "-".join(map(str, task.sizes)),
        "sizes": list(task.sizes),
        "epochs": task.epochs,
        "learning_rate": task.learning_rate,
        "parameters": Architecture("", task.sizes).parameters,
        "passed": shared["passed"],
        **dict.fromkeys(JUDGED),
        case.kind: verdict,
    }
    return {**shared, "architectures": [entry]}
