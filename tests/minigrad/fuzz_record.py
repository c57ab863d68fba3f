"""What `make fuzz` leaves behind: how much was tried, on what, and whether all of it passed."""

import json
import re
import time
from collections import Counter
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

RESULT = Path(__file__).parents[2] / "parity/evidence/results/fuzz.json"
PASSING = re.compile(r"(\d+) passing")
COUNTS = ("examples", "graphs", "valid_graphs", "batches_of_programs", "crashes_of_torch")


class FuzzRecord:
    """A plugin of pytest that counts what the tests tried and writes it down at the end.

    Hypothesis tells its examples, `test_graphs` its graphs. Where the tests run in several
    processes, these are in what they report, and the process that they report to writes.
    """

    def __init__(self, config: pytest.Config, result: Path = RESULT) -> None:
        self._config = config
        self._result = result
        self._start = time.time()
        self._counts: Counter[str] = Counter()
        self._failed: list[str] = []

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Add the number of Hypothesis's examples to a test's report."""
        report = yield
        if report.when == "call":
            phases = PASSING.findall(getattr(item, "hypothesis_statistics", ""))
            report.user_properties.append(("examples", sum(map(int, phases))))
        return report

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Count a test, and what it tried."""
        if report.failed:
            self._failed.append(report.nodeid)
        elif report.when == "call":
            self._counts[report.outcome] += 1
        for name, value in report.user_properties:
            if report.when == "call" and name in COUNTS:
                assert isinstance(value, int)
                self._counts[name] += value

    def pytest_sessionfinish(self, exitstatus: int) -> None:
        """Write the record, unless this process reports to another."""
        if not hasattr(self._config, "workerinput"):
            from minigrad.files import write_whole

            self._result.parent.mkdir(parents=True, exist_ok=True)
            write_whole(self._result, json.dumps(self.record(exitstatus), indent=1) + "\n")

    def record(self, exitstatus: int) -> dict[str, Any]:
        """Return what is written."""
        # Loaded now if they were not before, so that the environment can tell of them.
        import numpy  # noqa: F401
        import torch  # noqa: F401

        from parity.environment import environment
        from parity.result_sources import code

        return {
            "code": code("fuzz"),
            "environment": environment(),
            "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self._start)),
            "duration_s": round(time.time() - self._start, 1),
            "arguments": list(self._config.invocation_params.args),
            "passed": exitstatus == 0,
            "tests": {"passed": self._counts["passed"], "failed": len(self._failed)},
            "failed": self._failed,
            **{name: self._counts[name] for name in COUNTS},
        }
