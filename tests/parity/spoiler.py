"""Wrong functions in the place of minigrad's rules, and what the probes say of them."""

import functools
from collections.abc import Callable
from typing import Any

import pytest
import torch

import minigrad
from minigrad.ops import RULES
from parity.probes.check import probes_compared, run_budgeted
from parity.probes.run import Outcome, run_probes

Function = Callable[..., Any]


@functools.cache
def expected(dtype: str) -> dict[str, Outcome]:
    return {outcome.probe: outcome for outcome in run_probes(torch, dtype, 0)}


def verdict(names: list[str] | None = None, dtype: str = "float32") -> dict[str, Any]:
    """Judge minigrad, whatever it has come to be, by budgets that it computes itself."""
    ours = list(run_probes(minigrad, dtype, 0, names))
    theirs = [expected(dtype)[outcome.probe] for outcome in ours]
    return probes_compared(ours, theirs, list(run_budgeted(dtype, 0, names)), dtype, 0)


def spoil(patch: pytest.MonkeyPatch, name: str, wrong: Callable[[Function], Function]) -> None:
    """Put what `wrong` makes of a rule's forward function, or of a derivative, into the rule."""
    forward, _, by = name.partition("_backward_")
    for rule in [RULES[forward], *RULES[forward]._twins.values()]:
        right = rule._backwards[by] if by else rule.forward
        spoiled: Any = functools.wraps(right)(wrong(right))
        code = right.__code__  # as if it stood there
        spoiled.__code__ = spoiled.__code__.replace(
            co_filename=code.co_filename,
            co_firstlineno=code.co_firstlineno,
            co_qualname=code.co_qualname,
        )
        patch.setattr(rule, "plan", rule._make_plan)
        if by:
            patch.setattr(rule, "_backwards", {**rule._backwards, by: spoiled})
        else:
            patch.setattr(rule, "forward", spoiled)
