"""Engines set what is meant for a process of their own, which here is the tests'."""

import functools
import sys
from collections.abc import Iterator

import numpy as np
import pytest

from parity import processes
from parity.engines.process import EngineProcess
from parity.engines.registry import factory
from parity.engines.trainer import Trainer
from tests.parity.here import Here, few_probes


@pytest.fixture(autouse=True)
def unchanged_settings() -> Iterator[None]:
    with np.errstate():
        yield
    if torch := sys.modules.get("torch"):
        torch.use_deterministic_algorithms(False)


@pytest.fixture(scope="module", autouse=True)
def _few_probes() -> Iterator[None]:
    """Have the main job, where it runs in this process, judge few probes, and not for seconds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("parity.run.check_probes", few_probes)
        yield


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have `parity` run its engines in this process."""
    monkeypatch.setattr(processes, "EngineProcess", Here)


@pytest.fixture(scope="session")
def torch_process() -> EngineProcess[Trainer]:
    """The usual reference."""
    return Here(functools.partial(Trainer, factory("torch")), name="torch")


@pytest.fixture(scope="session")
def torch_twin(torch_process: EngineProcess[Trainer]) -> EngineProcess[Trainer]:
    """Its twin in reproducible arithmetic."""
    name = "torch-reproducible"
    return torch_process.beside(functools.partial(Trainer, factory(name)), name)
