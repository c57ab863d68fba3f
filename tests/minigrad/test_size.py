"""The engine stays small enough to be read in one sitting, and frugal with memory."""

import subprocess
import sys
from pathlib import Path

import pytest

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


def test_the_core_stays_under_1500_lines() -> None:
    """Rules, tape and tensor, and what a tensor has to do with the tape."""
    files = (
        "minigrad/tape.py",
        "minigrad/changes.py",
        "minigrad/tensor/__init__.py",
        "minigrad/tensor/gradients.py",
        "minigrad/tensor/backward.py",
    )
    assert lines(*MINIGRAD.glob("ops/*.py"), *(ROOT / name for name in files)) < 1500


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
