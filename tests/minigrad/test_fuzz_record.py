"""The record of `make fuzz`: what was tried is counted, and a failure is never a pass."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.minigrad.fuzz_record import FuzzRecord

PLUGIN = """
from pathlib import Path
from tests.minigrad.fuzz_record import FuzzRecord

def pytest_configure(config):
    config.pluginmanager.register(FuzzRecord(config, Path(__file__).parent / "fuzz.json"))
"""
TESTS = """
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

@settings(max_examples=17, database=None)
@given(st.integers())
def test_examples(number):
    pass

@pytest.mark.parametrize("seeds", [3, 4])
def test_graphs(seeds, record_property):
    record_property("graphs", seeds)
    record_property("valid_graphs", seeds - 1)

def test_failing():
    assert False
"""


@pytest.mark.dear
def test_record(tmp_path: Path) -> None:
    """From another process, as where the tests run in several."""
    (tmp_path / "conftest.py").write_text(PLUGIN)
    (tmp_path / "test_it.py").write_text(TESTS)
    finished = subprocess.run(
        [sys.executable, "-m", "pytest", "-n1", "-p", "no:cacheprovider", "test_it.py"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
    )
    assert finished.returncode == 1, finished.stdout
    record: dict[str, Any] = json.loads((tmp_path / "fuzz.json").read_text())
    assert record["passed"] is False
    assert record["tests"] == {"passed": 3, "failed": 1}
    assert record["failed"] == ["test_it.py::test_failing"]
    assert record["examples"] == 17
    assert (record["graphs"], record["valid_graphs"]) == (7, 5)
    assert record["duration_s"] > 0
    assert record["environment"]["versions"]["torch"]
    assert "numpy" in {entry["loaded_by"] for entry in record["environment"]["blas"]}


def test_only_the_exit_status_of_success_is_a_pass(pytestconfig: pytest.Config) -> None:
    record = FuzzRecord(pytestconfig)
    assert [record.record(status)["passed"] for status in (0, 1, 2, 5)] == [True, *[False] * 3]
