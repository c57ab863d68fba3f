"""Who is wrong where engines part in a probe: a wrong rule of minigrad is known by definition."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch

import minigrad
from parity.evidence.detection.defect import chosen, planted
from parity.probes import probe_named, share
from parity.probes.check import probes_compared, run_budgeted
from parity.probes.run import run_probes
from parity.probes.wrong import wrong_in_probe, wrong_rule
from tests.minigrad.operations import FUZZ
from tests.parity.spoiler import Function, verdict

EVERY = 1 if FUZZ else 40
"""An ordinary run has time for a fortieth of the probes, `make fuzz` for all."""


def rule() -> None:
    """Stand for a rule that is wrong."""


@pytest.mark.parametrize(
    ("agree", "wrong", "who"),
    [
        ((True, False), rule, "actual"),  # it follows the rule
        ((False, True), rule, "expected"),
        ((False, True), None, "actual"),  # it is alone
        ((True, False), None, None),  # it may be minigrad itself, whose tape may be wrong
        ((False, False), rule, None),
        ((False, False), None, None),
        ((True, True), None, None),
    ],
)
def test_who_follows_a_wrong_rule_or_is_alone_is_wrong(
    agree: tuple[bool, bool], wrong: Function | None, who: str | None
) -> None:
    assert wrong_in_probe(agree, wrong) == who


@pytest.mark.parametrize("name", share(0)[::EVERY])
def test_no_right_rule_is_taken_for_wrong(name: str) -> None:
    assert wrong_rule(probe_named(name), "float32", 0) is None


@pytest.mark.parametrize(
    ("name", "probe"),
    [
        ("exp-gradient-of-expm1", "operation-exp-values=normal"),
        ("matmul-right-gradient-factor-1e-6", "operation-matmul"),
        ("sigmoid-softly-wrong", "operation-sigmoid-values=normal"),
        ("mean-divided-by-last-axis", "operation-mean_ends-values=normal"),
        (
            "maximize-ignored",
            "sgd-rate-momentum=0-dampening=0.25-maximize=True-kernel=fused-shape=one-values=normal",
        ),
    ],
)
def test_a_wrong_rule_is_known(name: str, probe: str) -> None:
    (defect,) = chosen(name)
    with planted(defect):
        found = wrong_rule(probe_named(probe), "float32", 0)
        first = verdict([probe])["failed"][0]
    assert found is not None
    assert found.__qualname__ == defect.function
    assert first["wrong"] == "actual"


def test_an_engine_that_is_alone_is_wrong() -> None:
    names = ["diamond_of_functions"]
    own: Any = SimpleNamespace(**{**vars(minigrad), "tanh": lambda x: x.tanh() * (1 + 1e-5)})
    ours, theirs = (list(run_probes(lib, "float32", 0, names)) for lib in (own, torch))
    budgets = list(run_budgeted("float32", 0, names))
    (failed,) = probes_compared(ours, theirs, budgets, "float32", 0)["failed"]
    assert failed["wrong"] == "actual"
    # And torch, alone against two that may be one, is not named.
    (failed,) = probes_compared(theirs, ours, budgets, "float32", 0)["failed"]
    assert failed["wrong"] is None


def test_who_alone_raises_is_wrong() -> None:
    names = ["diamond_of_functions"]
    broken: Any = SimpleNamespace(**{**vars(minigrad), "sigmoid": None})
    ours, theirs = (list(run_probes(lib, "float32", 0, names)) for lib in (broken, torch))
    budgets = list(run_budgeted("float32", 0, names))
    (failed,) = probes_compared(ours, theirs, budgets, "float32", 0)["failed"]
    assert failed["wrong"] == "actual"
    (failed,) = probes_compared(theirs, ours, budgets, "float32", 0)["failed"]
    assert failed["wrong"] == "expected"
