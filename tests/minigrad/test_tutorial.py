"""A notebook written for torch runs on minigrad with nothing but its imports changed."""

import contextlib
import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import matplotlib as mpl
import pytest
import torch

TUTORIAL = (Path(__file__).parent / "tutorial.py").read_text("utf-8")
IMPORT = re.compile(r"^(import|from) torch\b.*$", re.MULTILINE)
MINIGRAD = IMPORT.sub(
    lambda match: (
        re.sub(r"\btorch\b", "minigrad", match[0])
        + (" as torch" if match[0] == "import torch" else "")
    ),
    TUTORIAL,
)


def run(source: str) -> tuple[dict[str, Any], str]:
    """Run the notebook; return its names and what it printed, memory addresses left out."""
    scope: dict[str, Any] = {"__name__": "tutorial"}
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(source, "tutorial.py", "exec"), scope)
    return scope, re.sub(r"0x[0-9a-f]+", "0x", printed.getvalue())


@pytest.fixture(scope="module")
def notebooks() -> Iterator[tuple[tuple[dict[str, Any], str], tuple[dict[str, Any], str]]]:
    mpl.use("Agg")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # several would be slower, on matrices so small
    yield run(MINIGRAD), run(TUTORIAL)
    torch.set_num_threads(threads)


def test_only_the_imports_are_changed() -> None:
    ours, theirs = MINIGRAD.splitlines(), TUTORIAL.splitlines()
    changed = [(a, b) for a, b in zip(ours, theirs, strict=True) if a != b]
    assert changed == [
        ("import minigrad as torch", "import torch"),
        ("import minigrad.nn as nn", "import torch.nn as nn"),
        ("import minigrad.nn.functional as F", "import torch.nn.functional as F"),
    ]


def test_it_prints_what_torch_prints(notebooks: Any) -> None:
    (scope, ours), (_, theirs) = notebooks
    assert scope["torch"].__name__ == "minigrad"
    assert type(scope["prediction"]).__module__ == "minigrad.tensor"
    assert len(theirs.splitlines()) > 100
    assert ours.splitlines() == theirs.splitlines()
