"""What has become slower since an older `bench.json`.

Only ratios carry over from one moment of a machine to another, let alone to another machine: an
engine is compared with a peer that both documents timed. It has become slower, or faster, if the
confidence intervals of the two ratios do not meet.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jsonschema

from parity.documents import schema
from parity.errors import UsageError


class Change(NamedTuple):
    """How an engine's speed beside a peer's has changed.

    Attributes:
        architecture, engine, against: what is compared.
        before, after: the ratios, (median, low, high): how many times as fast as `against`.
    """

    architecture: str
    engine: str
    against: str
    before: tuple[float, float, float]
    after: tuple[float, float, float]

    @property
    def verdict(self) -> str:
        """`slower`, `faster` or `same`: whether the two intervals meet."""
        if self.after[2] < self.before[1]:
            return "slower"
        return "faster" if self.after[1] > self.before[2] else "same"

    def __str__(self) -> str:
        then, now = (
            f"{median:.2f} [{low:.2f} – {high:.2f}]"
            for median, low, high in (self.before, self.after)
        )
        return (
            f"{self.architecture}: {self.engine} is {self.verdict}: {now} times as fast as "
            f"{self.against}, was {then}"
        )


def read(path: str | Path) -> dict[str, Any]:
    """Return the document of a `bench.json`.

    Raises:
        UsageError: it cannot be read, or is none.
    """
    try:
        document: dict[str, Any] = json.loads(Path(path).read_text(encoding="utf-8"))
        jsonschema.validate(document, schema("bench"))
    except OSError as error:
        raise UsageError(f"cannot read the baseline {path}: {error.strerror}") from error
    except (ValueError, RecursionError, jsonschema.ValidationError) as error:
        reason = error.message if isinstance(error, jsonschema.ValidationError) else error
        raise UsageError(f"the baseline {path} is no bench.json: {reason}") from error
    return document


def require_comparable(
    before: Mapping[str, Any],
    architectures: Iterable[str],
    engines: Iterable[str],
    against: str,
    read_losses: bool = False,
) -> None:
    """Check, before anything is timed, that a baseline has something to compare.

    Raises:
        UsageError: no engine was held against `against` there on any of the architectures, or
            losses were read there and are not to be now, or the reverse.
    """
    if before.get("read_losses", False) != read_losses:
        give, read = ("without", "not ") if read_losses else ("with", "")
        raise UsageError(f"in the baseline losses were {read}read: compare {give} --read-losses")
    wanted = {(architecture, engine) for architecture in architectures for engine in engines}
    if not wanted & _ratios(before, against).keys():
        known = sorted({result["engine"] for result in before["results"]})
        where = sorted({result["architecture"] for result in before["results"]})
        raise UsageError(
            f"the baseline has nothing to compare with {against}: it timed {', '.join(known)} on "
            f"{', '.join(where)}. Name two of these engines, and one of these architectures"
        )


def changes(before: Mapping[str, Any], after: Mapping[str, Any], against: str) -> list[Change]:
    """Return how every engine compares with `against`, wherever both documents say it."""
    old, new = _ratios(before, against), _ratios(after, against)
    return [Change(*key, against, old[key], new[key]) for key in new if key in old]


def _ratios(
    document: Mapping[str, Any], against: str
) -> dict[tuple[str, str], tuple[float, float, float]]:
    """Return (median, low, high) by architecture and engine."""
    return {
        (ratio["architecture"], ratio["engine"]): (ratio["median"], ratio["low"], ratio["high"])
        for ratio in document["ratios"]
        if ratio["against"] == against
    }
