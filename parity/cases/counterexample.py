"""Counterexamples: the smallest case of a failed verdict, in a file that can be replayed."""

import functools
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from threadpoolctl import threadpool_limits

from parity.cases.case import PROBE, Case
from parity.cases.file import save
from parity.cases.replay import located, verdict_on
from parity.cases.shrink import MOST_SECONDS, MOST_TRIALS, shrink
from parity.cases.shrink_steps import steps, with_steps
from parity.checks.verdicts import VERDICTS
from parity.engines.protocol import Start, Task
from parity.engines.trainer import Progress, Trainer, ignore
from parity.errors import EngineFailedError, UsageError
from parity.processes import Processes


def add_counterexamples(
    entry: dict[str, Any],
    task: Task,
    start: Start,
    processes: Processes,
    folder: Path,
    progress: Callable[[str, int, int], object] = lambda kind, trials, most: None,
) -> None:
    """Save a case for every verdict on a network that failed, and name its file in the entry.

    `case` is the file's name. It is None if the verdict did not fail again from any start, which
    means that an engine is not repeatable. A final MSE that was judged by its bits has the case of
    `bitwise`, and `accuracy` that of a step that failed too.

    Args:
        entry: of the network, in the report.
        task, start: what was trained, and from where.
        processes: of the two engines, and of their reproducible twins if they have any.
        folder: where the files go.
        progress: called as `progress(kind, trials, most trials)` before each trial of shrinking.
    """
    for kind, row in VERDICTS.items():
        verdict = entry[kind]
        if verdict is None or verdict["passed"] is not False:
            continue
        if kind == "final_mse" and _bits_decided(entry):
            verdict["case"] = entry["bitwise"]["case"]
            continue
        if kind == "accuracy" and (shown := _step_case(entry)):
            verdict["case"] = shown
            continue
        pair = Processes(*processes.twins) if row.bits and processes.twins else processes
        case = Case(
            kind,
            (pair.actual.name, pair.expected.name),
            task if row.drawn else replace(task, data=None),  # whose numbers are in the start
            None if row.drawn else start,
            {},
            verdict,
            {"architecture": entry["name"], "sizes": entry["sizes"], "samples": task.samples},
            pair.environment(),
        )
        found = counterexample(case, pair, functools.partial(progress, kind))
        verdict["case"] = None
        if found is not None:
            name = f"case-{entry['name']}-{kind}.safetensors"
            save(found, folder / name)
            verdict["case"] = name
            if found.verdict.get("wrong"):  # the whole network may be too large for the witness
                verdict["wrong"] = found.verdict["wrong"]


def add_probe_counterexample(
    probes: dict[str, Any], seed: int, dtype: str, processes: Processes, folder: Path
) -> None:
    """Save the first probe that failed, and name its file in the entry; a probe is not shrunk.

    `case` is None if it did not fail again: what is wrong depends on what the engine did before.

    Args:
        probes: the entry of the report.
        seed, dtype: that the probes ran with.
        processes: of the two engines.
        folder: where the file goes.
    """
    probe = probes["failed"][0]["probe"]
    case = Case(
        PROBE,
        (processes.actual.name, processes.expected.name),
        Task((1, 1), 1, 0.0, 1, seed, dtype, "cpu"),
        None,
        {},
        {},
        {"architecture": probe},
        processes.environment(),
        probe,
    )
    probes["case"] = None
    verdict = _failing(case, processes)
    if verdict is not None:
        probes["case"] = f"case-{probe}-probe.safetensors"
        save(replace(case, verdict=verdict), folder / probes["case"])


def counterexample(
    case: Case,
    processes: Processes,
    progress: Progress = ignore,
    seconds: float = MOST_SECONDS,
) -> Case | None:
    """Return a small case that fails as this one did, None if it does not fail again.

    Args:
        case: what was trained, from the start to the end, and the verdict on it.
        processes: of the engines that it is of.
        progress: called before each trial.
        seconds: for shrinking.
    """
    trials = iter(range(MOST_TRIALS))

    def tried(candidate: Case) -> dict[str, Any]:
        progress(next(trials), MOST_TRIALS)
        return verdict_on(candidate, processes)

    with threadpool_limits(1):
        for candidate in _beginnings(case, processes):
            verdict = _failing(candidate, processes)
            if verdict is not None:
                found = shrink(replace(candidate, verdict=verdict), tried, seconds=seconds)
                return replace(found, verdict=located(found, found.verdict, processes))
    return None


def _failing(case: Case, processes: Processes) -> dict[str, Any] | None:
    """Return the verdict if the case fails; None if it passes, or an engine does something else."""
    try:
        verdict = verdict_on(case, processes)
    except (UsageError, EngineFailedError):
        return None
    return verdict if verdict["passed"] is False else None


def _bits_decided(entry: Mapping[str, Any]) -> bool:
    """Return whether `bitwise` judged the final MSE, as the run was not predictable to its end."""
    horizon, spread = entry["trajectory"]["horizon_epoch"], entry["final_mse"]["expected_spread"]
    return horizon is not None or not math.isfinite(spread)


def _step_case(entry: Mapping[str, Any]) -> str | None:
    """Return the case of a verdict on steps that failed and has one."""
    verdicts = (entry[kind] or {} for kind in ("gradients", "steps", "free_steps"))
    return next((verdict["case"] for verdict in verdicts if verdict.get("case")), None)


def _beginnings(case: Case, processes: Processes) -> Iterator[Case]:
    """Yield cases from which the verdict may fail, the shortest first."""
    if case.drawn:
        yield case
        return
    failing = VERDICTS[case.kind].failing_epoch(case.verdict)
    if failing is None:
        failing = steps(case) - 1
    for count in [2**i for i in range(failing.bit_length())] + [failing + 1]:
        if case.resumes:
            yield _from_epoch(case, processes, failing + 1 - count, count)
        else:
            yield with_steps(case, count)


def _from_epoch(case: Case, processes: Processes, epoch: int, count: int) -> Case:
    """Return the case with the state that an engine has before `epoch`: whose run it is of."""
    assert case.start is not None
    leading = processes.actual if VERDICTS[case.kind].free else processes.expected
    parameters, buffers = leading.call(Trainer.state_before, case.task, case.start, epoch)
    first = epoch if case.task.varies else 0
    return replace(
        case,
        task=case.task.of_steps(first, count),
        start=replace(case.start, parameters=parameters, step=first),
        momentum_buffers=buffers,
        origin={**case.origin, "epoch": epoch},
    )
