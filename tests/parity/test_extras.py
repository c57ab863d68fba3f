"""Commands without a package they need name the extra that brings it; packages are taken away."""

import email
import runpy
import sys
from importlib import metadata
from pathlib import Path

import pytest
from hatchling.builders.wheel import WheelBuilder

from parity.engines.registry import ENGINES, factory
from parity.errors import UsageError
from parity.extras import how_to_install, missing, needed_by
from parity.sweep.executors import DaskWorkers
from tests.parity.commands import parity

ROOT = Path(__file__).parents[2]
PARITY = "is not installed: pip install 'minigrad-parity[parity]'\n"


@pytest.fixture(autouse=True)
def as_declared(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is installed, the extras are those that are built."""
    wheel = WheelBuilder(str(ROOT))
    built = email.message_from_string(wheel.config.core_metadata_constructor(wheel.metadata))
    monkeypatch.setattr(metadata, "requires", lambda name: built.get_all("Requires-Dist"))


@pytest.fixture
def without(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """Without the package of the test, as to whoever imports it now."""
    monkeypatch.setitem(sys.modules, request.param, None)


@pytest.mark.parametrize(
    ("program", "file", "without"),
    [
        ("python -m parity.evidence", "parity/evidence/__main__.py", "typer"),
        ("python -m torch_impl", "torch_impl/__main__.py", "torch"),
    ],
    indirect=["without"],
)
@pytest.mark.usefixtures("without")
def test_programs(
    program: str, file: str, request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]
) -> None:
    package = request.node.callspec.params["without"]
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(ROOT / file), run_name="__main__")
    assert ended.value.code == 2
    assert capsys.readouterr().err == f"{program} needs {package}, which {PARITY}"


@pytest.mark.parametrize("without", ["typer"], indirect=True)
@pytest.mark.usefixtures("without")
def test_parity(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in [name for name in sys.modules if name.startswith("parity.cli")]:
        monkeypatch.delitem(sys.modules, module)
    assert parity("engines") == (2, "", f"parity needs typer, which {PARITY}")


@pytest.mark.parametrize("without", ["pytest"], indirect=True)
@pytest.mark.usefixtures("without")
def test_testing() -> None:
    said = r"parity\.testing needs pytest, .* pip install 'minigrad-parity\[testing\]'"
    with pytest.raises(ModuleNotFoundError, match=said):
        runpy.run_path(str(ROOT / "parity/testing.py"))


@pytest.mark.parametrize("without", ["distributed"], indirect=True)
@pytest.mark.usefixtures("without")
def test_a_cluster() -> None:
    with pytest.raises(UsageError, match=r"--scheduler needs distributed.*parity\[distributed\]'"):
        DaskWorkers("tcp://localhost:1")


@pytest.mark.parametrize("without", ["matplotlib"], indirect=True)
@pytest.mark.usefixtures("without", "here")
def test_what_is_loaded_late(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in [name for name in sys.modules if name.startswith("parity.report.figure")]:
        monkeypatch.delitem(sys.modules, module)
    ended = parity("train", "1-1-1", "--epochs", 1, "--engine", "minigrad", "--output", tmp_path)
    assert ended.returncode == 2
    assert ended.stderr.endswith(f"parity: this needs matplotlib, which {PARITY}")


@pytest.mark.parametrize(
    ("engine", "how"),
    [
        ("torch", "torch, which is not installed: pip install 'minigrad-parity[parity]'"),
        ("torch-compile", "g++, which is not installed: it is one of the system's packages"),
        ("jax", "jax, which is not installed: pip install 'minigrad-parity[peers]'"),
    ],
)
def test_engines(engine: str, how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    lacking = how.partition(",")[0]
    monkeypatch.setattr(type(ENGINES[engine]), "missing", lambda self: [lacking])
    with pytest.raises(UsageError) as raised:
        factory(engine)
    assert str(raised.value) == f"engine {engine!r} needs {how}"


def test_a_checkout_that_is_not_installed_names_the_package(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def nothing(name: str) -> None:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "requires", nothing)
    assert how_to_install("typer") == "pip install typer"


@pytest.mark.parametrize("name", ["parity.cli", "minigrad.tensor", "torch_impl", None])
def test_a_module_of_ours_is_not_to_be_installed(name: str | None) -> None:
    error = ModuleNotFoundError("it is not there", name=name)
    assert missing(error, "parity") is None
    with pytest.raises(ModuleNotFoundError), needed_by("parity"):
        raise error
