"""A user's script as pyright sees it; mypy checks it strictly in `make lint`, with all else."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.minigrad import typed_script

ROOT = Path(__file__).parents[2]
CHECKER = Path(sys.executable).with_name("basedpyright")  # pyright that pip alone installs
WRONG = "assert_type(torch.relu(torch.ones(1)), float)\n"


def test_the_script_runs(capsys: pytest.CaptureFixture[str]) -> None:
    assert 5 < typed_script.main() < 10
    assert capsys.readouterr().out.startswith("1.3")


def test_pyright_has_nothing_to_say_of_it(tmp_path: Path) -> None:
    if not CHECKER.exists():
        pytest.skip("basedpyright is not installed")
    script = Path(typed_script.__file__).read_text(encoding="utf-8")
    (tmp_path / "script.py").write_text(script, encoding="utf-8")
    (tmp_path / "wrong.py").write_text(script + WRONG, encoding="utf-8")  # which it sees
    settings = {"typeCheckingMode": "strict", "extraPaths": [str(ROOT)]}
    (tmp_path / "pyrightconfig.json").write_text(json.dumps(settings), encoding="utf-8")
    finished = subprocess.run(
        [CHECKER, "--outputjson", "--pythonpath", sys.executable],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    said = json.loads(finished.stdout)["generalDiagnostics"]
    found = [(Path(each["file"]).name, each["rule"]) for each in said]
    assert found == [("wrong.py", "reportAssertTypeFailure")], said
