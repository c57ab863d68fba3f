"""Where something was found that a recording depends on, and whether it is there still."""

import operator
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from minigrad.capture.codegen import Namespace


class Place(NamedTuple):
    """Where something was found: `read(owner, key)` returned `value`."""

    identity: int
    read: Callable[[Any, Any], Any]
    key: Any
    owner: Any
    value: Any
    label: str

    def holds(self, value: Any) -> bool:
        """Return whether this value was found there."""
        return _are_same(self.value, value) if self.read is contents else self.value is value

    def change(self, names: Namespace) -> str:
        """Return an expression that is true, or raises an error, if something else is there."""
        owner, value = names.of(self.owner, "owner"), names.of(self.value, self.label)
        if self.read is operator.contains:
            return f"{self.key!r} in {owner}"
        if self.read is operator.getitem:
            return f"{owner}[{self.key!r}] is not {value}"
        if self.read is getattr:
            return f"{owner}.{self.key} is not {value}"
        if self.read is function_of:
            return f"{owner}.{self.key}.__func__ is not {value}"
        if not self.value:
            return owner
        parts = f"[*{owner}, *{owner}.values()]" if isinstance(self.owner, dict) else f"[*{owner}]"
        if isinstance(self.owner, np.ndarray):
            parts = f"[{owner}.tobytes()]"
        if all(map(_is_by_identity, self.value)):
            return f"{parts} != {value}"
        if isinstance(self.owner, list) and len(self.value) <= FEW:
            items = [names.of(part, self.label) for part in self.value]
            others = [f"{owner}[{i}] is not {item}" for i, item in enumerate(items)]
            return " or ".join([f"len({owner}) != {len(items)}", *others])
        return f"not {names.of(_are_same, 'are_same')}({parts}, {value})"


FEW = 8
"""The most items of a list that are compared one by one, which takes less time for a few."""


def contents(thing: Any, _: object) -> list[Any]:
    """Return what is in a container or an array."""
    if isinstance(thing, np.ndarray):
        return [thing.tobytes()]
    return [*thing, *thing.values()] if isinstance(thing, dict) else [*thing]


def function_of(owner: Any, key: str) -> Any:
    """Return the function of a method."""
    return getattr(owner, key).__func__


def _are_same(some: list[Any], others: list[Any]) -> bool:
    if len(some) != len(others):
        return False
    return all(
        x is y or (type(x) is type(y) is bytes and x == y)
        for x, y in zip(some, others, strict=True)
    )


def _is_by_identity(value: Any) -> bool:
    """Return whether only the same object, or the same text, is equal to a value."""
    equal: Any = type(value).__eq__
    return type(value) in (str, bytes) or equal is object.__eq__
