"""A result is of the code that decides it, and `make evidence` says of which results that is true.

Which sources decide is tested against what a measurement loads, and what it runs.
"""

import io
import json
import subprocess
import sys
import time
import tokenize
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from parity.engines.registry import ENGINES
from parity.errors import UsageError
from parity.evidence import peers
from parity.evidence.calibration import runs as calibration
from parity.evidence.status import statuses
from parity.evidence.store import Store
from parity.result_sources import CAPTURED, NOT_TIMED, PEERS, RESULTS, SHOWN, SOURCES, code
from parity.source_digest import ROOT, code_of, matching
from tests.parity.commands import evidence
from tests.parity.engine_catalogue import judge_engines

# ---- what counts of a file ----------------------------------------------------------------------

TEXT = b'''"""A rule."""

import numpy


def f(x):  # of x
    """Double."""
    s = """one

two # three"""
    t = (
        "four"  # five
        "six"
    )
    return 2 * x
'''


@pytest.mark.parametrize(
    ("old", "new", "counts"),
    [
        ("A rule.", "No rule.\n\n", False),
        ("Double", "Twice # it's", False),
        ("# of x", "", False),
        ("# five", "# (", False),
        ('    """Double."""\n', "", False),
        ("    return", "\n    # Why.\n\n    return", False),
        ("2 * x", "3 * x", True),
        ("one\n\n", "one\n", True),
        ("# three", "# 3", True),
        ('"six"', '"seven"', True),
        ('        "six"\n', "", True),
        ("import numpy", "import numpy as np", True),
    ],
)
def test_code_counts_and_comments_do_not(old: str, new: str, counts: bool) -> None:
    changed = TEXT.replace(old.encode(), new.encode())
    assert changed != TEXT
    assert (code_of(changed) != code_of(TEXT)) is counts


def test_no_file_s_code_is_lost() -> None:
    """Against Python's own tokens; f-strings are tokens from 3.12 on, and are not compared then."""
    if sys.version_info >= (3, 12):
        pytest.skip("f-strings are told apart into parts")
    for path in matching(["minigrad/**/*.py", "tests/parity/*.py"]):
        kept: list[tokenize.TokenInfo] = []
        line: list[tokenize.TokenInfo] = []
        content = path.read_bytes()
        for token in tokenize.tokenize(io.BytesIO(content).readline):
            if token.type == tokenize.NEWLINE:
                kept += line if {token.type for token in line} != {tokenize.STRING} else []
                line = []
            elif token.type not in (tokenize.COMMENT, tokenize.ENCODING) and token.string.strip():
                line.append(token)
        expected = "".join(token.string for token in kept).replace("\n", "\\n")
        actual = code_of(content).decode().replace("\\\n", "")
        assert "".join(actual.split()) == "".join(expected.split()), path


# ---- which files count --------------------------------------------------------------------------

NEUTRAL = {
    "parity/environment.py",
    "parity/errors.py",
    "parity/files.py",
    "parity/extras.py",
    "parity/points.py",
    "parity/system.py",
    "parity/documents.py",
    "parity/report/__init__.py",
    "parity/result_sources.py",
    "parity/source_digest.py",
    "parity/evidence/store.py",
}
"""These say what the machine is, what was measured and what went wrong."""

KEEPS = {
    "proof": ("parity/cases/",),
    "peers": (
        "parity/bench/",
        "parity/cases/",
        "parity/cli/",
        "parity/evidence/proof.py",
        "parity/progress.py",
        "parity/report/",
        "parity/sweep/",
        "parity/tables.py",
        "parity/training.py",
    ),
    "figures": ("parity/checks/", "parity/engines/peers/", "parity/sweep/"),
    "engines": ("tests/parity/engine_catalogue.py",),
    "machine": ("tests/minigrad/",),
}
"""What else a measurement loads: it saves cases, and writes down what was found."""


def adapters(*names: str) -> list[str]:
    return [ENGINES[name].adapter.partition(":")[0] for name in names or ENGINES]


JUDGED = ("minigrad", "minigrad-reproducible", "torch", "torch-reproducible")
MODULES = {
    "proof": ["parity.run", *adapters(*JUDGED)],
    "calibration": ["parity.evidence.calibration.measure", "parity.evidence.calibration.free"],
    "detection": ["parity.run", "parity.evidence.detection.runs", *adapters(*JUDGED)],
    "engines": ["parity.run", "tests.parity.engine_catalogue", *adapters("torch")],
    "peers": ["parity.evidence.peers", *adapters()],
    "figures": ["parity.sweep.work", *adapters(*JUDGED, "minigrad-ensemble")],
    "bench": [
        *("parity.bench.document", "parity.bench.products", "parity.bench.scaling"),
        *adapters(),
    ],
    "machine": ["tests.minigrad.machine.planted"],
}
"""What makes each of these; `run` and `cuda` are as `proof`, and `fuzz` has all files."""

LOADED = """
import sys, {modules}
packages = "minigrad", "torch_impl", "parity", "tests"
for module in sys.modules.values():
    if module.__name__.partition(".")[0] in packages and getattr(module, "__file__", None):
        print(module.__file__)
"""


@pytest.mark.parametrize("name", MODULES)
def test_what_is_loaded_decides(name: str) -> None:
    command = LOADED.format(modules=", ".join(MODULES[name]))
    ended = subprocess.run(
        [sys.executable, "-c", command], cwd=ROOT, check=True, capture_output=True, text=True
    )
    sources = SOURCES[name]
    others = {Path(file) for file in ended.stdout.splitlines()}
    others -= {*matching(sources.patterns), *matching(NEUTRAL)}
    files = {file.relative_to(ROOT).as_posix() for file in others if file.name != "__init__.py"}
    assert {file for file in files if not file.startswith(KEEPS.get(name, ()))} == set()
    assert set(sources.without) >= set(SHOWN)


STEPS = """
import sys
from parity.bench.timed import TimedEngine
from parity.engines.protocol import Task
from parity.engines.registry import factory

engines = [TimedEngine(factory(name)) for name in sys.argv[1:]]
task = Task((1, 4, 1), 2, 0.01, 10, 0, "float32", "cpu")
starts = [engine.draw(task) or engines[0].draw(task) for engine in engines]
files = set()
sys.setprofile(lambda frame, *_: files.add(frame.f_code.co_filename))
for engine, start in zip(engines, starts):
    engine.load(task, start)
    engine.time(2)
sys.setprofile(None)
print(*files, sep="\\n")
"""


def test_no_step_runs_what_is_not_timed() -> None:
    names = [name for name in ENGINES if name.startswith("minigrad")]
    ended = subprocess.run(
        [sys.executable, "-c", STEPS, *names], cwd=ROOT, check=True, capture_output=True, text=True
    )
    run = set(map(Path, ended.stdout.splitlines()))
    assert run >= {ROOT / "minigrad/tape.py", ROOT / "minigrad/capture/captured.py"}
    assert run & set(matching(NOT_TIMED)) == set()


def test_what_does_not_matter_is_left_out() -> None:
    def deciding(name: str) -> set[Path]:
        return set(matching(SOURCES[name].patterns, SOURCES[name].without))

    witness, captured, peers = (
        set(matching(p)) for p in (["parity/checks/exact/*"], CAPTURED, [PEERS])
    )
    assert min(map(len, (witness, captured, peers))) > 1
    assert not witness & deciding("bench")
    assert captured & deciding("bench")
    assert peers <= deciding("bench")
    for name in ("proof", "run", "calibration", "peers"):
        assert not captured & deciding(name)
        assert witness <= deciding(name)
    for name in SOURCES.keys() - {"fuzz"}:
        assert ROOT / "minigrad/version.py" not in deciding(name)
        assert ROOT / "minigrad/tape.py" in deciding(name)
        assert ROOT / "parity/report/html.py" not in deciding(name)


@pytest.mark.parametrize("name", ["peers", "calibration", "engines"])
def test_what_was_stopped_goes_on_with_the_same_code_alone(name: str, tmp_path: Path) -> None:
    path = tmp_path / "rows.json"
    begin: dict[str, Callable[[], Any]] = {
        "peers": lambda: peers.kept(path, 0),
        "calibration": lambda: calibration.measurements(path, "cpu"),
        "engines": lambda: judge_engines(path, {}),
    }
    found = begin[name]()
    document = found.document() if isinstance(found, Store) else found
    assert document["code"] == code(name)
    rows: dict[str, list[Any]] = {"peers": [], "engines": [], "rows": []}
    for other, refused in ((code(name), False), ("0", True)):
        path.write_text(json.dumps({**document, **rows, "code": other}))
        with pytest.raises(UsageError, match="made with code 0") if refused else nullcontext():
            begin[name]()


# ---- what is said -------------------------------------------------------------------------------


def test_every_result_is_known() -> None:
    once = {"blind"}  # what was caught at the first try cannot be measured again
    assert {path.stem for path in RESULTS.glob("*.json")} <= SOURCES.keys() | once
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for sources in SOURCES.values():
        if sources.command.startswith("make "):
            assert f"\n{sources.command.removeprefix('make ')}: " in makefile


def test_a_result_is_of_this_code_or_of_an_older_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def write(name: str, **document: Any) -> None:
        (tmp_path / f"{name}.json").write_text(json.dumps(document))

    versions = {"minigrad-parity": "0.1.0"}
    for name in SOURCES:
        write(name, code=code(name), environment={"versions": versions})
    write("proof", code="0", environment={"actual": {"versions": versions}})
    write("peers", versions=None)
    (tmp_path / "bench.json").unlink()
    found = {each.name: " ".join(str(each).split()) for each in statuses(tmp_path)}
    assert found.pop("proof") == "proof older code 0.1.0 make proof"
    assert found.pop("peers") == "peers older code (no digest) make peers"
    assert found.pop("bench") == "bench missing make bench"
    assert found == {name: f"{name} this code 0.1.0" for name in found}

    monkeypatch.setattr("parity.evidence.status.RESULTS", tmp_path)
    for current, status in ((False, 1), (True, 0)):
        if current:
            for name in ("proof", "peers", "bench"):
                write(name, code=code(name))
        monkeypatch.setattr("parity.evidence.status.statuses", lambda: statuses(tmp_path))
        assert evidence("status") == status
        said = capsys.readouterr().out
        assert ("make proof" in said) is not current


def test_a_second_is_enough_and_torch_is_not_loaded() -> None:
    command = (
        "import sys\nfrom parity.evidence.__main__ import main\n"
        "try: main(['status'])\nexcept SystemExit: print('torch' in sys.modules)"
    )
    begun_s = time.monotonic()
    ended = subprocess.run(
        [sys.executable, "-c", command], cwd=ROOT, check=True, capture_output=True, text=True
    )
    assert time.monotonic() - begun_s < 20, "on a busy machine; alone it takes one"
    assert ended.stdout.splitlines()[-1] == "False"
    assert len(ended.stdout.splitlines()) >= len(SOURCES)
