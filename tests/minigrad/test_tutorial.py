"""A notebook written for torch runs on minigrad with nothing but its imports changed."""

import contextlib
import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
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


SEEDS = range(8)
COMPARED = 3
"""Of these seeds, so many are stable enough to be compared."""
STABLE = 1e-4
"""Perturbed torch runs must agree to this, relative, where the final MSE is compared."""


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


@pytest.mark.parametrize("name", ["Underfit", "Rightfit"])
def test_it_ends_with_torchs_final_mse(name: str, notebooks: Any) -> None:
    (minigrad_scope, _), (torch_scope, _) = notebooks

    def final_mse(scope: dict[str, Any], seed: int, perturbation: int | None = None) -> float:
        x, y = scope["make_data"](seed)
        network = scope[name]()
        if perturbation is not None:
            perturb(network, perturbation)
        scope["train"](network, x, y)
        mse: float = scope["mean_squared_error"](y, network(x).detach())
        return mse

    compared = 0
    for seed in SEEDS:
        if compared == COMPARED:
            break
        expected = final_mse(torch_scope, seed)
        others = [final_mse(torch_scope, seed, perturbation) for perturbation in range(3)]
        if max(abs(other - expected) for other in others) <= STABLE * expected:
            compared += 1
            assert final_mse(minigrad_scope, seed) == pytest.approx(expected, rel=1e-3), seed
    assert compared == COMPARED


def perturb(network: torch.nn.Module, seed: int) -> None:
    """Move every parameter by one ulp, up or down at random."""
    rng = np.random.default_rng(seed)
    with torch.no_grad():
        for parameter in network.parameters():
            towards = rng.choice([-np.inf, np.inf], parameter.shape).astype(np.float32)
            moved = np.nextafter(parameter.numpy(), towards)
            parameter.copy_(torch.from_numpy(moved))


def test_perturbation_is_one_ulp() -> None:
    layer = torch.nn.Linear(3, 3)
    before = layer.weight.detach().numpy().copy()
    perturb(layer, 0)
    bits = before.view(np.int32) - layer.weight.detach().numpy().view(np.int32)
    assert set(np.abs(bits).ravel().tolist()) == {1}
