"""Case files: what is saved comes back, and nothing else gets in."""

import json
import os
import random
import struct
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import hypothesis
import numpy as np
import pytest
import safetensors.numpy
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from parity.cases.case import Case
from parity.cases.file import load, save, validator
from parity.checks.verdicts import VERDICTS
from parity.documents import to_json
from parity.engines.protocol import Array, Task
from parity.errors import UsageError
from tests.hostile import spoiled
from tests.minigrad.operations import FUZZ
from tests.parity.samples import case_of

TASK = Task((2, 3, 1), 1, 0.01, 4, 2**64 - 1, "float32", "cpu", momentum=0.9)


def case(kind: str = "steps", dtype: str = "float32", **changes: Any) -> Case:
    return case_of(kind, replace(TASK, dtype=dtype), **changes)


def same(actual: Case, expected: Case) -> bool:
    def bits(found: dict[str, Array]) -> Any:
        return [(n, a.shape, a.dtype, a.tobytes()) for n, a in found.items()]

    if (actual.start is None) != (expected.start is None):
        return False
    if actual.start is not None and expected.start is not None:
        data = [{"x": start.x, "y": start.y} for start in (actual.start, expected.start)]
        pairs = [data, [actual.start.parameters, expected.start.parameters]]
        pairs.append([actual.momentum_buffers, expected.momentum_buffers])
        if any(bits(ours) != bits(theirs) for ours, theirs in pairs):
            return False
    plain = [replace(c, start=None, momentum_buffers={}) for c in (actual, expected)]
    return plain[0] == plain[1]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "case.safetensors"


# ---- what is saved comes back -------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("kind", [*VERDICTS, "probe"])
def test_what_is_saved_comes_back(kind: str, dtype: str, path: Path) -> None:
    saved = case(kind, dtype)
    save(saved, path)
    assert same(load(path), saved)


def test_momentum_that_is_yet_to_begin_has_no_buffers(path: Path) -> None:
    saved = case(momentum_buffers={})
    assert saved.task.momentum
    save(saved, path)
    assert same(load(path), saved)


def test_bits_come_back_whatever_they_are(path: Path) -> None:
    """A run that diverged is a case, too; and not every array is laid out in rows."""
    saved = case()
    assert saved.start is not None
    weight = saved.start.parameters["0.weight"]
    weight[:2] = [[np.nan, -np.inf], [-0.0, np.float32(1e-45)]]
    saved.start.parameters["0.weight"] = np.asfortranarray(weight)
    save(saved, path)
    found = load(path)
    assert found.start is not None
    assert found.start.parameters["0.weight"].tobytes() == weight.tobytes()
    found.start.parameters["0.weight"][...] = 1  # of its own, and to be written to
    assert found.start.x.flags.c_contiguous


def test_numbers_that_are_not_finite_are_null_as_in_reports(path: Path) -> None:
    verdict = {"passed": False, "worst_budget_used": np.inf, "worst_at": {"index": (np.int64(3),)}}
    save(case(verdict=verdict), path)
    expected = {"passed": False, "worst_budget_used": None, "worst_at": {"index": [3]}}
    assert load(path).verdict == expected


def test_other_readers_of_safetensors_can_read_it(path: Path) -> None:
    save(case(), path)
    found = safetensors.numpy.load_file(path)
    assert {"x", "y", "parameters.0.weight", "momentum_buffers.2.bias"} <= found.keys()


def test_a_network_too_large_is_not_saved(path: Path) -> None:
    large = replace(case("start"), task=replace(TASK, sizes=(1, 10**8, 10**8, 1)))
    with pytest.raises(UsageError, match="parameters, and 100,000,000 is the most"):
        save(large, path)
    assert not path.exists()


def test_the_schema_is_one() -> None:
    Draft202012Validator.check_schema(validator().schema)


# ---- nothing else gets in -----------------------------------------------------------------------


def content(kind: str = "steps") -> tuple[dict[str, Array], dict[str, Any]]:
    """Tensors and metadata of a good file, to be spoiled."""
    whole = case(kind)
    tensors: dict[str, Array] = {}
    if whole.start is not None:
        tensors = {"x": whole.start.x.copy(), "y": whole.start.y.copy()}
        tensors |= {f"parameters.{n}": a for n, a in whole.start.parameters.items()}
        tensors |= {f"momentum_buffers.{n}": a for n, a in whole.momentum_buffers.items()}
    document = {
        "version": 1,
        "kind": kind,
        "engines": {"actual": "minigrad", "expected": "torch"},
        "task": json.loads(to_json(vars(whole.task))),
        "verdict": {"passed": False},
        "origin": {"architecture": "rightfit"},
        "environment": {"actual": {}, "expected": {}},
    }
    return tensors, document


def write(path: Path, tensors: dict[str, Array], document: Any) -> None:
    text = document if isinstance(document, str) else json.dumps(document)
    path.write_bytes(safetensors.numpy.save(tensors, {"case": text}))


def test_the_file_to_be_spoiled_is_good(path: Path) -> None:
    write(path, *content())
    assert load(path).kind == "steps"


Spoil = Callable[[dict[str, Array], dict[str, Any]], Any]


def task(**changes: Any) -> Spoil:
    return lambda tensors, document: document["task"].update(changes)


def top(**changes: Any) -> Spoil:
    return lambda tensors, document: document.update(changes)


def tensor(name: str, array: Any) -> Spoil:
    return lambda tensors, document: tensors.update({name: np.asarray(array)})


SPOILED: dict[str, tuple[Spoil, str]] = {
    "version of the future": (top(version=2), "version 2 .* knows 1: replay it with a newer one"),
    "version 10^4000": (top(version=10**4000), "version 1000.*…"),
    "no version": (lambda t, d: d.pop("version"), "'version' is a required"),
    "version as text": (top(version="1"), "case.version"),
    "unknown kind": (top(kind="allclose"), "case.kind: 'allclose'"),
    "probe without a name": (top(kind="probe"), "'probe' is a required"),
    "no engine": (top(engines={"actual": "minigrad"}), "'expected' is a required"),
    "engine without a name": (top(engines={"actual": "", "expected": "b"}), "case.engines.actual"),
    "passed": (top(verdict={"passed": True}), "case.verdict.passed"),
    "passed unknown": (top(verdict={"passed": None}), "case.verdict.passed"),
    "terminal command": (top(origin={"architecture": "\x1b[2J"}), "not printable"),
    "text turned round": (top(origin={"architecture": "\u202e"}), "not printable"),
    "no layers": (task(sizes=[1]), "case.task.sizes"),
    "size 0": (task(sizes=[2, 0, 1]), r"case.task.sizes\[1\]"),
    "size 2.5": (task(sizes=[2, 2.5, 1]), r"case.task.sizes\[1\]"),
    "size true": (task(sizes=[2, True, 1]), r"case.task.sizes\[1\]"),
    "10^12 parameters": (task(sizes=[2, 10**6, 10**6, 1]), "parameters, and 100,000,000 is"),
    "10^10 activations": (
        task(sizes=[2, 1000, 1], samples=10**7),
        "activations, and 500,000,000 is the most",
    ),
    "samples without end": (task(samples=10**30), "case.task.samples"),
    "epochs without end": (task(epochs=10**10), "case.task.epochs"),
    "other samples": (task(samples=5), r"'x' is of shape \[4, 2\]; .* must be of shape \[5, 2\]"),
    "other sizes": (task(sizes=[2, 4, 1]), "'momentum_buffers.0.bias' is of shape"),
    "fewer layers": (task(sizes=[2, 1]), "is of shape .* must be not there|must be of shape"),
    "other dtype": (task(dtype="float64"), "'momentum_buffers.0.bias' is float32, .* float64"),
    "dtype of other libraries": (task(dtype="float16"), "case.task.dtype"),
    "device of other libraries": (task(device="mps"), "case.task.device"),
    "seed below 0": (task(seed=-1), "case.task.seed"),
    "seed 2^64": (task(seed=2**64), "case.task.seed"),
    "learning rate below 0": (task(learning_rate=-0.1), "case.task.learning_rate"),
    "learning rate without end": (task(learning_rate=10**400), "case.task.learning_rate"),
    "learning rate NaN": (task(learning_rate=float("nan")), "NaN is not JSON"),
    "field without meaning": (task(adam=True), "adam"),
    "no momentum": (task(momentum=0), "'momentum_buffers.0.bias' .* must be not there"),
    "some buffers": (
        lambda t, d: t.pop("momentum_buffers.2.weight"),
        "'momentum_buffers.2.weight' is not there",
    ),
    "no x": (lambda t, d: t.pop("x"), "'x' is not there"),
    "one tensor more": (tensor("z", np.ones(2, np.float32)), "'z' .* must be not there"),
    "transposed": (
        tensor("parameters.0.weight", np.ones((2, 3), np.float32)),
        r"of shape \[2, 3\]; .* of shape \[3, 2\]",
    ),
    "float16": (tensor("y", np.ones((4, 1), np.float16)), "'y' is F16, and its task float32"),
    "integers": (tensor("y", np.ones((4, 1), np.int64)), "'y' is I64"),
    "x NaN": (tensor("x", np.full((4, 2), np.nan, np.float32)), "'x' .* not finite"),
    "y infinite": (tensor("y", np.full((4, 1), np.inf, np.float32)), "'y' .* not finite"),
}


@pytest.mark.parametrize("name", SPOILED)
def test_spoiled_files_are_refused_by_what_is_wrong(name: str, path: Path) -> None:
    spoil, said = SPOILED[name]
    tensors, document = content()
    spoil(tensors, document)
    write(path, tensors, document)
    with pytest.raises(UsageError, match=said) as caught:
        load(path)
    assert str(path) in str(caught.value)
    assert len(str(caught.value)) < 800
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("kind", ["gradients", "trajectory", "final_mse"])
def test_initial_parameters_are_finite_and_have_no_buffers(kind: str, path: Path) -> None:
    tensors, document = content(kind)
    write(path, tensors, document)
    assert load(path).kind == kind
    name = "parameters.0.bias"
    write(path, tensors | {name: np.full(3, np.nan, np.float32)}, document)
    with pytest.raises(UsageError, match="not finite"):
        load(path)
    write(path, tensors | {"momentum_buffers.0.bias": np.ones(3, np.float32)}, document)
    with pytest.raises(UsageError, match="must be not there"):
        load(path)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "not JSON"),
        ("{", "not JSON"),
        ("null", "None is not of type 'object'"),
        ("[" * 100_000, "not JSON"),
        ('{"version": 1, "kind": [' * 500, "not JSON"),
        ('{"version": ' + "1" * 5000 + "}", "not JSON"),
        ("9" * 100, "is not of type 'object'"),
    ],
)
def test_metadata_that_are_no_document(text: str, said: str, path: Path) -> None:
    tensors, _ = content()
    write(path, tensors, text)
    with pytest.raises(UsageError, match=said):
        load(path)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (safetensors.numpy.save(content()[0]), "no metadata named 'case'"),
        (safetensors.numpy.save(content()[0], {"format": "pt"}), "no metadata named 'case'"),
        (b"import os; os.abort()", "safetensors"),
        (b"", "no safetensors file"),
    ],
)
def test_files_of_other_kinds(data: bytes, said: str, path: Path) -> None:
    path.write_bytes(data)
    with pytest.raises(UsageError, match=said):
        load(path)


def test_what_is_no_file(path: Path) -> None:
    os.mkfifo(path)
    for place, said in (
        (path.parent, "no regular file"),
        (path, "no regular file"),
        (path.parent / "absent", r"cannot read .*No such file"),
        ("case\0.safetensors", "null"),
    ):
        with pytest.raises(UsageError, match=said):
            load(place)


def is_refused_unread(path: Path, said: str, header: bytes, claimed: int, size: int) -> None:
    """A file with such a header and zeros, which take no room on the disk, nor in memory."""
    with path.open("wb") as file:
        file.write(struct.pack("<Q", claimed) + header)
        file.truncate(8 + size)
    tracemalloc.start()
    with pytest.raises(UsageError, match=said):
        load(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 10_000_000


LONG = "its header would have more than 4,000,000 bytes"


@pytest.mark.parametrize("claimed", [4_000_001, 10**9, 2**63, 2**64 - 1])
def test_a_header_without_end_is_not_read(claimed: int, path: Path) -> None:
    is_refused_unread(path, LONG, b"", claimed, min(claimed, 10**9))


def test_metadata_without_end_are_not_read(path: Path) -> None:
    tensors, document = content()
    document["origin"]["notes"] = "a" * 4_000_000
    write(path, tensors, document)
    with pytest.raises(UsageError, match=LONG):
        load(path)


def test_sizes_are_checked_before_tensors_are_read(path: Path) -> None:
    """Ten gigabytes of zeros."""
    metadata = {"case": json.dumps(content()[1])}
    x = {"dtype": "F32", "shape": [5 * 10**8, 5], "data_offsets": [0, 10**10]}
    header = json.dumps({"__metadata__": metadata, "x": x}).encode()
    is_refused_unread(path, "must be", header, len(header), len(header) + 10**10)


# ---- random files -------------------------------------------------------------------------------

RANDOM = hypothesis.settings(
    max_examples=1_000 if FUZZ else 60,
    deadline=None,
    suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture],
)


def loads_or_complains(path: Path) -> None:
    """A file is a case, which can be saved and loaded, or the complaint is a UsageError."""
    complaint = ""
    try:
        found = load(path)
    except UsageError as error:
        complaint = str(error)
    assert complaint.isprintable()
    if not complaint:
        save(found, path)
        assert same(load(path), found)


@RANDOM
@hypothesis.given(data=st.binary(max_size=500))
def test_random_bytes(data: bytes, path: Path) -> None:
    path.write_bytes(data)
    loads_or_complains(path)
    path.write_bytes(struct.pack("<Q", len(data)) + data)
    loads_or_complains(path)


GOOD = {
    kind: safetensors.numpy.save(tensors, {"case": json.dumps(document)})
    for kind in ("steps", "gradients", "start")
    for tensors, document in [content(kind)]
}


@RANDOM
@hypothesis.given(
    kind=st.sampled_from(list(GOOD)),
    flips=st.lists(st.tuples(st.floats(0, 1), st.integers(1, 255)), min_size=1, max_size=4),
    cut=st.one_of(st.none(), st.floats(0, 1)),
    more=st.binary(max_size=8),
)
def test_files_that_are_damaged(
    kind: str, flips: list[tuple[float, int]], cut: float | None, more: bytes, path: Path
) -> None:
    data = bytearray(GOOD[kind])
    for where, mask in flips:
        # Half of them in the header, however large the rest is.
        length = len(data) if mask % 2 else struct.unpack("<Q", GOOD[kind][:8])[0] + 8
        data[int(where * (length - 1))] ^= mask
    if cut is not None:
        del data[int(cut * len(data)) :]
    path.write_bytes(bytes(data) + more)
    loads_or_complains(path)


def test_hostile_files(path: Path) -> None:
    chance = random.Random(20)
    for _ in range(5000 if FUZZ else 50):
        path.write_bytes(spoiled(GOOD[chance.choice(sorted(GOOD))], chance))
        loads_or_complains(path)


JSON = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(),
        st.text(max_size=20),
        st.sampled_from([0, 1, 2, -1, 2**63, 2**64, 1e308, "float64", "start", "probe", "cpu\n"]),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)


@RANDOM
@hypothesis.given(kind=st.sampled_from(list(GOOD)), data=st.data())
def test_metadata_that_are_changed(kind: str, data: st.DataObject, path: Path) -> None:
    tensors, document = content(kind)
    for _ in range(data.draw(st.integers(1, 3))):
        place: Any = document
        while isinstance(place, dict) and place:
            name = data.draw(st.sampled_from(sorted(place)))
            if not isinstance(place[name], dict) or data.draw(st.booleans()):
                if data.draw(st.integers(0, 9)):
                    place[name] = data.draw(JSON)
                else:
                    del place[name]
                break
            place = place[name]
    write(path, tensors, document)
    loads_or_complains(path)


@RANDOM
@hypothesis.given(kind=st.sampled_from(list(GOOD)), data=st.data())
def test_headers_that_are_changed(kind: str, data: st.DataObject, path: Path) -> None:
    """Shapes, dtypes and offsets that do not match, however large."""
    length = struct.unpack("<Q", GOOD[kind][:8])[0]
    header = json.loads(GOOD[kind][8 : 8 + length])
    name = data.draw(st.sampled_from(sorted(header)))
    if name == "__metadata__" or not data.draw(st.integers(0, 4)):
        header[name] = data.draw(JSON)
    else:
        numbers = st.one_of(st.integers(0, 5), st.integers(-(2**70), 2**70))
        field = data.draw(st.sampled_from(["dtype", "shape", "data_offsets"]))
        header[name][field] = data.draw(
            st.one_of(
                JSON, st.lists(numbers, max_size=3), st.sampled_from(["F64", "BF16", "F8_E4M3"])
            )
        )
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + GOOD[kind][8 + length :])
    loads_or_complains(path)
