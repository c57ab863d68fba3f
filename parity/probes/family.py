"""`Family`: probes that are made for choices among several dimensions, not written one by one.

A member's name is the family's, the value of the first dimension, and those of the others that are
not the plainest, such as "operation-mul-uses=twice". So a probe can be made of its name alone, and
what is handed about are the names of those that a run has.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from parity.probes.covering import Row, covering
from parity.probes.probe import Probe


def singly(dimensions: Mapping[str, Sequence[Any]], *names: str) -> list[Row]:
    """Return the plainest row, and those that differ from it in one of these dimensions."""
    plainest = {name: values[0] for name, values in dimensions.items()}
    return [
        plainest,
        *({**plainest, name: value} for name in names for value in dimensions[name][1:]),
    ]


@dataclass(frozen=True)
class Family:
    """One probe for every row of a covering array.

    Attributes:
        name: of one word.
        dimensions: the values of each, words or numbers, by its name; the plainest is the first.
        make: called with a value for each dimension, returns the probe, yet without its name.
        fits: called with two values, by their dimensions' names: whether they can be together.
        size: how large the probe of a row is; the smallest come first.
        parts: how many seeds share the rows.
        always: rows that each of them has beside.
    """

    name: str
    dimensions: Mapping[str, Sequence[Any]]
    make: Callable[..., Probe]
    fits: Callable[[Row], bool] = lambda pair: True
    size: Callable[[Row], int] = lambda row: 0
    parts: int = 16
    always: Sequence[Row] = ()

    @cached_property
    def rows(self) -> list[Row]:
        """The covering array."""
        return covering(self.dimensions, self.fits)

    def share(self, seed: int) -> list[str]:
        """Return the names of a seed's probes: of all seeds, then its own, small ones first."""
        own = sorted(self.rows[seed % self.parts :: self.parts], key=self.size)
        return [self.name_of(row) for row in (*self.always, *own)]

    def name_of(self, row: Row) -> str:
        """Return the name of the probe of a row."""
        (first, *others), plainest = row, self.plainest
        shown = [f"{name}={row[name]}" for name in others if row[name] != plainest[name]]
        return "-".join([self.name, str(row[first]), *shown])

    @property
    def plainest(self) -> Row:
        """The first value of each dimension."""
        return {name: values[0] for name, values in self.dimensions.items()}

    @cached_property
    def words(self) -> dict[str, dict[str, Any]]:
        """The values of each dimension by what they are called."""
        return {
            name: {str(value): value for value in values}
            for name, values in self.dimensions.items()
        }

    def probe(self, name: str) -> Probe:
        """Return the probe of this name.

        Raises:
            KeyError: there is none.
        """
        row = self.plainest
        first, *shown = name.removeprefix(f"{self.name}-").split("-")
        for each in (f"{next(iter(row))}={first}", *shown):
            dimension, _, word = each.partition("=")
            row[dimension] = self.words[dimension][word]
        return replace(self.make(**row), name=name)
