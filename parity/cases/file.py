"""Files of cases: one safetensors file each, so that loading one runs no code.

Its tensors are `x`, `y` and, by the parameters' names, `parameters.…` and `momentum_buffers.…`; its
metadata have one text, `case`: JSON that keeps to `parity/schemas/case.schema.json`. What is drawn
from a seed, in the kinds `start` and `probe`, is drawn again and has no tensors. A file may come
from anywhere: nothing in it is believed before it is checked.
"""

import functools
import itertools
import json
import math
import re
import struct
from collections.abc import Iterator, Mapping
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy
from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match
from safetensors import SafetensorError, safe_open

from minigrad.architectures import MOST_PARAMETERS, check_size
from minigrad.files import write_whole
from parity.cases.case import Case
from parity.documents import schema, to_json
from parity.engines.protocol import Task
from parity.errors import UsageError
from parity.problems.data import Data
from parity.problems.parts import chain_shapes
from parity.problems.written import Problem

VERSION = 1
"""Of the format. One that is newer is refused."""

MOST_HEADER_BYTES = 4_000_000
MOST_ENTRIES = 20_000
"""Of tensors, and of values in the metadata."""
DTYPES = {"F32": "float32", "F64": "float64"}
"""The dtypes of safetensors that a case may have."""


def save(case: Case, path: str | Path) -> None:
    """Write the case to a file, whole or not at all.

    Raises:
        UsageError: the network is larger than `load` takes.
        OSError: the file cannot be written.
    """
    document = {
        "version": VERSION,
        "kind": case.kind,
        "engines": dict(zip(("actual", "expected"), case.engines, strict=True)),
        "task": _told(case.task),
        **({"step": case.start.step} if case.start is not None and case.start.step else {}),
        **({"probe": case.probe} if case.probe is not None else {}),
        **{name: getattr(case, name) for name in ("verdict", "origin", "environment")},
    }
    text = to_json(document)
    try:
        _check_sizes(_task(_document(text)))
        _check_shapes(case, {name: array.shape for name, array in case.tensors.items()})
    except ValueError as error:
        raise UsageError(f"cannot save the case {path}: {error}") from error
    contiguous = {name: np.ascontiguousarray(array) for name, array in case.tensors.items()}
    write_whole(path, safetensors.numpy.save(contiguous, {"case": text}))


def load(path: str | Path) -> Case:
    """Read a case; nothing in the file is believed before it is checked.

    Raises:
        UsageError: the file cannot be read, is no safetensors file, is damaged or cut short, is of
            a newer version, or does not hold what a case must hold.
    """
    try:
        _check_header(Path(path))
        with safe_open(path, framework="numpy") as file:
            return _read(file)
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror or error}") from error
    except SafetensorError as error:
        raise UsageError(
            f"{path} is no safetensors file, is damaged or cut short ({_shown(str(error))}): give "
            "a case that `parity run` wrote"
        ) from error
    except ValueError as error:
        raise UsageError(f"{path} is no case that can be replayed: {error}") from error


@functools.cache
def validator() -> Draft202012Validator:
    """Return a validator for the JSON Schema (draft 2020-12) of a case's metadata."""
    return Draft202012Validator(schema("case"))


def _check_header(path: Path) -> None:
    """Check the header's size, the first 8 bytes, before memory is reserved for the header."""
    if not path.is_file() and path.exists():
        raise ValueError("it is no regular file")
    with path.open("rb") as file:
        first = file.read(8)
    if len(first) == 8 and struct.unpack("<Q", first)[0] > MOST_HEADER_BYTES:
        raise ValueError(
            f"its header would have more than {MOST_HEADER_BYTES:,} bytes; either it is no "
            "safetensors file or it is not of `parity run`"
        )


def _read(file: Any) -> Case:
    """Return the case in an open safetensors file; sizes are checked before tensors are read."""
    metadata = file.metadata() or {}
    if "case" not in metadata:
        raise ValueError("it is a safetensors file, but has no metadata named 'case'")
    if len(file.keys()) > MOST_ENTRIES:
        raise ValueError(f"it has {len(file.keys()):,} tensors, and {MOST_ENTRIES:,} is the most")
    document = _document(metadata["case"])
    task = _task(document)
    _check_sizes(task)
    case = Case(
        document["kind"],
        (document["engines"]["actual"], document["engines"]["expected"]),
        task,
        None,
        {},
        document["verdict"],
        document["origin"],
        document["environment"],
        document.get("probe"),
    )
    slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118, it is no mapping
    _check_shapes(case, {name: tuple(part.get_shape()) for name, part in slices.items()})
    for name, part in slices.items():
        dtype = DTYPES.get(part.get_dtype(), part.get_dtype())
        wanted = "float64" if name == "data" else task.dtype
        if dtype != wanted and not (task.problem and name[:1] in "xy" and "." not in name):
            raise ValueError(f"its tensor {name!r} is {dtype}, and its task {wanted}")
    tensors = {name: file.get_tensor(name) for name in slices}
    finite = ("x", "y", "data") if case.resumes else ("x", "y", "data", "parameters")
    for name, array in tensors.items():
        if name.partition(".")[0] in finite and not np.isfinite(array).all():
            raise ValueError(f"its tensor {name!r} has elements that are not finite")
    if case.drawn:
        data = task.data and replace(task.data, content=tensors["data"].tobytes())
        return replace(case, task=replace(task, data=data))
    found = case.with_tensors(tensors)
    assert found.start is not None
    return replace(found, start=replace(found.start, step=int(document.get("step", 0))))


def _document(text: str) -> dict[str, Any]:
    """Return the JSON document in the metadata, which keeps to the schema."""

    def refuse(constant: str) -> None:
        raise ValueError(f"{constant} is not JSON")

    try:
        document = json.loads(text, parse_constant=refuse)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"its metadata are not JSON: {error}") from error
    count = sum(1 for _ in itertools.islice(_values(document), MOST_ENTRIES + 1))
    if count > MOST_ENTRIES:
        raise ValueError(f"its metadata have more than {MOST_ENTRIES:,} values")
    version = document.get("version") if isinstance(document, dict) else None
    if isinstance(version, int) and version > VERSION:
        raise ValueError(
            f"it has version {_shown(str(version))} of the format, and this parity knows "
            f"{VERSION}: replay it with a newer one"
        )
    wrong = best_match(validator().iter_errors(document))
    if wrong is not None:
        place = wrong.json_path.replace("$", "case", 1)
        raise ValueError(f"in its metadata, {_shown(f'{place}: {wrong.message}')}")
    written = (document["task"].get("problem") or {}).get("source")
    for found in _values(document):
        # What is not printable could command the terminal on which it is shown.
        if isinstance(found, str) and not found.isprintable() and found != written:
            raise ValueError(f"its metadata have a text that is not printable, {_shown(found)!r}")
    checked: dict[str, Any] = document
    return checked


def _task(document: Mapping[str, Any]) -> Task:
    """Return the task; to JSON Schema, 1.0 is an integer too."""
    told: dict[str, Any] = dict(document["task"])
    for field in fields(Task):
        value = told.get(field.name)
        if field.name == "sizes":
            told["sizes"] = tuple(map(int, value or ()))
        elif field.name == "problem" and value is not None:
            told["problem"] = Problem(value["name"], value["path"], value["source"])
        elif field.name == "data" and value is not None:
            told["data"] = Data(value["path"], tuple(value["columns"]), value["standardized"], b"")
        elif value is not None and not isinstance(value, str | bool):
            whole = "float" not in str(field.type)
            told[field.name] = int(value) if whole else float(value)
    task = Task(**told)
    if (task.problem is None) == (len(task.sizes) < 2):
        raise ValueError("case.task.sizes must be two layer sizes or more, or none of a problem")
    return task


def _told(task: Task) -> dict[str, Any]:
    """Return a task as JSON; options that are as they are by default are not mentioned."""
    told = asdict(task)
    for field in fields(Task):
        if field.name != "momentum" and told[field.name] == field.default:
            del told[field.name]
    if task.data is not None:
        del told["data"]["content"]  # its numbers are a tensor
    return told


def _check_sizes(task: Task) -> None:
    """Check that the network and its activations are of a size that can be trained."""
    if task.problem is not None:
        return
    parameters = sum(map(math.prod, chain_shapes(task).values()))
    if parameters > MOST_PARAMETERS:
        raise ValueError(
            f"its task, {len(task.sizes)} layer sizes up to {max(task.sizes):,}, has "
            f"{parameters:,} parameters, and {MOST_PARAMETERS:,} is the most"
        )
    check_size(task.sizes, task.samples)


def _check_shapes(case: Case, found: Mapping[str, tuple[int, ...]]) -> None:
    """Check which tensors there are, and their shapes, against the task."""
    task = case.task
    expected: dict[str, tuple[int, ...]] = {}
    if task.problem is not None:
        _check_of_problem(case, found)
        return
    if case.drawn:
        expected = {"data": (task.samples, len(task.data.columns))} if task.data else {}
    else:
        parameters = chain_shapes(task)
        expected = {"x": (task.samples, task.sizes[0]), "y": (task.samples, task.sizes[-1])}
        expected |= {f"parameters.{name}": shape for name, shape in parameters.items()}
        if task.momentum and case.resumes:
            buffers = {f"momentum_buffers.{name}": shape for name, shape in parameters.items()}
            expected |= buffers if buffers.keys() & found.keys() else {}
    for name in sorted(expected.keys() | found.keys()):
        if expected.get(name) != found.get(name):
            said = [
                "not there" if shape is None else f"of shape {list(shape)}"
                for shape in (found.get(name), expected.get(name))
            ]
            raise ValueError(
                f"its tensor {_shown(repr(name))} is {said[0]}; for this task it must be {said[1]}"
            )


def _check_of_problem(case: Case, found: Mapping[str, tuple[int, ...]]) -> None:
    """Check the tensors of a problem, whose shapes are not known before it is run."""
    if case.drawn:
        return
    for name, shape in found.items():
        kind, _, of = name.partition(".")
        known = kind in ("x", "y") or re.fullmatch(r"x[1-9]\d?", kind)
        if (of and kind not in ("parameters", "momentum_buffers")) or not (of or known):
            raise ValueError(f"its tensor {_shown(repr(name))} is none that a case has")
        if not of and shape[:1] != (case.task.samples,):
            raise ValueError(f"its tensor {name!r} has not {case.task.samples:,} rows: {shape}")
        if kind == "momentum_buffers" and found.get(f"parameters.{of}") != shape:
            raise ValueError(f"its tensor {_shown(repr(name))} has no parameter of its shape")
    if not {"x", "y"} <= found.keys():
        raise ValueError("its tensors 'x' and 'y' are not both there")
    if sum(map(math.prod, found.values())) > MOST_PARAMETERS:
        raise ValueError(f"its tensors have more than {MOST_PARAMETERS:,} numbers")


def _values(document: Any) -> Iterator[Any]:
    """Yield all that is in a document, names too, however deep."""
    waiting = [document]
    while waiting:
        value = waiting.pop()
        yield value
        if isinstance(value, dict):
            waiting += [*value.keys(), *value.values()]
        elif isinstance(value, list):
            waiting += value


def _shown(text: str) -> str:
    """Return the text, which may come from anywhere, as a terminal can show it."""
    plain = "".join(c if c.isprintable() else "?" for c in text[:200])
    return plain if len(text) <= 200 else f"{plain}…"
