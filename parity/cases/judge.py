"""Judging a case: the verdict that it failed, reached again by engines that are running."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from parity.cases.case import Case
from parity.checks.bitwise import check_bitwise
from parity.checks.budget import step_budget
from parity.checks.final_mse import check_final_mse
from parity.checks.gradients import check_gradients
from parity.checks.locate import locate
from parity.checks.start import check_start
from parity.checks.steps import check_steps
from parity.checks.trajectory import check_trajectory, perturbed_runs
from parity.engines.process import ChildTraceback, EngineProcess
from parity.engines.trainer import Run, Trainer
from parity.errors import UsageError
from parity.probes import PROBES
from parity.probes.check import check_probes


class Engines(NamedTuple):
    """The running engines that judge.

    Attributes:
        actual, expected: processes of the two `Trainer`s, named as the engines are; for "bitwise"
            `DigestTrainer`s, of reproducible engines.
        perturbed: more processes of the expected engine, for the kinds that need perturbed runs.
    """

    actual: EngineProcess[Trainer]
    expected: EngineProcess[Trainer]
    perturbed: Sequence[EngineProcess[Trainer]] = ()


def judge(case: Case, engines: Engines) -> dict[str, Any]:
    """Return the verdict on a case, as report.json has it; "passed" may be None: not judged.

    Raises:
        UsageError: an engine cannot do what the case asks, or raises an exception.
    """
    with raised_by(engines):
        return _judge(case, engines)


def locate_in(case: Case, verdict: dict[str, Any], engines: Engines) -> dict[str, Any]:
    """Return a failing verdict with `first_node`, where the engines part, if that can be told."""
    if case.kind not in ("gradients", "steps", "bitwise") or verdict["passed"] is not False:
        return verdict
    assert case.start is not None
    try:
        with raised_by(engines):
            node = locate(
                *engines[:2],
                case.task,
                case.start,
                case.momentum_buffers,
                bits=case.kind == "bitwise",
            )
    except UsageError:  # an engine that cannot take the step: its gradients are judged without
        node = None
    return {**verdict, "first_node": node}


@contextmanager
def raised_by(engines: Engines) -> Iterator[None]:
    """Turn what an engine raises, in its process, into a UsageError; await what others do."""
    try:
        yield
    except UsageError:
        raise
    except Exception as error:
        if not isinstance(error.__cause__, ChildTraceback):
            raise
        for process in (*engines[:2], *engines.perturbed):
            process.settle()
        raise UsageError(
            f"an engine cannot be judged on this case, since it raised {type(error).__name__}: "
            f"{error}"
        ) from error


def _judge(case: Case, engines: Engines) -> dict[str, Any]:
    actual, expected, task = engines.actual, engines.expected, case.task
    if case.kind == "start":
        ours, theirs = (process.call(Trainer.draw, task) for process in engines[:2])
        if ours is None or theirs is None:
            raise UsageError("an engine draws no start of its own, so there is none to compare")
        return check_start(ours, theirs)
    if case.kind == "probe":
        if case.probe not in PROBES:
            raise UsageError(
                f"unknown probe {case.probe!r}: this version of parity has {', '.join(PROBES)}"
            )
        found = check_probes(actual, expected, task.dtype, task.seed, [case.probe])
        if found is None:
            raise UsageError("an engine has no namespace in torch's names, so it runs no probes")
        return found
    start = case.start
    assert start is not None
    if case.kind == "gradients":
        gradients = [p.call(Trainer.loss_and_gradients, task, start)[1] for p in engines[:2]]
        budget = step_budget(task, start)
        return check_gradients(gradients[0], gradients[1], budget.gradients, budget.kinks)
    if case.kind in ("steps", "bitwise"):
        check = check_steps if case.kind == "steps" else check_bitwise
        buffers = case.momentum_buffers or None
        return check(actual, expected, task, start, momentum_buffers=buffers)
    run, other = (_run(process.stream(Trainer.train, task, start)) for process in engines[:2])
    runs = perturbed_runs(engines.perturbed, task, start)
    trajectory = check_trajectory(run, other, runs, task.dtype)
    if case.kind == "trajectory":
        return trajectory
    return check_final_mse(run.final_mse, other.final_mse, trajectory)


def _run(epochs: Generator[int, None, Run]) -> Run:
    """Wait for a training run, and return what it left."""
    while True:
        try:
            next(epochs)
        except StopIteration as stop:
            found: Run = stop.value
            return found
