"""The catalogue's defects, and every rule and derivative spoiled: a probe fails and names it."""

import functools
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minigrad
from minigrad.ops import RULES
from parity.evidence.detection.defect import DEFECTS, Defect, planted
from parity.probes import share
from parity.probes.run import run_probes
from tests.minigrad.operations import FUZZ
from tests.parity.spoiler import Function, located_by_probes, spoil, verdict
from tests.parity.test_probes import place, watched

ROOT = Path(minigrad.__file__).parents[1]


@functools.cache
def probes_that_run() -> dict[tuple[str, str], list[str]]:
    """Return the probes that run each function of minigrad, by its file and qualified name."""
    found: dict[tuple[str, str], list[str]] = {}
    for probe in share(0):
        for rule in RULES.values():  # whose plans would not be made again
            for each in (rule, *rule._twins.values()):
                each._plans.clear()
        for code in watched(lambda probe=probe: list(run_probes(minigrad, "float32", 0, [probe]))):  # type: ignore[misc]
            path = Path(code.co_filename)
            if path.is_relative_to(ROOT):
                where = path.relative_to(ROOT).as_posix(), code.co_qualname
                found.setdefault(where, []).append(probe)
    return found


EVERY = 1 if FUZZ else 6
"""An ordinary run has time for a sixth of the defects and rules, `make fuzz` for all."""

EAGER = [defect for defect in DEFECTS if defect.engine == "minigrad"][::EVERY]
"""Those of replays are planted in `test_replays`."""


@pytest.mark.parametrize("defect", EAGER, ids=lambda defect: str(defect.name))
def test_a_planted_defect_is_located(defect: Defect) -> None:
    names = probes_that_run()[defect.file, defect.function]
    with planted(defect):
        assert located_by_probes(names, defect.nodes, defect.dtype)


def changed(right: Function) -> Function:
    """Return what returns what a function does, a little larger; of masks the opposite."""

    def call(*arguments: Any, **options: Any) -> Any:
        out = right(*arguments, **options)
        if out.dtype.kind != "f":
            return np.equal(out, False) if out.dtype.kind == "b" else np.add(out, 1)
        return np.multiply(out, 1 + 1e-5)

    return call


ZERO = {
    *(("sign", "x"), ("where", "condition"), ("fill", "x")),
    *(("floor_divide", "x"), ("floor_divide", "y")),
}
FUNCTIONS = [
    (rule.name, by)
    for rule in RULES.values()
    for by in [None, *rule._backwards]
    if (rule.name, by) not in ZERO
][::EVERY]
"""Every rule and derivative, but for the derivatives that are 0 everywhere."""


INDIRECT = {"clone", "logical_and", "sign"}
"""Also run by the tape, or by derivatives alone: what runs them is named."""


@pytest.mark.parametrize(("name", "by"), FUNCTIONS)
def test_a_wrong_rule_is_found(monkeypatch: pytest.MonkeyPatch, name: str, by: str | None) -> None:
    function = name if by is None else f"{name}_backward_{by}"
    names = probes_that_run()[place(name, by).partition(":")[0], function]
    spoil(monkeypatch, function, changed)
    if function in INDIRECT:
        assert not verdict(names)["passed"]
    else:
        assert located_by_probes(names, [place(name, by)])
