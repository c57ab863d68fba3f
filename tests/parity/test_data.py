"""Numbers of one's own: a CSV file that a chain is trained on in place of the parabola."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from minigrad.architectures import architecture
from parity.cases.case import Case
from parity.cases.file import load, save
from parity.checks.verdicts import VERDICTS
from parity.cli.options import Training, tasks
from parity.engines.adapters.minigrad import MinigradEngine
from parity.engines.adapters.torch import TorchEngine
from parity.engines.protocol import Task
from parity.errors import UsageError
from parity.problems import data
from parity.problems.data import Data, read_data
from tests.parity.commands import parity
from tests.parity.test_problems import match_of

TEXT = "a,out, b\n1,2,3\n-.5,1e2,+7\n\n0.25,4.,1\n"


def written(folder: Path, text: str | bytes = TEXT) -> str:
    path = folder / "points.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return str(path)


def test_columns_are_inputs_in_their_order_and_the_target(tmp_path: Path) -> None:
    found = read_data(written(tmp_path), "out")
    assert found.columns == ("a", "b", "out")
    x, y = found.arrays("float64")
    np.testing.assert_array_equal(x, [[1, 3], [-0.5, 7], [0.25, 1]])
    np.testing.assert_array_equal(y, [[2], [100], [4]])


def test_a_spreadsheet_writes_the_same_otherwise(tmp_path: Path) -> None:
    other = b"\xef\xbb\xbf" + TEXT.replace("-.5", '"-0.5"').replace("\n", "\r\n").encode()
    as_read = read_data(written(tmp_path), "out")
    assert read_data(written(tmp_path, other), "out") == as_read


def test_numbers_are_standardised_only_when_asked(tmp_path: Path) -> None:
    plain = read_data(written(tmp_path), "out").values
    found = read_data(written(tmp_path), "out", standardize=True).values
    np.testing.assert_allclose(found, (plain - plain.mean(0)) / plain.std(0), rtol=1e-12)


WRONG: dict[str, tuple[str | bytes, str]] = {
    "not a number": ("a,b\n1,2\n3,x4\n", r"points\.csv:3, column b: 'x4' is not a number"),
    "underscores": ("a,b\n1,1_0\n", r":2, column b: '1_0' is not a number"),
    "other digits": ("a,b\n1,٣\n", r":2, column b: .* is not a number"),
    "empty": ("a,b\n1,\n", r":2, column b: there is no number"),
    "nan": ("a,b\n1,2\nNaN,2\n", r":3, column a: 'NaN' is not finite"),
    "inf": ("a,b\n1,-inf\n", r":2, column b: '-inf' is not finite"),
    "too large": ("a,b\n1,1e400\n", r":2, column b: '1e400' is too large for float64"),
    "ragged": ("a,b\n1,2\n3\n", r":3: 1 values, and the first line names 2 columns"),
    "too wide": ("a,b\n1,2,3\n", r":2: 3 values"),
    "a comma alone": ("a,b\n,\n", r":2, column a: there is no number"),
    "open quote": ('a,b\n1,"2\n', r":\d: unexpected end"),
    "no line": ("", "is empty: its first line must name the columns"),
    "no samples": ("a,b\n", "has no samples"),
    "no names": ("1,2\n3,4\n", r":1: 1, 2: the first line must name"),
    "same names": ("b,b\n1,2\n", r":1: each column needs a name of its own"),
    "no name": ("a,,b\n1,2,3\n", r":1: each column needs a name"),
    "no target": ("a,c\n1,2\n", r"has no column 'b', --target; there are a, c"),
    "semicolons": ("a;b\n1;2\n", "there are a;b: commas must lie between"),
    "target alone": ("b\n1\n", "needs a column of inputs"),
    "no text": (b"a,b\n\xff,2\n", "is no text in UTF-8"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_what_is_wrong_is_said_with_line_and_column(wrong: str, tmp_path: Path) -> None:
    text, said = WRONG[wrong]
    with pytest.raises(UsageError, match=said):
        read_data(written(tmp_path, text), "b")


def test_files_that_are_no_good(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for path in (tmp_path, tmp_path / "missing.csv"):
        with pytest.raises(UsageError, match="there is no such file"):
            read_data(str(path), "b")
    monkeypatch.setattr(data, "MOST_NUMBERS", 8)
    with pytest.raises(UsageError, match="more than 8 numbers"):
        read_data(written(tmp_path), "out")
    monkeypatch.setattr(data, "MOST_BYTES", 8)
    with pytest.raises(UsageError, match="more than 8 bytes"):
        read_data(written(tmp_path), "out")


def test_a_constant_column_and_a_number_beyond_the_dtype(tmp_path: Path) -> None:
    path = written(tmp_path, "a,b\n1,2\n1,1e300\n")
    with pytest.raises(UsageError, match="the same a, so it cannot be standardised"):
        read_data(path, "b", standardize=True)
    with pytest.raises(UsageError, match="too large in b, so it cannot be standardised"):
        read_data(written(tmp_path, "a,b\n1,2\n2,1e300\n"), "b", standardize=True)
    found = read_data(path, "b")
    found.arrays("float64")
    with pytest.raises(
        UsageError, match=r"sample 2 has 1e.300 as b, which is too large for float3"
    ):
        found.arrays("float32")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("rightfit --data {} --target out", "rightfit takes 1 input and {} has 2: give sizes such "
         "as 2-16-1"),
        ("3-4-1 --data {} --target out", "3-4-1 takes 3 inputs and {} has 2"),
        ("2-4-2 --data {} --target out", "and the first 2, the last 1, since the data has 2"),
        ("2-4-1 --data {}", "needs --target NAME"),
        ("2-4-1 --target out", "give --data FILE.csv"),
        ("2-4-1 --standardize", "give --data FILE.csv"),
        ("2-4-1 --data {} --target out --samples 7", "a file has as many as it has lines"),
    ],
)  # fmt: skip
def test_options_that_do_not_fit(arguments: str, said: str, tmp_path: Path) -> None:
    path = written(tmp_path)
    ended = parity("train", *arguments.format(path).split(), "--output", tmp_path / "out")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert said.format(path) in ended.stderr
    assert not (tmp_path / "out").exists()


# ---- training on it ------------------------------------------------------------------------------


@pytest.fixture
def task(tmp_path: Path) -> Task:
    x = np.random.default_rng(0).normal(size=(30, 3))
    rows = [f"{a},{b},{c},{a * b - c}\n" for a, b, c in x.tolist()]
    training = Training(
        data=written(tmp_path, "a,b,c,out\n" + "".join(rows)),
        target="out",
        epochs=3,
        batch_size=8,
        shuffle=True,
    )
    ((_, found),) = tasks(["3-6-1"], "1", training)
    return found


def test_every_verdict_passes(task: Task) -> None:
    match = match_of(MinigradEngine, task)
    with np.errstate(all="ignore"):
        for verdict in VERDICTS.values():
            entry = verdict.check(match)
            assert entry is not None
            assert entry["passed"], (verdict.name, entry)
    assert match.start.x.dtype == np.float32
    np.testing.assert_array_equal(match.start.y[:, 0], task.data.values[:, 3].astype("f"))  # type: ignore[union-attr]


class OtherSample(MinigradEngine):
    """A number of the file is taken for another."""

    def build(self, task: Task, start: object) -> None:
        super().build(task, start)  # type: ignore[arg-type]
        self._data[0][3, 1] += 1e-3


def test_an_engine_that_changes_a_number_fails(task: Task) -> None:
    entry = VERDICTS["free_steps"].check(match_of(OtherSample, task))
    assert entry is not None
    assert entry["passed"] is False


def test_a_case_of_start_carries_the_numbers(task: Task, tmp_path: Path) -> None:
    origin = {"architecture": "3-6-1"}
    case = Case(
        "start",
        ("a", "b"),
        task,
        None,
        {},
        {"passed": False},
        origin,
        {"actual": {}, "expected": {}},
    )
    save(case, tmp_path / "case")
    assert load(tmp_path / "case").task == task
    assert isinstance(task.data, Data)
    few = replace(task.data, columns=("c", "out"))
    with pytest.raises(UsageError, match="'data' is of shape"):
        save(replace(case, task=replace(task, data=few)), tmp_path / "case")


def test_sizes_are_those_of_the_parabola_by_default() -> None:
    assert architecture("3-4-1", 3).sizes == (3, 4, 1)
    with pytest.raises(ValueError, match="the first and the last exactly 1, since the data has o"):
        architecture("3-4-1")
    assert TorchEngine.options  # which data is none of: every engine is given its arrays
