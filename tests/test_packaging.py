"""What is built to be installed: the files of the wheel and of the source distribution."""

import re
import subprocess
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from hatchling.builders.sdist import SdistBuilder
from hatchling.builders.wheel import WheelBuilder

import minigrad

ROOT = Path(__file__).parents[1]
PACKAGES = ("minigrad", "torch_impl", "parity")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def files(builder: type[SdistBuilder] | type[WheelBuilder]) -> dict[str, int]:
    """The files that are built in, and their sizes."""
    found = builder(str(ROOT)).recurse_included_files()
    return {file.distribution_path: Path(file.path).stat().st_size for file in found}


def test_the_wheel_has_what_is_read_when_it_runs() -> None:
    found = files(WheelBuilder)
    kept = {
        path.relative_to(ROOT).as_posix()
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    guides = ("README.md", ".ipynb")
    left_out = {path for path in kept if path.endswith(guides) or "/results/" in path}
    assert set(found) == kept - left_out
    assert {"minigrad/py.typed", "parity/report/report.css"} <= found.keys()
    assert sum(found.values()) < 2.5e6


def test_the_source_distribution_has_the_repository() -> None:
    listed = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if listed.returncode:
        pytest.skip("this is no checkout of the repository")
    there = {name for name in listed.stdout.splitlines() if (ROOT / name).is_file()}
    assert there <= files(SdistBuilder).keys()


def test_the_version_is_the_distributions() -> None:
    assert minigrad.__version__ == metadata.version("minigrad-parity")


def test_every_requirement_has_a_lower_bound_and_a_pin() -> None:
    """`make lowest` installs the bounds, `make setup` the pins."""
    groups = [PROJECT["dependencies"], *PROJECT["optional-dependencies"].values()]
    required = {line for group in groups for line in group if "[" not in line}
    bounded = {line.partition(">=")[0] for line in required if ">=" in line}
    pins = (ROOT / "constraints.txt").read_text(encoding="utf-8").lower()
    assert len(bounded) == len(required)
    assert bounded <= set(re.findall(r"^(\S+)==\S+$", pins, flags=re.MULTILINE))
