"""The engine stays small: what a reader of one training step reads; and frugal with memory."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

import minigrad
from minigrad.architectures import ARCHITECTURES, build, parabola

ROOT = Path(__file__).parents[2]
MINIGRAD = ROOT / "minigrad"

MEASURE = """
{imports}
torch.manual_seed(0)
sizes = (1, 64, 64, 512, 512, 64, 1)
layers = []
for fan_in, fan_out in zip(sizes, sizes[1:]):
    layers += [nn.Linear(fan_in, fan_out), nn.ReLU()]
model, loss_function = nn.Sequential(*layers[:-1]), nn.MSELoss()
x = torch.linspace(-5, 5, 10_000).reshape(-1, 1)
y = x**2
loss_function(model(x[:100]), y[:100]).backward()  # libraries take their own memory now
model.zero_grad()
def peak():
    # Of this process alone: ru_maxrss begins with the peak of the process that started it.
    status = open("/proc/self/status").read()
    return int(status.split("VmHWM:")[1].split()[0])


before = peak()
loss_function(model(x), y).backward()
print(peak() - before)
"""


def lines(*paths: Path) -> int:
    return sum(len(path.read_text(encoding="utf-8").splitlines()) for path in paths)


def files_entered(step: Callable[[], object]) -> list[Path]:
    """The file of minigrad of each Python function that `step` calls, in order."""
    entered = []

    def note(frame: FrameType, event: str, _: Any) -> None:
        if event == "call" and frame.f_code.co_filename.startswith(f"{MINIGRAD}{os.sep}"):
            entered.append(Path(frame.f_code.co_filename))

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        step()
    finally:
        sys.setprofile(before)
    return entered


def test_a_training_step_is_read_in_few_files() -> None:
    """Of `rightfit`. Its gradients are None at first, as zero_grad leaves them."""
    model, (x, y) = build(ARCHITECTURES["rightfit"].sizes), parabola()
    loss_fn, optimizer = minigrad.nn.MSELoss(), minigrad.optim.SGD(model.parameters(), lr=0.01)

    def step() -> None:
        loss_fn(model(x), y).backward()
        optimizer.step()

    step()
    optimizer.zero_grad()
    entered = files_entered(step)
    files = set(entered)
    assert len(files) <= 10
    assert 1 + sum(file != last for last, file in pairwise(entered)) <= 60
    assert lines(*files) <= 2000
    # The guide says how much a reader of one step reads, in hundreds of lines.
    guide = " ".join((MINIGRAD / "README.md").read_text(encoding="utf-8").split())
    said = re.findall(r"runs code from (\d+) files, of about ([\d,]+) lines", guide)
    assert said == [(str(len(files)), f"{round(lines(*files), -2):,}")]


def test_no_file_is_longer_than_300_lines() -> None:
    long = [str(path) for path in sorted(MINIGRAD.rglob("*.py")) if lines(path) > 300]
    assert long == []


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells the peak this way")
def test_peak_memory_is_at_most_1_2_times_torchs() -> None:
    """Of forward and backward of `overfit` on 10,000 points; about 0.7 times was measured."""

    def peak(imports: str) -> int:
        code = MEASURE.format(imports=imports)
        result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        assert result.returncode == 0, result.stderr
        return int(result.stdout)

    ours = peak("import minigrad as torch, minigrad.nn as nn")
    assert 0 < ours <= 1.2 * peak("import torch, torch.nn as nn")
