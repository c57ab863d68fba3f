"""`make sample` and `make figures`: what they read of a run and a sweep, and put into README."""

import math
from pathlib import Path

import pytest

from parity.errors import UsageError
from parity.evidence import figures
from parity.evidence.figures import outcomes
from parity.sweep.database import Database, Row

ENDS = {"underfit": [40.0, 56.0, 41.0], "rightfit": [2.0, 3.0, 4.0], "overfit": [5.0, math.nan]}


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(figures, "SEEDS", {name: len(ends) for name, ends in ENDS.items()})


def swept(folder: Path, ends: dict[str, list[float]] = ENDS) -> Path:
    """A sweep in which both engines end alike."""
    folder.mkdir(exist_ok=True)
    with Database(folder) as database:
        for name, values in ends.items():
            for engine in figures.ENGINES:
                database.add([row(name, engine, *each) for each in enumerate(values)])
    return folder


def row(name: str, engine: str, seed: int, end: float) -> Row:
    state = "dead" if end == 56 else "trained" if math.isfinite(end) else "diverged"
    return Row(name, seed, engine, "float32", end, state, None, 0, None, "start", 1.0, "host")


def test_outcomes_are_those_of_the_sweep(tmp_path: Path) -> None:
    found = outcomes(swept(tmp_path))
    assert found["worse"] == 1.0  # a run that diverged ends worse than any other
    over = found["networks"]["overfit"]["torch"]
    assert over["final_mse"] == [5.0, None]
    assert over["shares"] == {"trained": 0.5, "dead": 0.0, "diverged": 0.5}
    assert found["networks"]["underfit"]["minigrad"]["shares"]["dead"] == 1 / 3
    better = swept(tmp_path / "better", ENDS | {"overfit": [5.0, 1.0]})
    assert outcomes(better)["worse"] == 0.5


def test_a_sweep_that_is_not_finished_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no sweep\.sqlite: `make figures`"):
        outcomes(tmp_path)
    swept(tmp_path)
    with Database(tmp_path) as database:
        database.add([row("rightfit", "torch", 3, 2.0)])
    with pytest.raises(UsageError, match="not swept to its end"):
        outcomes(tmp_path)
