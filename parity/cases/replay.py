"""A case judged again, by the same engines or by others."""

import json
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

from threadpoolctl import threadpool_limits

from parity.cases.case import PROBE, Case
from parity.checks import verdicts
from parity.checks.locate import NotTracedError, Traces, traced
from parity.checks.match import Match
from parity.checks.verdicts import VERDICTS, not_reached
from parity.documents import to_json
from parity.engines.pipe import engines_failure
from parity.engines.registry import reproducible
from parity.errors import EngineFailedError, UsageError
from parity.probes import FAMILIES, WRITTEN, probe_named
from parity.probes.check import check_probes
from parity.problems.parts import chain_shapes
from parity.processes import Processes, Side, trainer
from parity.system import usable_cores


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
    """Return the engine that is run: for a verdict on bits the twin, of an engine that has one."""
    bits = case.kind != PROBE and VERDICTS[case.kind].bits
    return (reproducible(name) if bits else None) or name


def replay(case: Case, actual: Side, expected: Side, *, traced: bool = False) -> Replayed:
    """Judge the case by these engines, each in a process of its own.

    Args:
        case: as it was saved.
        actual, expected: the engines.
        traced: whether to have all values of the step at which it fails, too.

    Raises:
        UsageError: an engine cannot do what the case asks, both are one, or nothing can be judged.
    """
    if traced:
        require_step(case)
    count = usable_cores() if not case.drawn and VERDICTS[case.kind].of == "whole run" else 0
    processes = Processes(
        trainer(actual), trainer(expected), [trainer(expected) for _ in range(count)]
    )
    with threadpool_limits(1), processes:
        processes.require_two()
        verdict = located(case, verdict_on(case, processes), processes)
        found = traces(case, verdict, processes) if traced else None
        environment = processes.environment()
    if verdict["passed"] is None:
        raise UsageError(
            "nothing can be judged: by these engines, on this machine, the run is not predictable "
            "to its end, or all is zero or not finite"
        )
    verdict = json.loads(to_json(verdict))
    return Replayed(case, (actual.name, expected.name), verdict, environment, found)


def verdict_on(case: Case, processes: Processes) -> dict[str, Any]:
    """Return the verdict on a case, as report.json has it; "passed" may be None: not judged.

    Args:
        case: what is judged.
        processes: the two engines, for a verdict on bits reproducible ones; references for the
            verdicts that need perturbed runs.

    Raises:
        UsageError: an engine cannot do what the case asks.
        EngineFailedError: an engine raises an exception, dies or falls silent.
    """
    with raised_by(processes):
        if case.kind == PROBE:
            return _verdict_on_probe(case, processes)
        verdict, match = VERDICTS[case.kind], _match(case, processes)
        if reason := verdict.not_reached(match):
            raise UsageError(f"the verdict {verdict.label} cannot be reached: {reason}")
        entry = verdict.check(match)
        assert entry is not None
        return entry


def located(case: Case, verdict: dict[str, Any], processes: Processes) -> dict[str, Any]:
    """Return a failing verdict with where the engines part, and which is wrong, if told."""
    row = None if case.drawn else VERDICTS[case.kind]
    if row is None or not row.has_first_node or verdict["passed"] is not False:
        return verdict
    try:
        with raised_by(processes):
            found = verdicts.located(_match(case, processes), row, verdict)
    except (UsageError, EngineFailedError):  # it cannot show the step
        found = {"first_node": None, "wrong": None}
    return {**verdict, **found}


def traces(case: Case, verdict: Mapping[str, Any], processes: Processes) -> Traces:
    """Let both engines take the step at which the verdict failed, the first one if it did not.

    Args:
        case: one that has steps.
        verdict: on it, by these engines.
        processes: the two engines.

    Raises:
        UsageError: an engine cannot show what its steps compute.
        EngineFailedError: an engine raises an exception, dies or falls silent.
    """
    assert case.start is not None
    row = VERDICTS[case.kind]
    epoch = (row.failing_epoch(verdict) or 0) if row.has_first_node else 0
    sides = processes.actual, processes.expected
    try:
        with raised_by(processes):
            return traced(
                *sides, case.task, case.start, case.momentum_buffers, epoch, free=row.free
            )
    except NotTracedError as error:
        raise UsageError(
            f"there is no page for {str(error)!r}, which cannot show what its steps compute; "
            "minigrad, torch and their reproducible twins can: choose them with --engine and "
            "--against, or leave out --html"
        ) from error


@contextmanager
def raised_by(processes: Processes) -> Iterator[None]:
    """Turn what an engine raises, in its process, into an EngineFailedError; revive what died."""
    try:
        yield
    except (UsageError, EngineFailedError):
        raise
    except Exception as error:
        processes.revive()
        cause = engines_failure(error)
        if cause is None:
            raise
        raise EngineFailedError(f"{cause.said()}: so it cannot be judged on this case") from error


def document(replayed: Replayed) -> dict[str, Any]:
    """Return the verdict as the content of a report.json, on one network or on the probes alone."""
    case, verdict = replayed.case, replayed.verdict
    task, names = case.task, replayed.names
    settings = {"seed": task.seed, "dtype": task.dtype, "device": task.device}
    shared = {
        "passed": verdict["passed"] is True,
        "settings": {**settings, "engine": names[0], "against": names[1]},
    }
    if case.kind == PROBE:
        return {**shared, "architectures": [], "probes": verdict}
    entry = {
        "name": task.problem.name if task.problem else "-".join(map(str, task.sizes)),
        "sizes": list(task.sizes),
        "loss": task.loss,
        **({"file": task.problem.path} if task.problem else {}),
        "epochs": task.epochs,
        "learning_rate": task.learning_rate,
        "parameters": number_of_parameters(case),
        "passed": shared["passed"],
        **not_reached(**{case.kind: verdict}),
    }
    return {**shared, "architectures": [entry]}


def number_of_parameters(case: Case) -> int:
    """Return how many numbers are trained."""
    if case.start is None:
        return sum(map(math.prod, chain_shapes(case.task).values()))
    return sum(array.size for array in case.start.parameters.values())


def require_step(case: Case) -> None:
    """Check that there is a training step to be shown.

    Raises:
        UsageError: the case is of a kind that has none.
    """
    if case.drawn:
        what = f"runs the probe {case.probe!r}" if case.kind == PROBE else "draws a start"
        labels = [verdict.label for verdict in VERDICTS.values() if not verdict.drawn]
        raise UsageError(
            f"--html shows a training step, and this case has none: it {what}. Leave out --html to "
            f"read what it found; cases of {', '.join(labels)} have a page"
        )


def _match(case: Case, processes: Processes) -> Match:
    sides = processes.actual, processes.expected
    return Match(
        sides,
        case.task,
        case.start,
        case.momentum_buffers,
        processes.references,
        twins=sides if VERDICTS[case.kind].bits else None,
    )


def _verdict_on_probe(case: Case, processes: Processes) -> dict[str, Any]:
    assert case.probe is not None
    try:
        probe_named(case.probe)
    except KeyError:
        raise UsageError(
            f"unknown probe {case.probe!r}: this version of parity has {', '.join(WRITTEN)}, and "
            f"those made for {', '.join(FAMILIES)}"
        ) from None
    task, sides = case.task, (processes.actual, processes.expected)
    found = check_probes(*sides, task.dtype, task.seed, [case.probe])
    if found is None:
        raise UsageError("an engine has no namespace in torch's names, so it runs no probes")
    return found
