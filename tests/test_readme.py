"""What README shows works as written."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", README, flags=re.DOTALL)
COMMANDS = [
    line.removeprefix("$ ").partition("#")[0].strip()
    for kind, block in BLOCKS
    if kind == "console"
    for line in block.splitlines()
    if line.startswith("$ ")
]
SHORT = {"run": ["--epochs", "3"], "train": ["--epochs", "3"], "bench": ["--rounds", "6"]}


@pytest.mark.parametrize("command", sorted({c for c in COMMANDS if c.startswith("parity ")}))
def test_parity_commands_run(command: str, tmp_path: Path) -> None:
    _, name, *arguments = shlex.split(command)
    if name == "bench":
        arguments.append("underfit")  # the three networks would take minutes
    shortened = [*arguments, *SHORT.get(name, [])]
    full = [sys.executable, "-m", "parity", name, *shortened]
    result = subprocess.run(full, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("command", sorted({c for c in COMMANDS if c.startswith("make ")}))
def test_make_targets_exist(command: str) -> None:
    target = shlex.split(command)[1]
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)


@pytest.mark.parametrize("code", [block for kind, block in BLOCKS if kind == "python"])
def test_python_runs(code: str, tmp_path: Path) -> None:
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=120
    )
    assert result.returncode == 0, result.stderr
    for expected in re.findall(r"^# prints: (.*)$", code, flags=re.MULTILINE):
        assert expected in result.stdout


def test_links_and_the_picture_exist() -> None:
    targets = re.findall(r"\]\(([^)#]+)\)", README)
    assert targets
    for target in targets:
        assert target.startswith("http") or (ROOT / target).exists(), target


def test_mentioned_module_runs() -> None:
    (command,) = re.findall(r"`python (-m torch_impl [^`]*)`", README)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    result = subprocess.run(
        [sys.executable, *shlex.split(command)], env=environment, capture_output=True, text=True
    )
    assert result.returncode == 0
    assert "final MSE" in result.stdout
