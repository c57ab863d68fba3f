"""`report.json` keeps to its schema, and the schema lets nothing wrong through."""

import copy
import json
import math
import re
from typing import Any

import numpy as np
import pytest
from jsonschema import Draft202012Validator

from parity.documents import schema, to_json
from tests.parity.samples import KINDS, report_of

VALIDATOR = Draft202012Validator(schema("report"))


def rightfit(document: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = document["architectures"][1]
    assert found["name"] == "rightfit"
    return found


def test_the_schema_is_one() -> None:
    Draft202012Validator.check_schema(schema("report"))


@pytest.mark.parametrize("kind", KINDS)
def test_documents_are_valid_and_survive_json(kind: str) -> None:
    document = report_of(kind).document
    assert json.loads(to_json(document)) == document
    VALIDATOR.validate(document)


def test_fields_may_be_added() -> None:
    document = report_of("complete").document
    for place in (document, document["settings"], rightfit(document), rightfit(document)["steps"]):
        place["added"] = {"anything": [1, "x", None]}
    VALIDATOR.validate(document)


def objects(value: Any) -> list[dict[str, Any]]:
    """All objects within a document, except the environment, which is free in form."""
    if isinstance(value, dict):
        return [
            value,
            *(o for key, item in value.items() if key != "environment" for o in objects(item)),
        ]
    return [o for item in value for o in objects(item)] if isinstance(value, list) else []


OPTIONAL = {"samples", "quick", "actual", "expected", "budget", "case", "first_node", "probes"}
OPTIONAL |= {
    "per_parameter",
    "aggregate_used",
    "problem",
    "wrong",
    "true",
    "factor",
    "source",
    "names",
}


def test_every_field_that_is_fixed_is_required() -> None:
    complete = report_of("complete", ("rightfit",)).document
    dropped = 0
    for position, place in enumerate(objects(complete)):
        for field in place:
            document = copy.deepcopy(complete)
            del objects(document)[position][field]
            if field not in OPTIONAL or ("passed" in place and field in ("actual", "expected")):
                assert not VALIDATOR.is_valid(document), f"{field} of {place} may be missing"
                dropped += 1
    assert dropped > 60


@pytest.mark.parametrize("wrong", [math.nan, math.inf, "x", -1.5, []])
def test_every_field_has_its_type(wrong: object) -> None:
    complete = report_of("complete", ("rightfit",)).document
    texts = {"name", "device", "engine", "against", "parameter", "probe", "tensor"}
    texts |= {"node", "operation", "rule", "receiver"}
    lists = {"index", "failed", "source", "sizes", "nodes", "names"}
    free = texts if wrong == "x" else set()
    free |= {"learning_rate"} if wrong == -1.5 else set()
    free |= lists if wrong == [] else set()
    for position, place in enumerate(objects(complete)):
        values = (
            {"actual", "expected", "true", "factor"} if wrong == -1.5 and "rule" in place else set()
        )
        if wrong == [] and "receiver" in place:
            values = {"output", "parameters"}
        for field in set(place) - free - values:
            document = copy.deepcopy(complete)
            objects(document)[position][field] = wrong
            assert not VALIDATOR.is_valid(document), f"{field} of {place} may be {wrong!r}"


@pytest.mark.parametrize("seed", [-1, 2**64, 0.5, "0", None])
def test_a_seed_that_torch_would_not_take_is_invalid(seed: object) -> None:
    document = report_of().document
    document["settings"]["seed"] = 2**64 - 1
    VALIDATOR.validate(document)
    document["settings"]["seed"] = seed
    assert not VALIDATOR.is_valid(document)


def test_json_of_numpy_and_of_what_is_not_finite() -> None:
    document = {
        "nan": math.nan,
        "inf": [-math.inf, np.float32("inf")],
        "hex": math.inf.hex(),
        "float32": np.float32(0.1),
        "count": np.int64(3),
        "flag": np.bool_(True),
        "index": (np.int64(1), 2),
        "array": np.arange(2),
        "big": 2**64 - 1,
    }
    assert list(json.loads(to_json(document)).items()) == [
        ("nan", None),
        ("inf", [None, None]),
        ("hex", "inf"),
        ("float32", float(np.float32(0.1))),
        ("count", 3),
        ("flag", True),
        ("index", [1, 2]),
        ("array", [0, 1]),
        ("big", 2**64 - 1),
    ]


@pytest.mark.parametrize("value", [object(), 1j, {1: 2}, {"x"}])
def test_json_names_the_place_of_what_it_cannot_hold(value: object) -> None:
    with pytest.raises(TypeError, match=re.escape("document['a'][1]")):
        to_json({"a": [0, value]})
