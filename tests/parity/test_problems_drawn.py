"""Random problems raise no false alarm; defects beside chains of ReLUs are caught and located."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from minigrad.optim import SGD
from parity.checks.describe import describe
from parity.checks.locate import first_node, traced
from parity.checks.match import Match
from parity.checks.steps import Judge
from parity.checks.verdicts import VERDICTS, located
from parity.engines.adapters.minigrad import MinigradEngine
from parity.engines.adapters.torch import TorchEngine
from parity.engines.protocol import BUFFER, Task
from parity.evidence.detection.defect import DEFECTS, Defect, planted, read
from parity.source_digest import ROOT
from tests.minigrad.operations import FUZZ
from tests.parity.random_problems import problem
from tests.parity.test_problems import NAMES, local, task_of

STEPS = 6
"""So many of each problem are judged: given, and free."""


def match_of(task: Task) -> Match:
    return Match((local(MinigradEngine), local(TorchEngine)), task)


def failures(match: Match) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the verdicts on steps that fail."""
    for name in ("gradients", "steps", "free_steps"):
        entry = VERDICTS[name].check(match)
        assert entry is not None
        if not entry["passed"]:
            yield name, entry


# ---- no defect ----------------------------------------------------------------------------------


@pytest.mark.parametrize("number", range(0, 450, 1 if FUZZ else 75))
@np.errstate(all="ignore")
def test_nothing_is_found_in_random_problems(number: int) -> None:
    """Of all of them 5,400 steps are compared."""
    dtype = ("float32", "float64")[number % 2]
    task = describe(Judge(), problem(number), number, dtype, "cpu")
    match = match_of(replace(task, epochs=STEPS, most_steps=STEPS))
    assert not list(failures(match))
    assert VERDICTS["start"].check(match)["passed"]  # type: ignore[index]


@pytest.mark.parametrize("name", [*NAMES, *range(0, 450, 3 if FUZZ else 150)])
@np.errstate(all="ignore")
def test_nothing_is_located_in_correct_engines(name: str | int) -> None:
    if isinstance(name, str):
        task = task_of(name, 1, epochs=3)
    else:
        task = describe(Judge(), problem(name), name, "float32", "cpu")
        task = replace(task, epochs=3, most_steps=3)
    match = match_of(task)
    for epoch, free in ((0, False), (1, False), (1, True)):
        assert first_node(traced(*match.sides, task, match.start, {}, epoch, free=free)) is None


@pytest.mark.dear
@pytest.mark.parametrize("name", NAMES)
def test_no_rule_of_a_correct_engine_is_called_wrong(name: str) -> None:
    match = match_of(task_of(name, 1))
    traces = traced(*match.sides, match.task, match.start, {})
    nodes = traces.nodes(traces.sides[1])
    for key in traces.sides[1]:
        function, wrong = nodes.rule(*key)
        assert not wrong
        assert function is not SGD._direction or key[2].endswith(BUFFER)


def test_the_same_number_is_the_same_problem() -> None:
    assert problem(3) == problem(3)
    assert len({problem(number).source for number in range(450)}) == 450


# ---- defects ------------------------------------------------------------------------------------

FOLDER = Path(__file__).parent / "problems" / "defects"

CATALOGUE = {
    "huber_nesterov": "weight-decay-of-wrong-sign nesterov-forgets-weight-decay "
    "nesterov-without-momentum-factor",
    "leaky": "squared-error-gradient-without-factor-2 weight-decay-needs-momentum",
    "minibatches": "sub-gradient-sign div-denominator-gradient-not-squared sigmoid-gradient-half "
    "sqrt-gradient-without-factor-2 sigmoid-softly-wrong mean-divided-by-all-elements "
    "mean-divided-by-last-axis mean-gradient-divided-by-all-elements "
    "broadcasting-undone-by-the-first",
    "oscillator": "power-gradient-factor",
    "polynomial": "add-gradient-sign mul-gradient-loses-sign neg-gradient-sign "
    "pow-gradient-exponent pow-exponent-gradient-without-power exp-gradient-of-expm1 "
    "momentum-start-dampened dampening-ignored",
    "residual": "mul-gradient-factor-1e-6 learning-rate-of-the-group-ignored",
    "tanh_l1": "tanh-gradient-by-input tanh-gradient-softly-wrong",
    "two_heads": "maximize-ignored weight-decay-negated-by-maximize",
    "two_inputs": "reshape-gradient-in-other-order cat-gradient-off-by-one "
    "cat-gradient-in-reverse index-gradient-overwritten-if-repeated",
}
"""Defects of the catalogue that a problem finds, by the problem."""

PLANTED = [
    (path.stem, defect)
    for path in sorted(FOLDER.glob("*.txt"))
    for defect in read(path.read_text("utf-8"))
] + [
    (name, defect)
    for name, defects in CATALOGUE.items()
    for defect in DEFECTS
    if defect.name in defects.split()
]
"""Each with the problem that finds it."""


def first_failure(name: str, defect: Defect) -> dict[str, Any]:
    """Return where the first verdict that fails locates a defect."""
    for dtype in ("float32", "float64"):
        task = task_of(name, 3, dtype, epochs=2)
        with planted(defect):
            match = match_of(task)
            for verdict, entry in failures(match):
                return located(match, VERDICTS[verdict], entry)
    raise AssertionError("every verdict passes")


@pytest.mark.parametrize(
    ("name", "defect"), PLANTED[:: 1 if FUZZ else 6], ids=lambda value: getattr(value, "name", None)
)
def test_a_defect_is_caught_and_located(name: str, defect: Defect) -> None:
    found = first_failure(name, defect)
    node = found["first_node"]
    assert node is not None
    assert node["rule"] in defect.nodes
    assert found["wrong"] == "actual"
    if name != "oscillator":  # whose model itself differentiates
        backward = "_backward_" in node["rule"] or defect.file == "minigrad/tape.py"
        optimizer = defect.function.startswith("SGD")
        phase = "optimizer" if optimizer else "backward" if backward else "forward"
        assert node["phase"] == phase


def test_defects_are_many_and_none_is_twice() -> None:
    assert len(PLANTED) == sum(map(len, map(str.split, CATALOGUE.values()))) + 36
    assert len({defect.name for _, defect in PLANTED}) == len(PLANTED)
    for _, defect in PLANTED:
        defect.applied_to((ROOT / defect.file).read_text("utf-8"))
