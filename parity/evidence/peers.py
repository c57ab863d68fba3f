"""The other engines judged: what `parity run` says of each, kept, and shown in parity/README.md.

A peer is judged on the networks whose training takes it at most two minutes; of the others the
reason is kept. Its failures leave their counterexamples in `peers/`, beside the file of results.
"""

import functools
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from minigrad.architectures import Architecture
from parity import tables
from parity.bench.rounds import load
from parity.bench.timed import TimedEngine
from parity.checks.steps import Judge
from parity.checks.verdicts import VERDICTS
from parity.engines.process import EngineProcess
from parity.engines.protocol import Start, Task
from parity.engines.registry import factory
from parity.evidence.proof import FIELDS, compact
from parity.evidence.store import Store
from parity.files import output_folder
from parity.processes import Side
from parity.result_sources import code
from parity.run import run

PEERS = ("jax", "jax-scan", "autograd", "mygrad", "tinygrad", "micrograd")
"""jax-scan is judged by the step that its loop repeats, which is that of jax-vmap, too."""
AGAINST = "torch"


def judge_peer(
    name: str, tasks: Sequence[tuple[Architecture, Task]], cases: Path
) -> dict[str, Any]:
    """Judge an engine on every network that it trains in two minutes.

    Returns:
        `engine`; `networks`, for each that was judged what is kept of its verdicts and, of those
        that failed, the `cases` saved in a folder of the engine's; `left_out`, a reason for each
        other network.
    """
    networks, left_out = [], {}
    shutil.rmtree(cases / name.replace(":", "."), ignore_errors=True)  # of an earlier state
    environment: dict[str, Any] | None = None
    for architecture, task in tasks:
        if reason := too_slow(name, task):
            left_out[architecture.name] = reason
            continue
        sides = Side(name, factory(name)), Side(AGAINST, factory(AGAINST))
        settings = {"seed": task.seed, "dtype": task.dtype, "device": task.device, "quick": False}
        folder = output_folder(cases / name.replace(":", "."))
        report = run([(architecture, task)], *sides, settings, lambda *_: None, folder).document
        (entry,) = report["architectures"]
        (kept,) = compact(report, 0.0)["architectures"]
        saved = {v: entry[v]["case"] for v in FIELDS if entry[v] and entry[v].get("case")}
        networks.append({**kept, "not_judged": entry["not_judged"], "cases": saved})
        environment = report["environment"]["actual"]
        if not any(folder.iterdir()):
            folder.rmdir()
    return {
        "engine": name,
        "networks": networks,
        "left_out": left_out,
        "versions": environment and environment["versions"],
    }


def too_slow(name: str, task: Task) -> str | None:
    """Return why an engine is not judged on a network; None if it is fast enough."""
    start: Start = Judge().draw(task)
    with EngineProcess(functools.partial(TimedEngine, factory(name)), 1, name) as process:
        try:
            found = load(process, task, start)
        except Exception:  # the run that judges it meets the same, and tells it
            return None
    return found if isinstance(found, str) else None


def kept(path: Path, seed: int) -> Store:
    """Return what was found of the peers at a seed, in a file: `peers.json`."""
    common = {"schema": 1, "code": code("peers"), "against": AGAINST, "seed": seed}
    return Store(path, common, name="peers", key=lambda peer: peer["engine"], order=PEERS)


def markdown(found: Mapping[str, Any]) -> str:
    """Return the table of parity/README.md: engines by networks, with the reasons below it."""
    names = list(dict.fromkeys(n for peer in found["peers"] for n in _networks(peer)))
    rows = []
    for peer in found["peers"]:
        networks = _networks(peer)
        rows.append([f"`{peer['engine']}`", *(_cell(networks[name]) for name in names)])
    table = tables.markdown(["engine", *names], rows)
    reasons = "".join(
        f"`{peer['engine']}` is not judged on {name}: {reason}.\n"
        for peer in found["peers"]
        for name, reason in peer["left_out"].items()
    )
    return f"{table}\n{reasons}" if reasons else table


def _networks(peer: Mapping[str, Any]) -> dict[str, Mapping[str, Any] | str]:
    judged = {entry["name"]: entry for entry in peer["networks"]}
    order = [*judged, *peer["left_out"]]
    return {name: judged.get(name) or peer["left_out"][name] for name in order}


def _cell(entry: Mapping[str, Any] | str) -> str:
    """Return what failed, or how many verdicts passed and the largest share of a budget used."""
    if isinstance(entry, str):
        return "–"
    if entry.get("problem"):
        return f"**raises {entry['problem'].partition(':')[0]}**"
    found = {name: entry[name] for name in VERDICTS if entry.get(name)}  # older ones lack some
    reached = {n: v["passed"] for n, v in found.items() if v["passed"] is not None}
    if failed := [name.replace("_", " ") for name, passed in reached.items() if not passed]:
        return f"**fails {', '.join(failed)}**"
    used = max(v["worst_budget_used"] for v in found.values() if "worst_budget_used" in v)
    return f"{len(reached)} of {len(reached)} pass, {used:.2f}"
