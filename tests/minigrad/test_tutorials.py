"""Tutorials written for torch run on minigrad with nothing but their imports changed.

Each keeps in `history` what it has after every step. minigrad must agree with torch as closely as
torch agrees with itself where data is moved by one unit in the last place.
"""

import contextlib
import io
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
import torch

FOLDER = Path(__file__).parent / "tutorials"
IMPORTS = re.compile(r"^(?:import|from) torch\b.*$", re.MULTILINE)
PERTURBED = 3
"""Runs of torch from data that is moved."""
WITHIN = 20
"""Times the largest deviation of these runs so far, which is at least `LEAST` roundoffs."""
LEAST = 4
STABLE = 1e-3
"""A tutorial whose runs of torch part by more than this would show nothing."""
MOVED = ("from_numpy", "linspace", "randn", "tensor")

History = list[list[Any]]


def for_minigrad(source: str) -> str:
    """Return a tutorial with its imports changed."""

    def changed(found: re.Match[str]) -> str:
        alias = " as torch" if found[0] == "import torch" else ""
        return re.sub(r"\btorch\b", "minigrad", found[0]) + alias

    return IMPORTS.sub(changed, source)


def run(source: str) -> tuple[History, str]:
    """Run a tutorial; return its history and what it printed, without addresses."""
    scope: dict[str, Any] = {"__name__": "tutorial"}
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(source, "tutorial", "exec"), scope)
    steps = [[array(value) for value in step] for step in scope["history"]]
    return steps, re.sub(r"0x[0-9a-f]+", "0x", printed.getvalue())


def array(value: Any) -> Any:
    return np.array(value.detach().numpy() if hasattr(value, "detach") else value)


@contextlib.contextmanager
def moved(seed: int) -> Iterator[None]:
    """Have torch make data, and weights by hand, that are one unit in the last place away."""
    rng = np.random.default_rng(seed)

    def nudged(make: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, requires_grad: bool = False, **options: Any) -> Any:
            values = make(*arguments, **options)
            if not values.is_floating_point():
                return values
            towards = torch.as_tensor(rng.choice([-np.inf, np.inf], tuple(values.shape)))
            return torch.nextafter(values, towards.to(values.dtype)).requires_grad_(requires_grad)

        return call

    with pytest.MonkeyPatch.context() as patch:
        for name in MOVED:
            patch.setattr(torch, name, nudged(getattr(torch, name)))
        yield


def deviation(actual: Any, expected: Any) -> float:
    """Return by how much the largest of two arrays' elements differ, relative to the largest."""
    assert (actual.shape, actual.dtype) == (expected.shape, expected.dtype)
    wide = actual.astype(np.float64), expected.astype(np.float64)
    largest = float(np.max(np.abs(wide[1]), initial=1e-30))
    return float(np.max(np.abs(wide[0] - wide[1]), initial=0)) / largest


def first_difference(actual: History, expected: History, others: list[History]) -> str | None:
    """Return where a history leaves another by more than moved runs do; None if nowhere."""
    assert {len(expected)} == {len(history) for history in (actual, *others)}
    envelope = 0.0
    for i, step in enumerate(expected):
        assert len(step) == len(actual[i])
        # A Python number is a tensor's, of the coarsest dtype that the step has.
        unit = max(float(np.finfo(v.dtype).eps) / 2 for v in step if v.dtype.kind == "f")
        for j, value in enumerate(step):
            moved_by = [deviation(other[i][j], value) for other in others]
            envelope = max(envelope, *moved_by)
            bound = WITHIN * max(envelope, LEAST * unit)
            if not deviation(actual[i][j], value) <= bound:
                return f"step {i}, value {j}: {actual[i][j]} and on torch {value}, within {bound:g}"
    assert envelope < STABLE, "the tutorial is too long: it shows nothing"
    return None


mpl.use("Agg")
TUTORIALS = sorted(path.name for path in FOLDER.glob("*.py"))


@pytest.mark.parametrize("name", TUTORIALS)
def test_every_step_and_all_that_is_printed_is_torchs(name: str) -> None:
    source = (FOLDER / name).read_text("utf-8")
    expected, theirs = run(source)
    actual, ours = run(for_minigrad(source))
    others = []
    for seed in range(PERTURBED):
        with moved(seed):
            others.append(run(source)[0])
    assert len(expected) >= 6
    assert first_difference(actual, expected, others) is None
    assert ours.splitlines() == theirs.splitlines()


def test_a_wrong_step_is_found() -> None:
    source = (FOLDER / "polynomial.py").read_text("utf-8")
    expected, _ = run(source)
    with moved(0):
        others = [run(source)[0]]
    assert first_difference(run(for_minigrad(source))[0], expected, others) is None
    for right, wrong in (
        ("lr=0.1", "lr=0.1001"),
        ('"weight_decay": weight_decay', '"weight_decay": 1.001 * weight_decay'),
        ("manual_seed(5)", "manual_seed(6)"),
        ("1.5 * x", "1.50001 * x"),
        ("fit(0.3)", "fit(0.3001)"),
    ):
        assert right in source
        actual, _ = run(for_minigrad(source.replace(right, wrong)))
        assert first_difference(actual, expected, others), wrong


def test_only_the_imports_are_changed() -> None:
    for name in TUTORIALS:
        source = (FOLDER / name).read_text("utf-8")
        pairs = zip(source.splitlines(), for_minigrad(source).splitlines(), strict=True)
        changed = [(a, b) for a, b in pairs if a != b]
        assert changed
        assert all(a.startswith(("import torch", "from torch")) for a, _ in changed)
        assert all("torch" not in b.replace(" as torch", "") for _, b in changed)
