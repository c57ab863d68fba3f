"""`parity sweep`, as a person at a shell meets it."""

import csv
import time
from pathlib import Path

import pytest

from tests.parity.commands import in_terminal, parity, words
from tests.parity.sweeping import ENGINES, command, results

SMALL = ("1-4-1", "--epochs", "40", "--workers", "1")
NO_VERDICT = "parity: no verdict was reached on 1-4-1: give more --seeds\n"


def test_a_sweep_and_its_continuation(tmp_path: Path) -> None:
    options = [*SMALL, *ENGINES, "--horizons", "4", "--output", tmp_path]
    first = parity("sweep", *options, "--seeds", "0:20")
    assert first.returncode == 0, first.stderr
    assert first.stderr.startswith("1-4-1: done in ")
    assert "PASS  minigrad and numpy-floor agree on 1-4-1" in first.stdout
    assert "\x1b" not in first.stdout
    assert (tmp_path / "sweep.png").read_bytes().startswith(b"\x89PNG")
    kept = results(tmp_path)
    assert len(kept) == 40
    changed = time.time_ns()

    again = parity("sweep", *options, "--seeds", "0:20", "--csv")
    assert again.returncode == 0
    table, _, _ = first.stdout.partition("Written")
    assert again.stdout.startswith(table), "the same verdicts from the same results"
    assert (tmp_path / "sweep.sqlite").stat().st_mtime_ns < changed, "nothing was trained"
    with (tmp_path / "sweep.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(int(row["seed"]), row["engine"], float(row["final_mse"])) for row in rows] == [
        (seed, engine, final_mse) for _, seed, engine, _, final_mse, *_ in kept
    ]

    more = parity("sweep", *options, "--seeds", "10:30")
    assert more.returncode == 0
    assert "20 seeds" in more.stdout
    found = results(tmp_path)
    assert {row[:6] for row in kept} < {row[:6] for row in found}
    assert sum(row[7] > 0 for row in found) == 8, "horizons of 0 to 3, and now of 10 to 13"


def test_changed_settings_are_refused(tmp_path: Path) -> None:
    options = command(tmp_path, *SMALL, "--horizons", "0", "--seeds", "0:2")
    first = parity(*options)
    assert (first.returncode, first.complaint) == (2, NO_VERDICT), "for 2 seeds there is no verdict"
    kept = results(tmp_path)
    for change, said in (
        (["--learning-rate", "0.02"], "learning rate of 1-4-1 0.01 there and 0.02 now"),
        (["--samples", "50"], "samples 100 there and 50 now"),
        (["--momentum", "0.5"], "momentum 0.0 there and 0.5 now"),
        (["--epochs", "41"], "epochs of 1-4-1 40 there and 41 now"),
    ):
        refused = parity(*options, *change)
        assert refused.returncode == 2
        assert f"other settings: {said}. Choose" in refused.stderr
    assert results(tmp_path) == kept
    other = parity(*options, "--dtype", "float64")
    assert other.complaint == NO_VERDICT, "results of another dtype are told apart"
    assert len(results(tmp_path)) == 2 * len(kept)


@pytest.mark.parametrize(
    "engine", ["FasterEngine", pytest.param("MovedEngine", marks=pytest.mark.dear)]
)
def test_a_wrong_engine_fails(tmp_path: Path, engine: str) -> None:
    """Where the final MSE itself differs by less than seeds differ among themselves."""
    name = f"tests.parity.sweeping:{engine}"
    options = ["--engine", name, "--against", "minigrad", "--horizons", "20", "--seeds", "0:20"]
    result = parity("sweep", *SMALL, *options, "--output", tmp_path)
    assert result.returncode == 1, result.stdout
    assert f"FAIL  {name} and minigrad disagree on 1-4-1" in result.stdout


def test_what_an_engine_refuses_is_said(tmp_path: Path) -> None:
    engines = ["--engine", "tests.parity.sweeping:RefusingEngine", "--against", "minigrad"]
    result = parity("sweep", *SMALL, *engines, "--seeds", "0:3", "--output", tmp_path)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr == "parity: no device 'abacus' here\n"


def test_a_terminal_sees_progress(tmp_path: Path) -> None:
    small = command(tmp_path, *SMALL, "--seeds", "0:12", "--horizons", "2")
    ended, seen = in_terminal(*small, width=60)
    assert ended.returncode == 0
    assert "starting engines " in seen
    assert "  1-4-1  done in " in seen
    lines = ended.stdout.splitlines()
    assert all(len(line) <= 60 for line in lines if not line.startswith("Written:"))


@pytest.mark.parametrize(
    "other", ["minigrad", "parity.engines.adapters.minigrad_ensemble:EnsembleEngine"]
)
def test_an_ensemble_is_not_held_against_itself(other: str, tmp_path: Path) -> None:
    engines = ["--engine", "minigrad-ensemble", "--against", other]
    ended = parity("sweep", "1-1", "--seeds", "0:2", *engines, "--output", tmp_path)
    assert ended.returncode == 2
    assert "an engine compared with itself" in words(ended.stderr)
