"""The trials: all of them made, and what they found as one document."""

import dataclasses
import tempfile
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

from parity.engines.trainer import Progress, ignore
from parity.environment import environment
from parity.evidence.detection.defect import Defect
from parity.evidence.detection.trial import DIED, RAISED, copy_tree, named, trial
from parity.evidence.detection.usual_tests import PRACTICES
from parity.evidence.store import Store
from parity.result_sources import code, trial_code


def detect(
    defects: Sequence[Defect],
    path: Path,
    *,
    seed: int,
    controls: int,
    workers: int,
    progress: Progress = ignore,
) -> dict[str, Any]:
    """Try every defect, and the tree without any; return the document that `detection.json` is.

    The tree is copied at the start, and every trial has a copy of that copy: what is edited in the
    meantime changes nothing. A trial of the same defect, seed and code that the file has is not
    made again.

    Args:
        defects: what to plant, each in a tree of its own.
        path: of the file where results are kept as they come, each as `found` by its `key`.
        seed: of the runs with a defect.
        controls: how many runs are made without a defect, at the seeds from 0 on; a failure of
            one of these is a false alarm.
        workers: how many trials are made at the same time.
        progress: called as `progress(trials done, trials)` whenever a trial has ended.

    Raises:
        UsageError: the file is there, and holds something else.
    """
    trials: dict[str, tuple[Defect | None, int]] = {
        **{control(number): (None, number) for number in range(controls)},
        **{defect.name: (defect, seed) for defect in defects},
    }
    with tempfile.TemporaryDirectory(prefix="parity-detection-") as temporary:
        base = Path(temporary) / "base"
        copy_tree(base)
        kept = Store(path, {})

        def tried(defect: Defect | None, seed: int) -> Any:
            """Return the result of a trial, made in a tree of its own if it is not there yet."""
            engine = "minigrad" if defect is None else defect.engine
            key = repr((defect, seed, trial_code(engine, base)))
            if key not in kept:
                with tempfile.TemporaryDirectory(dir=temporary) as own:
                    copy_tree(Path(own), base)
                    kept.add({"key": key, "found": trial(defect, Path(own), seed)})
            return kept[key]["found"]

        found: dict[str, Any] = {}
        with ThreadPoolExecutor(workers) as pool:
            futures = {pool.submit(tried, *each): name for name, each in trials.items()}
            try:
                for future in as_completed(futures):
                    found[futures[future]] = future.result()
                    progress(len(found), len(trials))
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
        return {"code": code("detection", base), **document(defects, found, seed, controls)}


def control(seed: int) -> str:
    """Return the name of the trial without a defect."""
    return f"control-{seed}"


def document(
    defects: Sequence[Defect], found: Mapping[str, Any], seed: int, controls: int
) -> dict[str, Any]:
    """Return what the trials found as one document."""
    trials = [
        {
            **dataclasses.asdict(defect),
            "node": list(defect.nodes),
            **found[defect.name],
            **verdict(defect, found[defect.name]),
        }
        for defect in defects
    ]
    correct = [{"seed": number, **found[control(number)]} for number in range(controls)]
    judges: dict[str, Callable[[Mapping[str, Any]], bool]] = {
        "parity": lambda result: result["status"] != 0,
        **{
            name: lambda result, name=name: result["practices"][name] is not None  # type: ignore[misc]
            for name in PRACTICES
        },
    }
    counts = {
        name: {"caught": sum(map(objects, trials)), "false_alarms": sum(map(objects, correct))}
        for name, objects in judges.items()
    }
    located = sum(entry["right"] for entry in trials)
    return {
        "schema": 1,
        "passed": located == len(trials) and counts["parity"]["false_alarms"] == 0,
        "environment": environment(),
        "seed": seed,
        "defects": len(trials),
        "located": located,
        "named": {
            name: sum(side in named(trial["located"]) for trial in trials)
            for name, side in (("minigrad", "actual"), ("torch", "expected"))
        },
        "correct_runs": controls,
        "judges": counts,
        "trials": trials,
        "controls": correct,
    }


def verdict(defect: Defect, result: Mapping[str, Any]) -> dict[str, Any]:
    """Return whether a defect was caught, and whether every verdict located it rightly.

    A verdict on a network names one place. The probes name one for each probe that failed; of
    these the first counts, the simplest. `agreeing` is the share of all named places that are
    right. A run that ended without a report has caught the defect as well, and has located it if
    its error message names the function. An exception is raised where something was noticed, not
    where it went wrong: its traceback counts if it names the function; if not, the other places
    decide.
    """
    if result["caught_by"] == [DIED]:
        named = _raised_within(defect, result["problem"])
        return {"caught": True, "right": named, "agreeing": float(named)}
    places = [place for place in result["located"] if _names(place) or _names_raised(defect, place)]
    right = [
        _names_raised(defect, place) or not _names(place).isdisjoint(defect.nodes)
        for place in places
    ]
    first_probe = next((i for i, p in enumerate(places) if p["verdict"] == "probes"), len(places))
    return {
        "caught": result["status"] != 0,
        "right": bool(places) and all(right[: first_probe + 1]),
        "agreeing": sum(right) / len(right) if right else 0.0,
    }


def _raised_within(defect: Defect, traceback: str) -> bool:
    return any(f"in {name}\n" in traceback for name in defect.nodes)


def _names_raised(defect: Defect, place: Mapping[str, Any]) -> bool:
    return place["verdict"] == RAISED and _raised_within(defect, place["problem"])


def _names(place: Mapping[str, Any]) -> set[str]:
    """Return the names of a place that a defect may have, none if it has no name."""
    if place["verdict"] == "start":
        return {"start"}
    if place["verdict"] == "probes":
        return {place["where"], place.get("rule", "")}
    return {place["rule"]} if "rule" in place else set()
