"""The command line, as a person at a shell meets it."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from parity.checks.verdicts import VERDICTS
from parity.cli import app
from parity.engines.registry import ENGINES
from tests.parity.commands import (
    ROOT,
    Finished,
    begun,
    children,
    finished,
    group_ends,
    in_terminal,
    parity,
    report,
    wait_until,
    words,
)

SMALL = ["1-4-1", "--epochs", "30"]
LAST_SEED = str(2**64 - 1)
COMMANDS = ("run", "train", "bench", "sweep", "replay", "engines")


@pytest.fixture(scope="module")
def agreed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Finished, Path]:
    folder = tmp_path_factory.mktemp("run")
    return finished("run", "rightfit", "--quick", "--seed", "3", "--output", folder), folder


def test_run_agrees_and_writes_both_reports(agreed: tuple[Finished, Path]) -> None:
    result, folder = agreed
    assert result.returncode == 0, result.stderr
    assert sorted(path.name for path in folder.iterdir()) == ["report.html", "report.json"]
    document = report(folder)
    assert document["passed"]
    names = [entry["name"] for entry in document["architectures"]]
    assert names == ["rightfit"]
    assert document["environment"]["actual"]["torch_instructions"] is None
    assert document["environment"]["expected"]["torch_instructions"] is not None
    assert document["settings"] == {
        "seed": 3,
        "dtype": "float32",
        "device": "cpu",
        "samples": 100,
        "quick": True,
        "engine": "minigrad",
        "against": "torch",
    }
    for entry in document["architectures"]:
        assert entry["epochs"] == 50
        assert entry["start"]["passed"]
        assert entry["gradients"]["passed"]
        assert 0 < entry["gradients"]["worst_budget_used"] < 1
        assert entry["final_mse"]["relative_difference"] < 1e-3
        for name in ("steps", "accuracy", "trajectory", "bitwise", "final_mse"):
            assert entry[name]["passed"] is True, name


def test_without_a_terminal_the_output_is_plain_and_progress_a_line_a_network(
    agreed: tuple[Finished, Path],
) -> None:
    result, _ = agreed
    lines = [line.partition(": done in ")[0] for line in result.stderr.splitlines()]
    assert lines == ["rightfit", "probes", "report"]
    assert "\x1b" not in result.stdout
    assert "PASS" in result.stdout
    assert "quick run" in result.stdout
    assert "1-16-16-1, 321 parameters" in result.stdout


def test_the_page_stands_alone(agreed: tuple[Finished, Path]) -> None:
    _, folder = agreed
    page = (folder / "report.html").read_text()
    for outside in ('src="http', 'href="http', "@import", "url(http", "<script src", "<link"):
        assert outside not in page
    for said in ("rightfit", "minigrad", "torch", "gradients"):
        assert said in page


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_a_run_loses_nothing_with_the_process_that_draws(tmp_path: Path) -> None:
    def artists() -> list[int]:
        maps = {child: Path(f"/proc/{child}/maps").read_text() for child in children(process.pid)}
        return [child for child, loaded in maps.items() if "matplotlib" in loaded]

    pair = ("--engine", "minigrad", "--against", "numpy-floor")
    process = begun("run", "1-4-1", "1-6-1", "--epochs", "30", *pair, "--output", tmp_path)
    wait_until(artists, process)
    for artist in artists():
        os.kill(artist, signal.SIGKILL)
    out, err = process.communicate(timeout=300)
    assert process.wait() == 0, err
    assert "PASS" in out
    assert [entry["name"] for entry in report(tmp_path)["architectures"]] == ["1-4-1", "1-6-1"]
    page = (tmp_path / "report.html").read_text()
    assert page.rstrip().endswith("</html>")
    assert page.count("<figcaption>") == page.count("<svg") == 2 * 5


def test_the_report_is_written_before_the_page_fails(
    tmp_path: Path, here: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("parity.cli.run.to_html", lambda *_: [][0])
    pair = ("--engine", "minigrad", "--against", "numpy-floor")
    assert parity("run", *SMALL, *pair, "--output", tmp_path).returncode == 70
    assert report(tmp_path)["passed"]


def test_engines_can_change_sides(tmp_path: Path, here: None) -> None:
    """In float64, with momentum, and at the last seed there is."""
    options = ["--engine", "torch", "--against", "minigrad", "--seed", LAST_SEED]
    options += ["--dtype", "float64", "--momentum", "0.5"]
    assert parity("run", *SMALL, *options, "--output", tmp_path).returncode == 0
    document = report(tmp_path)
    settings = document["settings"]
    assert (settings["engine"], settings["against"]) == ("torch", "minigrad")
    assert (settings["seed"], settings["dtype"]) == (2**64 - 1, "float64")
    (entry,) = document["architectures"]
    for name in VERDICTS:
        assert entry[name]["passed"] is True, name
    assert entry["start"]["data_identical"] is entry["start"]["parameters_identical"] is True
    assert entry["steps"]["elements"] == 30 * (3 * 13 + 1 + 100), "buffers are judged, too"


def test_a_verdict_that_cannot_be_reached_is_null_and_no_pass(tmp_path: Path, here: None) -> None:
    """Bitwise needs reproducible twins of both engines."""
    options = ["--engine", "minigrad-reproducible", "--against", "minigrad", "--seed", LAST_SEED]
    result = parity("run", "1-4-1", "--epochs", "5", *options, "--output", tmp_path)
    assert result.returncode == 0, result.stderr
    (entry,) = report(tmp_path)["architectures"]
    assert entry["bitwise"] is None
    said = "no twin in reproducible arithmetic for minigrad-reproducible"
    assert said in words(result.stdout)
    assert entry["start"]["data_identical"] is entry["start"]["parameters_identical"] is True


def test_a_missing_gpu_is_said(tmp_path: Path, here: None) -> None:
    torch = pytest.importorskip("torch")
    if torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    result = parity("run", *SMALL, "--device", "cuda", "--output", tmp_path)
    assert result.returncode == 2
    assert "no device 'cuda'" in result.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.dear
def test_an_interrupted_run_leaves_no_file_and_no_process(tmp_path: Path) -> None:
    process = begun("run", "overfit", "--against", "numpy-floor", "--output", tmp_path)
    time.sleep(2.5)  # in the middle of starting or training: either way nothing may be left
    os.killpg(process.pid, signal.SIGINT)  # as Ctrl-C does: to every process of the group
    _, complaint = process.communicate(timeout=60)
    assert process.returncode == 130
    assert complaint == "parity: interrupted: no file is half written\n"
    assert not list(tmp_path.iterdir())
    assert group_ends(process.pid)


@pytest.mark.dear
def test_a_terminal_sees_progress_within_its_width(tmp_path: Path) -> None:
    engines = ["--engine", "numpy-floor", "--against", "minigrad"]
    ended, seen = in_terminal("run", "1-4-1", "--quick", *engines, "--output", tmp_path, width=60)
    assert ended.returncode == 0
    assert seen.startswith(f"loading parity\r{14 * ' '}\r")
    assert "starting engines " in seen
    assert re.search(r"\d % about \d+ s left", seen)
    assert "  1-4-1   steps, " in seen
    paths = ("Report:",)  # a path is not broken, so that it can be copied
    lines = ended.stdout.splitlines()
    assert all(len(line) <= 60 for line in lines if not line.startswith(paths))


@pytest.mark.parametrize("command", [[], *([name] for name in COMMANDS)], ids=str)
def test_every_command_explains_itself(command: list[str]) -> None:
    result = parity(*command, "-h")
    assert result == parity(*command, "--help")
    assert result.returncode == 0
    assert "-h, --help" in result.stdout
    assert all(len(line) <= 80 for line in result.stdout.splitlines())
    assert not re.search(r"list\[|<(str|int|float|path)( range)?>", result.stdout)
    assert command or "..." not in result.stdout.partition("\n")[2], "no sentence is cut off"


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("ru", {"run"}),
        ("run under", {"underfit"}),
        ("run rightfit --engine numpy", {"numpy-floor"}),
        ("sweep --against my", {"mygrad"}),
        ("bench --engines torch,tiny", {"torch,tinygrad"}),
        ("train --dtype ", {"float32", "float64"}),
    ],
)
def test_a_shell_completes(
    typed: str, offered: set[str], monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    words = ["parity", *typed.split(" ")]
    monkeypatch.setenv("_PARITY_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", " ".join(words))
    monkeypatch.setenv("COMP_CWORD", str(len(words) - 1))
    with pytest.raises(SystemExit):
        app(prog_name="parity")
    assert set(capsys.readouterr().out.split()) == offered


def test_engines_lists_what_is_known() -> None:
    result = parity("engines")
    assert result.returncode == 0
    states = dict(line.split()[:2] for line in result.stdout.splitlines())
    assert list(states) == list(ENGINES)
    for name, known in ENGINES.items():
        assert states[name] == ("missing:" if known.missing() else "ready")
    assert states["minigrad"] == states["torch"] == "ready"


@pytest.mark.parametrize("program", ["parity run", "minigrad explain"])
def test_bad_usage_reaches_the_shell(program: str, tmp_path: Path) -> None:
    """All else of this kind is in tests/test_shell.py, by processes that are faster to have."""
    command = [sys.executable, "-m", *program.split(), "rightift"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith(f"{program.removesuffix(' run')}: unknown architecture 'right")
    assert result.stderr.count("\n") == 1
