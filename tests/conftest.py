"""One thread a library: the tests run in as many processes as there are cores."""

import os
import signal
from collections.abc import Iterator

import pytest

from tests.minigrad.chromium import CHROMIUM, Chromium

for _variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")

# Where the tests run in the background of a shell, Ctrl-C is ignored, and the programs that they
# start and interrupt would ignore it, too.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_configure(config: pytest.Config) -> None:
    """Have `make fuzz` leave a record, and no other run of some of its tests."""
    if os.environ.get("MINIGRAD_FUZZ") == "record":
        from tests.minigrad.fuzz_record import FuzzRecord

        config.pluginmanager.register(FuzzRecord(config))


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Leave what is dear to `make fuzz`."""
    if item.get_closest_marker("dear") and "MINIGRAD_FUZZ" not in os.environ:
        pytest.skip("dear: make fuzz runs it")


@pytest.fixture(scope="session")
def running() -> Iterator[Chromium]:
    """Chromium, for all tests of a process."""
    if not CHROMIUM:
        pytest.skip("Chromium is not installed")
    with Chromium() as browser:
        yield browser


@pytest.fixture
def browser(running: Chromium) -> Chromium:
    """Chromium as it is when it is new."""
    running.complaints.clear()
    running.requests.clear()
    running.size(1200, 900)
    return running
