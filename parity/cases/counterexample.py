"""Counterexamples: of a verdict that failed, the smallest case, in a file to be replayed."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from threadpoolctl import threadpool_limits

from parity.cases.case import DRAWN, FROM_START, Case
from parity.cases.file import save
from parity.cases.judge import Engines, judge, locate_in
from parity.cases.reductions import epochs
from parity.cases.shrink import MOST_SECONDS, MOST_TRIALS, shrink
from parity.engines.protocol import Start, Task
from parity.engines.trainer import Trainer

KINDS = ("start", "gradients", "steps", "trajectory", "bitwise", "final_mse")

Progress = Callable[[str, int, int], object]
"""Called as `progress(kind, trials, most trials)` while a case is shrunk."""


def add_counterexamples(
    entry: dict[str, Any],
    task: Task,
    start: Start,
    engines: Engines,
    twins: Engines | None,
    folder: Path,
    progress: Progress = lambda kind, trials, most: None,
) -> None:
    """Save a case for every verdict on a network that failed, and name its file in the entry.

    `case` is the file's name; None if the verdict did not fail again, from wherever it was judged:
    an engine is not repeatable. A final MSE that was judged by its bits has the case of `bitwise`.

    Args:
        entry: of the network, in the report.
        task, start: what was trained, and from where.
        engines, twins: that judged: the two engines, and their reproducible twins if they have any.
        folder: where the files go.
        progress: called before each trial of shrinking.
    """
    for kind in KINDS:
        verdict = entry[kind]
        if verdict is None or verdict["passed"] is not False:
            continue
        if kind == "final_mse" and _bits_decided(entry):
            verdict["case"] = entry["bitwise"]["case"]
            continue
        judges = twins if kind == "bitwise" else engines
        assert judges is not None
        case = Case(
            kind,
            (judges.actual.name, judges.expected.name),
            task,
            None if kind in DRAWN else start,
            {},
            verdict,
            {"architecture": entry["name"], "sizes": entry["sizes"], "samples": task.samples},
            _environment(judges),
        )
        found = counterexample(case, judges, functools.partial(progress, kind))
        verdict["case"] = None
        if found is not None:
            name = f"case-{entry['name']}-{kind}.safetensors"
            save(found, folder / name)
            verdict["case"] = name


def add_probe_counterexample(
    probes: dict[str, Any], seed: int, dtype: str, engines: Engines, folder: Path
) -> None:
    """Save the first probe that failed, which is small as it is, and name its file in the entry.

    Args:
        probes: the entry of the report.
        seed, dtype: that the probes ran with.
        engines: the two.
        folder: where the file goes.
    """
    probe = probes["failed"][0]["probe"]
    case = Case(
        "probe",
        (engines.actual.name, engines.expected.name),
        Task((1, 1), 1, 0.0, 1, seed, dtype, "cpu"),
        None,
        {},
        {},
        {"architecture": probe},
        _environment(engines),
        probe,
    )
    probes["case"] = f"case-{probe}-probe.safetensors"
    save(replace(case, verdict=judge(case, engines)), folder / probes["case"])


def counterexample(
    case: Case,
    engines: Engines,
    progress: Callable[[int, int], object] = lambda trials, most: None,
    seconds: float = MOST_SECONDS,
) -> Case | None:
    """Return a small case that fails as this one did, None if it does not fail again.

    Args:
        case: what was trained, from the start to the end, and the verdict on it.
        engines: that judged it.
        progress: called before each trial.
        seconds: for shrinking.
    """
    trials = iter(range(MOST_TRIALS))

    def judged(candidate: Case) -> dict[str, Any]:
        progress(next(trials), MOST_TRIALS)
        return judge(candidate, engines)

    with threadpool_limits(1):
        for candidate in _beginnings(case, engines):
            verdict = judge(candidate, engines)
            if verdict["passed"] is False:
                found = shrink(replace(candidate, verdict=verdict), judged, seconds=seconds)
                return replace(found, verdict=locate_in(found, found.verdict, engines))
    return None


def _bits_decided(entry: Mapping[str, Any]) -> bool:
    """Whether the run was not predictable to its end, so that `bitwise` judged the final MSE."""
    horizon, spread = entry["trajectory"]["horizon_epoch"], entry["final_mse"]["expected_spread"]
    return horizon is not None or not math.isfinite(spread)


def _environment(engines: Engines) -> dict[str, Any]:
    return {
        "actual": engines.actual.call(Trainer.environment),
        "expected": engines.expected.call(Trainer.environment),
    }


def _beginnings(case: Case, engines: Engines) -> Iterator[Case]:
    """Yield cases from which the verdict may fail, the shortest first."""
    if case.kind in DRAWN:
        yield case
    else:
        failing = _first_failing_epoch(case)
        steps = [2**i for i in range(failing.bit_length())] + [failing + 1]
        for count in steps:
            if case.kind in FROM_START:
                yield epochs(case, count)
            else:
                yield _from_epoch(case, engines, failing + 1 - count, count)


def _first_failing_epoch(case: Case) -> int:
    """Return the epoch at which the verdict fails, as far as it says: else the last."""
    for name in ("first_failure", "first_difference", "worst_at"):
        place = case.verdict.get(name)
        if place is not None and "epoch" in place:
            epoch: int = place["epoch"]
            return epoch
    return case.task.epochs - 1


def _from_epoch(case: Case, engines: Engines, epoch: int, steps: int) -> Case:
    """Return the case with the state that the expected engine has before `epoch`."""
    assert case.start is not None
    parameters, buffers = engines.expected.call(Trainer.state_before, case.task, case.start, epoch)
    return replace(
        case,
        task=replace(case.task, epochs=steps),
        start=replace(case.start, parameters=parameters),
        momentum_buffers=buffers,
        origin={**case.origin, "epoch": epoch},
    )
