"""JSON documents: their text, and the schemas they keep to."""

import json
import math
from collections.abc import Mapping
from importlib import resources
from typing import Any

import numpy as np


def to_json(document: Mapping[str, Any]) -> str:
    """Return a document as text: ASCII, keys in its own order, ending in a newline.

    A number that is not finite becomes `null`: JSON has no NaN. NumPy scalars become numbers of the
    same value, arrays and tuples become lists.

    Raises `TypeError` naming the place of anything else that JSON cannot hold.
    """
    return json.dumps(_plain(document, "document"), indent=2, allow_nan=False) + "\n"


def schema(name: str) -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of a kind of document: report, bench or case."""
    text = (resources.files("parity") / f"schemas/{name}.schema.json").read_text(encoding="utf-8")
    content: dict[str, Any] = json.loads(text)
    return content


def _plain(value: Any, place: str) -> Any:
    if isinstance(value, np.generic | np.ndarray):
        value = value.tolist()
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, list | tuple):
        return [_plain(item, f"{place}[{index}]") for index, item in enumerate(value)]
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str):
                raise TypeError(f"{place} has the key {key!r}: keys in JSON are strings")
        return {key: _plain(item, f"{place}[{key!r}]") for key, item in value.items()}
    raise TypeError(
        f"{place} is a {type(value).__name__}, which JSON cannot hold: give a number, text or list"
    )
