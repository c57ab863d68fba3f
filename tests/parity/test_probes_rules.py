"""Every rule and every derivative, spoiled: a probe that runs it fails and names it."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import pytest

import minigrad
from minigrad.ops import RULES
from parity.probes import PROBES
from parity.probes.run import run_probes
from tests.parity.spoiler import Function, Spoiler, verdict
from tests.parity.test_probes import functions_of_rules, place, watched


@functools.cache
def probes_that_run() -> dict[str, list[str]]:
    """Return for every function of the rules the probes that run it."""
    names = {function.__code__: function.__name__ for function in functions_of_rules()}
    found: dict[str, list[str]] = {name: [] for name in names.values()}
    for probe in PROBES:
        seen = watched(lambda probe=probe: list(run_probes(minigrad, "float32", 0, [probe])))  # type: ignore[misc]
        for code in seen & names.keys():
            found[names[code]].append(probe)
    return found


def changed(right: Function, *arguments: Any, **options: Any) -> Any:
    """Return what the function returns, a little larger; of masks the opposite."""
    out = right(*arguments, **options)
    if out.dtype.kind != "f":
        return np.equal(out, False) if out.dtype.kind == "b" else np.add(out, 1)
    return np.multiply(out, 1 + 1e-5)


FUNCTIONS = [
    (rule.name, by)
    for rule in RULES.values()
    for by in [None, *rule._backwards]
    if (rule.name, by) != ("sign", "x")  # a derivative that is 0 everywhere
]


INDIRECT = {"clone", "logical_and", "sign"}
"""Also run by the tape, or by derivatives alone: what runs them is named."""


@pytest.mark.parametrize(("name", "by"), FUNCTIONS)
def test_a_wrong_rule_is_found(monkeypatch: pytest.MonkeyPatch, name: str, by: str | None) -> None:
    function = name if by is None else f"{name}_backward_{by}"
    Spoiler(monkeypatch).rule(name, by, changed)
    found = verdict(probes_that_run()[function])
    assert not found["passed"]
    first = found["failed"][0]
    if function not in INDIRECT:
        assert (first["rule"], first["line"]) == (function, place(name, by))
