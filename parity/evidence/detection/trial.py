"""One trial: a copy of the tree, a defect in it, and what `parity run` finds there."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from parity.evidence.detection.defect import Defect
from parity.source_digest import ROOT

PACKAGES = ("minigrad", "torch_impl", "parity")

PATIENCE_S = 1800
"""A run that takes longer than this hangs."""

DIED = "parity run"
"""What caught a defect if `parity run` ended without a report."""
RAISED = "exception"
"""What caught a defect that made the engine raise."""


def copy_tree(target: Path, source: Path = ROOT) -> None:
    """Copy the three packages to a new folder, without compiled files and earlier results."""
    for package in PACKAGES:
        ignored = shutil.ignore_patterns("__pycache__", "results")
        shutil.copytree(source / package, target / package, ignore=ignored)


def trial(
    defect: Defect | None, tree: Path, seed: int, networks: Sequence[str] = ()
) -> dict[str, Any]:
    """Plant a defect in a tree and judge the tree.

    Args:
        defect: None for the tree as it is: the control.
        tree: a copy of its own, which is changed.
        seed: of the run.
        networks: what is trained, and options of `parity run`; by default the three networks.

    Returns:
        what was found, ready for JSON: `caught_by`, the verdicts that failed, and `located`, every
        place that one of them named; `problem`, what `parity run` said if it ended without a
        report; and under `practices` what the usual practice objects to.
    """
    if defect is not None:
        defect.plant(tree)
    dtype, engine = ("float32", "minigrad") if defect is None else (defect.dtype, defect.engine)
    options = ("--quick", "--engine", engine, "--seed", str(seed), "--dtype", dtype)
    ended = run_in(tree, "parity", "run", *networks, *options, "--output", "out")
    failures: list[dict[str, Any]] = [{"verdict": DIED}]
    problem: str | None = ended.stderr
    if ended.returncode in (0, 1):
        text = (tree / "out" / "report.json").read_text(encoding="utf-8")
        report = json.loads(text.replace(f"{tree.resolve()}/", ""))  # tracebacks name files
        assert report["passed"] == (ended.returncode == 0), "status and report differ"
        failures, problem = list(failed(report)), None
    return {
        "status": ended.returncode,
        "caught_by": list(dict.fromkeys(failure["verdict"] for failure in failures)),
        "located": failures,
        "problem": problem,
        "practices": practices(tree, seed, dtype),
    }


def practices(tree: Path, seed: int, dtype: str) -> dict[str, str | None]:
    """Return what each usual practice objects to in a tree, None where it passes.

    Raises:
        RuntimeError: the tree's own packages were not used, or the program died.
    """
    path = tree / "practices.json"
    arguments = ("--seed", str(seed), "--dtype", dtype, "--output", path.name)
    ended = run_in(tree, "parity.evidence.detection.usual_tests", *arguments)
    if ended.returncode != 0:
        raise RuntimeError(f"the usual practice could not be tried: {ended.stderr}")
    document = json.loads(path.read_text(encoding="utf-8"))
    if not all(Path(package).is_relative_to(tree.resolve()) for package in document["packages"]):
        raise RuntimeError(f"{document['packages']} were imported, and not those in {tree}")
    found: dict[str, str | None] = document["practices"]
    return found


def run_in(tree: Path, module: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a module of a tree's own packages, not of the installed ones, on one thread a process.

    Raises:
        KeyboardInterrupt: it was interrupted, as everything is that a terminal runs at Ctrl-C; what
            it found is no result.
    """
    environment = {
        **os.environ,
        # Before everything that is installed, the finder of an editable installation included.
        "PYTHONPATH": str(tree.resolve()),
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
    }
    ended = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        cwd=tree,
        env=environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    if ended.returncode in (128 + signal.SIGINT, -signal.SIGINT):
        raise KeyboardInterrupt
    return ended


def failed(report: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield every failing verdict of a report, where it located the failure, and who is wrong.

    Of a probe only the first place counts: what comes after it follows from it.
    """
    for entry in report["architectures"]:
        for name, verdict in entry.items():
            if name == "problem":
                yield {"verdict": RAISED, "where": entry["name"], "problem": verdict["traceback"]}
            elif isinstance(verdict, dict) and verdict.get("passed") is False:
                place = verdict.get("first_node") or verdict.get("first_difference") or {}
                wrong = verdict.get("wrong")
                yield {"verdict": name, "where": entry["name"], **_place({**place, "wrong": wrong})}
    probes = report.get("probes") or {"failed": []}
    seen = set()
    for failure in probes["failed"]:
        if failure["probe"] not in seen:
            seen.add(failure["probe"])
            yield {"verdict": "probes", "where": failure["probe"], **_place(failure)}


def _place(found: dict[str, Any]) -> dict[str, Any]:
    names = (
        "phase",
        "node",
        "operation",
        "tensor",
        "parameter",
        "rule",
        "line",
        "problem",
        "wrong",
    )
    return {name: found[name] for name in names if found.get(name) is not None}


def named(places: Iterable[Mapping[str, Any]]) -> set[str]:
    """Return which engines the failing verdicts say are wrong, of "actual" and "expected"."""
    said = {place.get("wrong") for place in places}
    return {side for side in ("actual", "expected") if said & {side, "both"}}
