"""Where something was found that a recording depends on, and whether it is there still."""

import operator
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from minigrad.capture.codegen import Writer, any_of

Where = tuple[int, Callable[[Any, Any], Any], Any]
"""The id of an owner, how it is read, and the key."""


class Place(NamedTuple):
    """Where something was found: `read(owner, key)` returned `value`."""

    where: Where
    owner: Any
    value: Any

    @property
    def read(self) -> Callable[[Any, Any], Any]:
        """How the owner is read."""
        return self.where[1]

    @property
    def key(self) -> Any:
        """What of the owner is read."""
        return self.where[2]

    def holds(self, value: Any) -> bool:
        """Return whether this value was found there."""
        return _are_same(self.value, value) if self.read is contents else _same(self.value, value)

    def change(self, writer: Writer) -> str:
        """Return an expression that is true, or raises an error, if something else is there."""
        # Named, so that Python does not compute an item of the placeholder when it compiles.
        owner = f"(_ := {writer.constant(self.owner)})"
        if self.read is operator.contains:
            return f"{self.key!r} in {owner}"
        if self.read is operator.getitem:
            return _differs(writer, f"{owner}[{self.key!r}]", self.value)
        if self.read is getattr:
            return _differs(writer, f"{owner}.{self.key}", self.value)
        if self.read is function_of:
            return _differs(writer, f"{owner}.{self.key}.__func__", self.value)
        if not self.value:
            return owner
        parts = f"[*{owner}, *{owner}.values()]" if isinstance(self.owner, dict) else f"[*{owner}]"
        if isinstance(self.owner, np.ndarray):
            parts = f"[{owner}.tobytes()]"
        if all(map(_is_by_identity, self.value)):
            return f"{parts} != {writer.constant(self.value)}"
        if isinstance(self.owner, list) and len(self.value) <= FEW:
            items = (_differs(writer, f"{owner}[{i}]", part) for i, part in enumerate(self.value))
            return any_of([f"len({owner}) != {len(self.value)}", *items])
        same = writer.name(_are_same, "are_same")
        return f"not {same}({parts}, {writer.constant(self.value)})"


NUMBERS_AND_TEXTS = int, float, complex, str, bytes

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
    return all(map(_same, some, others))


def _same(x: Any, y: Any) -> bool:
    """Return whether these are one object, or the same number or text; 0.0 and -0.0 are not."""
    return x is y or (type(x) is type(y) and type(x) in NUMBERS_AND_TEXTS and repr(x) == repr(y))


def _differs(writer: Writer, text: str, value: Any) -> str:
    """Return the expression that is true if something is not the same as a value."""
    test = writer.is_not(text, value)
    if type(value) not in NUMBERS_AND_TEXTS:
        return test
    return f"{test} and not {writer.name(_same, 'same')}({text}, {writer.constant(value)})"


def _is_by_identity(value: Any) -> bool:
    """Return whether only the same object, or the same text, is equal to a value."""
    equal: Any = type(value).__eq__
    return type(value) in (str, bytes) or equal is object.__eq__
