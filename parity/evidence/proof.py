"""The proof that correct engines do not fail: all verdicts, at many seeds, in full and quickly.

    python -m parity.evidence proof

Every run is what `parity run` does: the three architectures and the probes, minigrad against torch.
Results are kept as they come, and a proof that was stopped goes on where it was. No seed is chosen:
they are the first ones.
"""

import json
import time
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import wait as wait_for
from pathlib import Path
from typing import Any, NamedTuple

from minigrad.files import write_whole
from parity.cli.options import Training, tasks
from parity.documents import to_json
from parity.engines.registry import factory
from parity.engines.trainer import Progress
from parity.environment import environment
from parity.evidence.store import Store
from parity.files import output_folder
from parity.processes import Processes, Side, prepared
from parity.report.html import to_html
from parity.result_sources import code
from parity.run import run_on

ENGINES = ("minigrad", "torch")
DTYPES = ("float32", "float64")

FIELDS = {
    "start": (),
    "gradients": ("worst_budget_used", "aggregate_used", "kinks"),
    "steps": ("epochs", "worst_budget_used", "aggregate_used", "kinks"),
    "free_steps": ("epochs", "worst_budget_used", "aggregate_used", "kinks"),
    "accuracy": ("worst_ratio",),
    "trajectory": ("horizon_epoch", "worst_envelope_used", "limit"),
    "bitwise": ("epochs", "final_mse_hex"),
    "final_mse": ("actual", "expected", "relative_difference", "expected_spread"),
}
"""What is kept of each verdict, beside whether it passed."""


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


def job_of(run: Mapping[str, Any]) -> Job:
    """Return the job that a run did."""
    return Job(run["quick"], run["dtype"], run["seed"])


def planned(full: int, quick: int) -> list[Job]:
    """Return all runs, the short ones first, so that what fails shows early."""
    return [
        Job(is_quick, dtype, seed)
        for is_quick, seeds in ((True, quick), (False, full))
        for dtype in DTYPES
        for seed in range(seeds)
    ]


def kept(path: Path, settings: Mapping[str, Any], jobs: Sequence[Job]) -> Store:
    """Return what has been proved so far, in a file.

    Raises:
        UsageError: the file is there, and is no proof or one of other settings or another code.
    """
    common = {
        "schema": 1,
        "settings": dict(settings),
        "versions": environment()["versions"],
        "code": code("proof"),
    }
    return Store(
        path,
        common,
        name="runs",
        key=job_of,
        order=jobs,
        totals=lambda runs: totals(runs, len(jobs)),
    )


def totals(runs: Sequence[Mapping[str, Any]], planned: int) -> dict[str, Any]:
    """Return totals of the runs: how many there are, which failed, died and diverged."""
    failed = [str(job_of(run)) for run in runs if not run["passed"]]
    states = Counter(
        (entry["name"], side, state)
        for run in runs
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
        "time_s": sum(run["time_s"] for run in runs),
    }


def compact(document: Mapping[str, Any], time_s: float) -> dict[str, Any]:
    """Return what is kept of the content of a report.json, ready for JSON."""
    probes = document["probes"]
    kept = {
        **{name: document["settings"][name] for name in ("quick", "dtype", "seed")},
        "passed": document["passed"],
        "time_s": round(time_s, 1),
        "probes": probes and {n: probes[n] for n in ("passed", "probes", "worst_budget_used")},
        "architectures": [
            {
                "name": entry["name"],
                "passed": entry["passed"],
                "state": entry["state"],
                **({"problem": entry["problem"]["error"]} if "problem" in entry else {}),
                **{
                    name: entry[name]
                    and {field: entry[name].get(field) for field in ("passed", *fields)}
                    for name, fields in FIELDS.items()
                },
            }
            for entry in document["architectures"]
        ],
    }
    plain: dict[str, Any] = json.loads(to_json(kept))
    return plain


def prove(
    found: Store,
    jobs: Sequence[Job],
    architectures: Sequence[str] | None,
    workers: int,
    failures: Path,
    progress: Progress,
    device: str = "cpu",
) -> None:
    """Do the runs that are missing, several at the same time, and print a line for each.

    Args:
        found: what has been done; runs are added to it.
        jobs: what is to be done.
        architectures: names or layer sizes; None for the three.
        workers: how many runs at the same time, each with processes of one thread.
        failures: the folder where failing runs leave their reports.
        progress: called as `progress(runs done, runs)` whenever a run has ended.
        device: where torch computes.
    """
    waiting = deque(job for job in jobs if job not in found)
    actual, expected = (Side(name, factory(name)) for name in ENGINES)

    def work(processes: Processes) -> None:
        with processes:
            while waiting:
                job = waiting.popleft()
                settings = {**job._asdict(), "device": device}
                chosen: dict[str, Any] = {"dtype": job.dtype, "device": device}
                training = Training(**chosen)
                todo = tasks(architectures, str(job.seed), training, quick=job.quick)
                began_s = time.monotonic()
                report = run_on(processes, todo, settings, lambda *_: None)
                run = compact(report.document, time.monotonic() - began_s)
                if not run["passed"]:
                    folder = output_folder(failures / str(job).replace(" ", "-"))
                    write_whole(folder / "report.json", to_json(report.document))
                    write_whole(folder / "report.html", to_html(report))
                done = found.add(run, environment=report.document["environment"])
                progress(done, len(jobs))
                result = "passed" if run["passed"] else "FAILED"
                states = ", ".join(str(entry["state"]["actual"]) for entry in run["architectures"])
                said = f"[{done}/{len(jobs)}] {job}: {result} in {run['time_s']:.0f} s ({states})"
                print(said, flush=True)

    sets = [prepared(actual, expected, cores=1) for _ in range(min(workers, len(waiting)))]
    with ThreadPoolExecutor(max(len(sets), 1)) as pool:
        futures = [pool.submit(work, processes) for processes in sets]
        try:
            wait_for(futures, return_when="FIRST_EXCEPTION")
        except KeyboardInterrupt:
            for processes in sets:  # or their threads would go on to the end of the run
                processes.kill()
            raise
        finally:
            waiting.clear()
    for future in futures:
        future.result()
