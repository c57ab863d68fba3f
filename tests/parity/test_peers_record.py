"""What is kept of judged peers, and the table made of it."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from minigrad.architectures import architecture
from parity.bench import rounds
from parity.cases.file import load
from parity.engines.protocol import Task
from parity.evidence import __main__ as program
from parity.evidence import peers
from parity.evidence.peers import judge_peer, markdown
from parity.evidence.readme_tables import markers
from tests.parity.commands import evidence
from tests.parity.here import Here


def tasks(*names: str) -> list[Any]:
    networks = [architecture(name) for name in names]
    return [(n, Task(n.sizes, 5, n.learning_rate, 10, 0, "float32", "cpu")) for n in networks]


@pytest.fixture(scope="module", autouse=True)
def against_minigrad() -> Iterator[None]:
    """Rather than torch, which every run would have to load."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(peers, "AGAINST", "minigrad")
        yield


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Any:
    cases = tmp_path_factory.mktemp("cases")
    wrong = "tests.parity.case_engines:HalvedBias"
    todo = tasks("1-3-1", "1-2-1")
    return cases, [judge_peer("numpy-floor", todo, cases), judge_peer(wrong, todo[:1], cases)]


@pytest.mark.dear
def test_what_passes_and_what_fails_is_kept(found: Any) -> None:
    cases, (sound, wrong) = found
    assert [entry["name"] for entry in sound["networks"]] == ["1-3-1", "1-2-1"]
    assert all(entry["passed"] and not entry["cases"] for entry in sound["networks"])
    assert sound["networks"][0]["not_judged"].keys() == {"start", "bitwise"}
    (entry,) = wrong["networks"]
    assert entry["passed"] is False
    (case,) = {entry["cases"]["gradients"]}
    assert load(cases / "tests.parity.case_engines.HalvedBias" / case).kind == "gradients"
    assert len(list(cases.iterdir())) == 1  # nothing of the one that passed


@pytest.mark.dear
def test_the_table(found: Any) -> None:
    _, (sound, wrong) = found
    slow = {**wrong, "engine": "slow", "networks": [], "left_out": {"1-3-1": "too long"}}
    both = {**wrong, "left_out": {"1-2-1": "too long"}}
    slow["left_out"]["1-2-1"] = "too long"
    lines = markdown({"peers": [sound, both, slow]}).splitlines()
    assert lines[0] == "| engine | 1-3-1 | 1-2-1 |"
    assert lines[2].startswith("| `numpy-floor` | 6 of 6 pass, 0.")
    assert lines[3].startswith(
        "| `tests.parity.case_engines:HalvedBias` | **fails gradients, steps"
    )
    assert lines[3].endswith("** | – |")
    assert lines[4] == "| `slow` | – | – |"
    assert lines[6:] == [
        "`tests.parity.case_engines:HalvedBias` is not judged on 1-2-1: too long.",
        "`slow` is not judged on 1-3-1: too long.",
        "`slow` is not judged on 1-2-1: too long.",
    ]


def test_one_that_raises_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, here: None
) -> None:
    monkeypatch.setattr(peers, "EngineProcess", Here)
    found = judge_peer("tests.parity.case_engines:Raising", tasks("1-3-1"), tmp_path)
    assert found["networks"][0]["problem"] == "ZeroDivisionError: planted"
    assert "| **raises ZeroDivisionError** |" in markdown({"peers": [found]})
    assert not any(tmp_path.iterdir())


def test_one_that_is_too_slow_is_left_out(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(rounds, "LONGEST_TRAINING_S", 0.0)
    found = judge_peer("numpy-floor", tasks("1-3-1"), tmp_path)
    assert found["networks"] == []
    assert "5 epochs would take" in found["left_out"]["1-3-1"]


@pytest.mark.dear
def test_the_command(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str], here: None
) -> None:
    monkeypatch.setattr(peers, "EngineProcess", Here)
    begin, end = markers("peers")
    readme, output = tmp_path / "README.md", tmp_path / "peers.json"
    readme.write_text(f"{begin}\n\n{end}")
    monkeypatch.setattr(program, "tasks", lambda *_: tasks("1-2-1"))
    arguments = ["peers", "--output", str(output), "--readme", str(readme)]
    assert evidence(*arguments, "numpy-floor") == 0
    assert markdown(json.loads(output.read_text())) in readme.read_text()
    assert evidence(*arguments, "minigrad-captured") == 0
    engines = [peer["engine"] for peer in json.loads(output.read_text())["peers"]]
    assert engines == ["numpy-floor", "minigrad-captured"]
    assert "| `numpy-floor` |" in readme.read_text()
    assert evidence(*arguments, "nonsense") == 2
    assert "unknown engine 'nonsense'" in capsys.readouterr().err
