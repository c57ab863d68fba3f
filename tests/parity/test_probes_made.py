"""Probes that are made: every pair of values occurs, and each probe can be made of its name."""

from itertools import combinations
from typing import Any

import pytest

from parity.probes import FAMILIES, probe_named, share
from parity.probes.covering import Row, covering
from parity.probes.family import Family

families = pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)


def pairs(rows: list[Row]) -> set[Any]:
    return {pair for row in rows for pair in combinations(row.items(), 2)}


@families
def test_every_pair_that_fits_occurs(family: Family) -> None:
    found = pairs(family.rows)
    assert all(family.fits(dict(pair)) for pair in found)
    wanted = {
        ((a, x), (b, y))
        for a, b in combinations(family.dimensions, 2)
        for x in family.dimensions[a]
        for y in family.dimensions[b]
        if family.fits({a: x, b: y})
    }
    # Others leave no value for a third dimension.
    assert len(wanted - found) <= 0.02 * len(wanted)


def test_pairs_that_leave_nothing_for_a_third_dimension_are_left_out() -> None:
    dimensions = {"a": "pq", "b": "rs", "c": "tu"}

    def fits(pair: Row) -> bool:
        return not {*pair.values()} & {"p"} or not {*pair.values()} & {"r"}

    def narrow(pair: Row) -> bool:
        return {*pair.values()} not in ({"p", "t"}, {"p", "u"})

    assert pairs(covering(dimensions, fits)) == {
        pair for pair in pairs(covering(dimensions)) if fits(dict(pair))
    }
    assert {row["a"] for row in covering(dimensions, narrow)} == {"q"}


@families
def test_a_probe_is_made_of_its_name(family: Family) -> None:
    names = [*map(family.name_of, family.rows)]
    assert len(set(names)) == len(names)
    rows = dict(zip(names, family.rows, strict=True))
    for name, row in list(rows.items())[::50]:
        probe, like = probe_named(name), family.make(**row)
        assert (probe.name, probe.exact, [*probe.inputs]) == (name, like.exact, [*like.inputs])
    for wrong in (f"{family.name}-nothing_such", f"{names[0]}-size=3", family.name):
        with pytest.raises(KeyError):
            probe_named(wrong)


def test_consecutive_seeds_run_all() -> None:
    for family in FAMILIES.values():
        seen = {name for seed in range(7, 7 + family.parts) for name in family.share(seed)}
        assert {*map(family.name_of, family.rows)} <= seen
    assert share(0) != share(1)
    assert share(3) == share(3 + 48)
    assert len(set(share(0))) == len(share(0))
