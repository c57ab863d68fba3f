"""The runs of a proof, several at the same time."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import wait as wait_for
from pathlib import Path
from threading import Lock
from typing import Any

from parity.cli.options import tasks
from parity.documents import to_json
from parity.engines.registry import factory
from parity.evidence.proof.record import Job, Proof
from parity.files import output_folder, write_whole
from parity.processes import Processes, Side, prepared
from parity.report.model import Report
from parity.run import run_on

ENGINES = ("minigrad", "torch")

FIELDS = {
    "start": (),
    "gradients": ("worst_budget_used", "aggregate_used", "kinks"),
    "steps": ("epochs", "worst_budget_used", "aggregate_used", "kinks"),
    "trajectory": ("horizon_epoch", "worst_envelope_used", "limit"),
    "bitwise": ("epochs", "final_mse_hex"),
    "final_mse": ("actual", "expected", "relative_difference", "expected_spread"),
}
"""What is kept of each verdict, beside whether it passed."""


def compact(document: Mapping[str, Any], time_s: float) -> dict[str, Any]:
    """Return what is kept of the content of a report.json."""
    probes = document["probes"]
    return {
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


def prove(
    proof: Proof,
    jobs: Sequence[Job],
    architectures: Sequence[str] | None,
    workers: int,
    failures: Path,
    said: Callable[[str], object] = print,
    device: str = "cpu",
) -> None:
    """Do the runs that are missing, several at the same time.

    Args:
        proof: what has been done; results are added to it.
        jobs: what is to be done.
        architectures: names or layer sizes; None for the three.
        workers: how many runs at the same time, each with processes of one thread.
        failures: the folder where failing runs leave their reports.
        said: called with a line for each run that is done.
        device: where torch computes.
    """
    waiting = deque(job for job in jobs if job not in proof.runs)
    actual, expected = (Side(name, factory(name)) for name in ENGINES)
    keeping = Lock()

    def work(processes: Processes) -> None:
        with processes:
            while waiting:
                job = waiting.popleft()
                settings = {**job._asdict(), "device": device}
                seed = str(job.seed)
                todo = tasks(architectures, seed, job.dtype, device, quick=job.quick)
                began_s = time.monotonic()
                report = run_on(processes, todo, settings, lambda *_: None)
                run = compact(report.document, time.monotonic() - began_s)
                with keeping:
                    if not run["passed"]:
                        _keep_report(report, failures / str(job).replace(" ", "-"))
                    proof.add(job, run, report.document["environment"])
                    result = "passed" if run["passed"] else "FAILED"
                    states = ", ".join(
                        str(entry["state"]["actual"]) for entry in run["architectures"]
                    )
                    done = f"[{len(proof.runs)}/{len(jobs)}]"
                    said(f"{done} {job}: {result} in {run['time_s']:.0f} s ({states})")

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


def _keep_report(report: Report, folder: Path) -> None:
    from parity.report.html import to_html  # and with it matplotlib, for failing runs alone

    output_folder(folder)
    write_whole(folder / "report.json", to_json(report.document))
    write_whole(folder / "report.html", to_html(report))
