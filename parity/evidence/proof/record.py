"""What has been proved so far: a file that appears whole, and resumes."""

from __future__ import annotations

import ast
import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from parity.documents import to_json
from parity.environment import environment
from parity.errors import UsageError
from parity.files import write_whole

DTYPES = ("float32", "float64")


PROVED = (
    "minigrad/**/*.py",
    "torch_impl/**/*.py",
    "parity/checks/*.py",
    "parity/engines/*.py",
    "parity/probes/**/*.py",
    "parity/engines/exchange.py",
    "parity/cli/options.py",
    "parity/processes.py",
    "parity/documents.py",
    "parity/run.py",
)
"""The sources that decide what a run finds: the engines, and who judges them."""
NOT_PROVED = (
    "minigrad/capture",
    "minigrad/ensembles.py",
    "minigrad/explain",
)
"""These are not used by `parity run` of minigrad against torch, where nothing is captured."""


class Job(NamedTuple):
    """One run.

    Attributes:
        quick: whether with few epochs.
        dtype, seed: of the run.
    """

    quick: bool
    dtype: str
    seed: int

    def __str__(self) -> str:
        return f"{'quick' if self.quick else 'full'} {self.dtype} seed {self.seed}"


def planned(full: int, quick: int) -> list[Job]:
    """Return all runs, the short ones first: what fails shows early."""
    return [
        Job(is_quick, dtype, seed)
        for is_quick, seeds in ((True, quick), (False, full))
        for dtype in DTYPES
        for seed in range(seeds)
    ]


class Proof:
    """What has been run, in a file that appears whole.

    Raises:
        UsageError: the file is there, and is no proof or one of other settings or another code.
    """

    def __init__(self, path: Path, settings: Mapping[str, Any], jobs: Sequence[Job]) -> None:
        self._path, self._jobs = path, jobs
        self._same = {
            "settings": dict(settings),
            "versions": environment()["versions"],
            "code": code(),
        }
        self.runs: dict[Job, dict[str, Any]] = {}
        if not path.exists():
            return
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            for name, value in self._same.items():
                if content[name] != value:
                    raise UsageError(
                        f"{path} is a proof with {name} {content[name]}, and now it is {value}: "
                        "remove the file to start anew, or choose another --output"
                    )
            for run in content["runs"]:
                self.runs[Job(run["quick"], run["dtype"], run["seed"])] = run
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise UsageError(
                f"{path} holds no proof ({error!r}): remove it, or choose another --output"
            ) from error

    def add(self, job: Job, run: dict[str, Any], environment: Mapping[str, Any]) -> None:
        """Keep a run, and write the file: runs in the order planned, each a line."""
        self.runs[job] = run
        self.runs = {job: self.runs[job] for job in self._jobs if job in self.runs}
        head = to_json(
            {
                "schema": 1,
                **totals(self.runs, len(self._jobs)),
                **self._same,
                "environment": environment,
                "runs": [],
            }
        )
        lines = ",\n    ".join(json.dumps(json.loads(to_json(run))) for run in self.runs.values())
        write_whole(self._path, head.replace('"runs": []', f'"runs": [\n    {lines}\n  ]'))


def totals(runs: Mapping[Job, Mapping[str, Any]], planned: int) -> dict[str, Any]:
    """Return what the runs come to: how many there are, which failed, died and diverged."""
    failed = [str(job) for job, run in runs.items() if not run["passed"]]
    states = Counter(
        (entry["name"], side, state)
        for run in runs.values()
        for entry in run["architectures"]
        for side, state in entry["state"].items()
    )
    return {
        "passed": len(runs) == planned and not failed,
        "planned": planned,
        "done": len(runs),
        "failed": failed,
        "states": [
            {"architecture": name, "side": side, "state": state, "runs": count}
            for (name, side, state), count in sorted(states.items(), key=str)
        ],
        "time_s": sum(run["time_s"] for run in runs.values()),
    }


def proved(root: Path) -> list[Path]:
    """Return the files that a proof is a proof of."""
    return sorted(
        file
        for pattern in PROVED
        for file in root.glob(pattern)
        if not any(file.is_relative_to(root / folder) for folder in NOT_PROVED)
    )


def code(root: Path = Path(__file__).parents[3]) -> str:
    """Return a digest of the sources that decide; comments and docstrings do not count."""
    found = hashlib.sha256()
    for file in proved(root):
        tree = ast.parse(file.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            body = getattr(node, "body", None)
            if isinstance(body, list):
                node.body = [part for part in body if not _is_text(part)]  # type: ignore[attr-defined]
        found.update(f"{file.relative_to(root)}\n{ast.dump(tree)}\n".encode())
    return found.hexdigest()[:16]


def _is_text(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )
