"""Covering arrays: few rows in which every two values of two dimensions meet.

Most faults need one value of one dimension, or two of two (Kuhn, Wallace and Gallo 2004, *Software
fault interactions and implications for software testing*): so pairs are enough, and there are far
fewer of them than of all combinations.
"""

from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate, combinations
from typing import Any

import numpy as np

Row = dict[str, Any]
"""A value for each dimension, by its name."""


def covering(
    dimensions: Mapping[str, Sequence[Any]], fits: Callable[[Row], bool] = lambda pair: True
) -> list[Row]:
    """Return rows in which each pair of values of two dimensions occurs that fit together.

    Greedy: a row begins with a pair that has not occurred; then each dimension, the longest first,
    takes the value that makes most new pairs with those chosen. The rows are always the same.

    Args:
        dimensions: the values of each, by its name.
        fits: called with two values, by their dimensions' names: whether a row may have both. A
            pair that fits is left out if it leaves no value for a third dimension.

    Raises:
        ValueError: three or more values that fit one another leave none for a further dimension.
    """
    names = sorted(dimensions, key=lambda name: -len(dimensions[name]))
    values = [(name, value) for name in names for value in dimensions[name]]
    ends = list(accumulate(len(dimensions[name]) for name in names))
    ranges = [slice(end - len(dimensions[n]), end) for n, end in zip(names, ends, strict=True)]
    allowed = np.eye(len(values), dtype=bool)
    for a, b in combinations(ranges, 2):
        found = [[fits(dict((x, y))) for y in values[b]] for x in values[a]]
        allowed[a, b], allowed[b, a] = found, np.transpose(found)
    before = 0
    while before != (now := int(allowed.sum())):  # a third dimension rules pairs out
        before = now
        for part in ranges:
            allowed &= allowed[:, part].astype(np.float32) @ allowed[part].astype(np.float32) > 0
    missing = allowed & ~np.eye(len(values), dtype=bool)
    rng = np.random.default_rng(0)
    rows = []
    for first in range(len(values)):
        while missing[first].any():
            second = int(missing[first].argmax())
            can = allowed[first] & allowed[second]
            new = rng.random(len(values)) + missing[first] + missing[second]
            chosen = [first, second]
            for part in ranges:
                if any(part.start <= each < part.stop for each in (first, second)):
                    continue
                if not can[part].any():
                    met = dict(values[each] for each in chosen)
                    raise ValueError(f"{met} leave no value for {values[part.start][0]}")
                best = part.start + int(np.where(can[part], new[part], -1).argmax())
                chosen.append(best)
                can &= allowed[best]
                new += missing[best]
            missing[np.ix_(chosen, chosen)] = False
            row = dict(values[each] for each in chosen)
            rows.append({name: row[name] for name in dimensions})
    return rows
