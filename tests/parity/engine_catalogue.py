"""The second chapter of the detection: engines, each judged by `parity run` as a stranger's is.

`stateful_engines` has right ones, and ones that are wrong between their steps; `odd_engines` ones
that are wrong, or right and awkward, at the edges of the protocol. `python -m
tests.parity.engine_catalogue` judges them all, and goes on where it was stopped.
"""

import json
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from parity.engines.protocol import Engine
from parity.engines.trainer import Progress, ignore
from parity.environment import environment
from parity.evidence.detection.trial import failed, named, run_in
from parity.evidence.store import Store
from parity.result_sources import RESULTS, code
from parity.source_digest import ROOT
from tests.parity import odd_engines as odd
from tests.parity import stateful_engines as stateful

RESULT = RESULTS / "engines.json"

OPTIONS: Mapping[type[Engine], Sequence[str]] = {
    odd.Hangs: ("--timeout", "3"),
    odd.NoBuffers: ("--momentum", "0.9", "--learning-rate", "0.002"),
    odd.Swallows: ("--learning-rate", "3"),
    odd.SwallowsParameters: ("--learning-rate", "3"),
    stateful.LosesItsMomentum: ("--momentum", "0.9", "--learning-rate", "0.002"),
}
"""What an engine needs to show its fault."""

ENGINES: Mapping[type[Engine], bool] = {
    **dict.fromkeys((*stateful.RIGHT, *odd.AWKWARD), True),
    **dict.fromkeys((*stateful.WRONG, stateful.LosesItsMomentum, *odd.WRONG), False),
}
"""Every engine, and whether it is right."""


def name(engine: type[Engine]) -> str:
    """Return what `--engine` is given."""
    return f"{engine.__module__}:{engine.__name__}"


def judge_engines(
    path: Path, engines: Mapping[type[Engine], bool] = ENGINES, progress: Progress = ignore
) -> dict[str, Any]:
    """Judge every engine against torch on `rightfit`, quickly; return the document.

    Args:
        path: of the file where results are kept as they come; what it has is not judged again.
        engines: what is judged, and whether it is right.
        progress: called as `progress(engines judged, engines)`.

    Raises:
        UsageError: the file is there, and holds something else or results of another code.
    """
    kept = Store(
        path,
        {"schema": 1, "code": code("engines"), "environment": environment()},
        name="engines",
        key=lambda row: row["engine"],
        order=map(name, engines),
        totals=totals,
    )
    for done, (engine, right) in enumerate(engines.items(), 1):
        if name(engine) not in kept:
            kept.add({"engine": name(engine), "right": right, **_judged(engine)})
        progress(done, len(engines))
    return kept.document()


def totals(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return how many wrong engines fail, and how many right ones pass."""
    wrong = [row for row in rows if not row["right"]]
    caught = sum(row["status"] == 1 for row in wrong)
    passing = sum(row["status"] == 0 for row in rows if row["right"])
    right = len(rows) - len(wrong)
    sides = ("actual", "expected")
    return {
        "passed": caught == len(wrong) and passing == right,
        "wrong": len(wrong),
        "caught": caught,
        "named": {side: sum(side in row["named"] for row in wrong) for side in sides},
        "correct": right,
        "false_alarms": right - passing,
    }


def _judged(engine: type[Engine]) -> dict[str, Any]:
    """Return the exit status, which verdicts failed and from which epoch, and what was said."""
    with tempfile.TemporaryDirectory(prefix="parity-engines-") as folder:
        options = ("--engine", name(engine), "--output", folder, *OPTIONS.get(engine, ()))
        ended = run_in(ROOT, "parity", "run", "rightfit", "--quick", *options)
        report = Path(folder) / "report.json"
        if not report.exists():
            said = ended.stderr.strip().replace(f"{ROOT}/", "")[-500:]
            nothing: dict[str, Any] = {"caught_by": [], "named": [], "epoch": None}
            return {"status": ended.returncode, **nothing, "said": said}
        document = json.loads(report.read_text(encoding="utf-8"))
    (network,) = document["architectures"]
    places = (
        verdict.get("first_failure") or {}
        for verdict in network.values()
        if isinstance(verdict, dict)
    )
    epochs = [place["epoch"] for place in places if "epoch" in place]
    failures = list(failed(document))
    return {
        "status": ended.returncode,
        "caught_by": list(dict.fromkeys(each["verdict"] for each in failures)),
        "named": sorted(named(failures)),
        "epoch": min(epochs, default=None),
        "said": (network.get("problem") or {}).get("did"),
    }


if __name__ == "__main__":
    judged = judge_engines(RESULT, progress=lambda done, of: print(f"{done} of {of}", flush=True))
    for row in judged["engines"]:
        if (row["status"] == 0) != row["right"]:
            print(f"{row['engine']}: status {row['status']}, {row['said'] or row['caught_by']}")
    print({name: judged[name] for name in totals([])})
    sys.exit(0 if judged["passed"] else 1)
