"""Saving and loading tensors: files that the safetensors package reads and writes for torch too."""

import json
import random
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors
import safetensors.torch
import torch

import minigrad
from minigrad import nn
from minigrad.safetensors import load_file, save_file
from tests.hostile import spoiled
from tests.minigrad.operations import FUZZ


def samples(T: Any) -> dict[str, Any]:
    return {
        "float32": T.tensor([[1.5, -0.0], [float("inf"), 1e-45]]),
        "float64": T.tensor([0.1, float("-inf")], dtype=T.float64),
        "int64": T.tensor([2**62, -1]),
        "bool": T.tensor([[True], [False]]),
        "a number": T.tensor(3.5),
        "empty": T.zeros(0, 3),
        "transposed": T.arange(6).reshape(2, 3).t(),
        "every second": T.arange(6)[::2],
        "requires a gradient": T.ones(2, requires_grad=True),
    }


def same(ours: dict[str, Any], theirs: dict[str, Any]) -> bool:
    def bits(x: Any) -> Any:
        array = x.detach().numpy()
        return array.dtype, array.shape, array.tobytes()

    return {k: bits(v) for k, v in ours.items()} == {k: bits(v) for k, v in theirs.items()}


def test_torch_reads_what_minigrad_saves(tmp_path: Path) -> None:
    save_file(samples(minigrad), tmp_path / "model.safetensors", {"epoch": "5", "ü": ""})
    loaded = safetensors.torch.load_file(tmp_path / "model.safetensors")
    assert same(loaded, samples(torch))
    with safetensors.safe_open(tmp_path / "model.safetensors", "pt") as file:
        assert file.metadata() == {"epoch": "5", "ü": ""}


def test_minigrad_reads_what_torch_saves(tmp_path: Path) -> None:
    tensors = {name: x.detach().contiguous() for name, x in samples(torch).items()}
    safetensors.torch.save_file(tensors, tmp_path / "model.safetensors")
    loaded = load_file(tmp_path / "model.safetensors")
    assert same(loaded, samples(torch))
    for value in loaded.values():
        assert isinstance(value, minigrad.Tensor)
        assert not value.requires_grad
        value.zero_()  # its memory is its own


def test_a_network_moves_from_engine_to_engine(tmp_path: Path) -> None:
    ours = nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 1))
    theirs: Any = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.Tanh(), torch.nn.Linear(3, 1))
    path = str(tmp_path / "model.safetensors")
    save_file(ours.state_dict(), path)
    theirs.load_state_dict(safetensors.torch.load_file(path))
    assert same(ours.state_dict(), theirs.state_dict())
    with torch.no_grad():
        theirs[0].weight.fill_(0.5)
    safetensors.torch.save_file(theirs.state_dict(), path)
    assert repr(ours.load_state_dict(load_file(path))) == "<All keys matched successfully>"
    assert same(ours.state_dict(), theirs.state_dict())


def test_shared_parameters_are_saved_under_each_name(tmp_path: Path) -> None:
    first = nn.Linear(1, 1)
    net = nn.Sequential(first, first)
    save_file(net.state_dict(), tmp_path / "x")
    assert list(load_file(tmp_path / "x")) == ["0.bias", "0.weight", "1.bias", "1.weight"]


def test_nothing_is_saved_as_well(tmp_path: Path) -> None:
    save_file({}, tmp_path / "x")
    assert load_file(tmp_path / "x") == {}


# ---- refusals --------------------------------------------------------------------------------


def header(entries: dict[str, Any], data: bytes = b"") -> bytes:
    text = json.dumps(entries).encode()
    return len(text).to_bytes(8, "little") + text + data


def entry(dtype: str, shape: list[int], start: int, end: int) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"junk" * 100,
        b"\x80\x04\x95" + bytes(50),  # a pickle
        header({"a": entry("F32", [2], 0, 8)}, bytes(7)),  # cut short
        header({"a": entry("F32", [3], 0, 8)}, bytes(8)),  # shape and size differ
        header({"a": entry("F32", [2], 0, 8)}, bytes(9)),  # bytes left over
        header({"a": entry("F99", [2], 0, 8)}, bytes(8)),
        header({"a": {"dtype": "F32"}}),
        header({"a": {"dtype": "BOOL", "shape": [2], "data_offsets": [0, 2]}}, b"\1\7"),
        (1 << 60).to_bytes(8, "little") + b"{}",
    ],
)
def test_damaged_files_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    with pytest.raises(
        ValueError, match=r"model\.safetensors' is (no valid safetensors file|damaged)"
    ):
        load_file(path)


def test_hostile_files_load_or_are_refused(tmp_path: Path) -> None:
    path, chance = tmp_path / "x", random.Random(20)
    save_file(samples(minigrad), path, {"epoch": "5"})
    good = path.read_bytes()
    for number in range(5000 if FUZZ else 100):
        path.write_bytes(spoiled(good, chance))
        said = ""
        try:
            found = load_file(path)
        except ValueError as error:
            said = str(error)
        assert not said or re.search("no valid safetensors|is damaged|convert it", said), number
        if not said:
            save_file(found, path)
            assert same(load_file(path), found), number


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "int32", "uint8"])
def test_dtypes_that_minigrad_has_not_are_refused(tmp_path: Path, dtype: str) -> None:
    safetensors.torch.save_file({"a": torch.ones(2).to(getattr(torch, dtype))}, tmp_path / "x")
    with pytest.raises(ValueError, match=r"float32, float64, int64, bool only"):
        load_file(tmp_path / "x")


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        load_file(tmp_path / "x")


@pytest.mark.parametrize(
    ("tensors", "metadata", "words"),
    [
        ([1], None, "mapping of names to tensors, not list"),
        ({"a": 3}, None, "builtins.int"),
        ({"a": torch.ones(1)}, None, "torch.Tensor"),
        ({"a": np.ones(1)}, None, "numpy.ndarray"),
        ({3: minigrad.ones(1)}, None, "got 3"),
        ({}, {"epoch": 5}, "metadata must be texts"),
        ({"__metadata__": minigrad.ones(1)}, None, "the format's own name: rename the tensor"),
        ({"a\ud800": minigrad.ones(1)}, None, "has no form in UTF-8"),
        ({}, {"a": "\ud800"}, "has no form in UTF-8"),
    ],
)
def test_what_cannot_be_saved(tensors: Any, metadata: Any, words: str, tmp_path: Path) -> None:
    with pytest.raises((TypeError, ValueError), match=words):
        save_file(tensors, tmp_path / "x", metadata)
    assert list(tmp_path.iterdir()) == []


def test_what_to_install_is_said_where_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "safetensors", None)
    with pytest.raises(ModuleNotFoundError, match="pip install safetensors"):
        save_file({}, "never")
