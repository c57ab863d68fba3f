"""Wrong functions in the place of minigrad's rules, and what the probes say of them."""

import functools
from collections.abc import Callable, Container, Sequence
from typing import Any

import pytest
import torch

import minigrad
from minigrad.ops import RULES
from parity.probes import FAMILIES
from parity.probes.check import probes_compared, run_budgeted
from parity.probes.run import Outcome, run_probes
from parity.probes.suite.operations import FIRST

Function = Callable[..., Any]


@functools.cache
def expected(dtype: str) -> dict[str, Outcome]:
    return {outcome.probe: outcome for outcome in run_probes(torch, dtype, 0)}


def verdict(names: list[str] | None = None, dtype: str = "float32", **by: Any) -> dict[str, Any]:
    """Judge minigrad, whatever it has come to be, by budgets that it computes itself.

    With `capture` and `together`, as `run_probes` has them, by what it replays and trains at once.
    """
    ours = list(run_probes(minigrad, dtype, 0, names, **by))
    theirs = [expected(dtype)[outcome.probe] for outcome in ours]
    found = probes_compared(ours, theirs, list(run_budgeted(dtype, 0, names)), dtype, 0)
    assert all(each["wrong"] in ("actual", None) for each in found["failed"]), "torch is right"
    return found


def located_by_probes(
    names: Sequence[str], right: Container[Any], dtype: str = "float32", **by: Any
) -> bool | None:
    """Return whether these probes name a defect at one of the right places; None if all pass.

    The first one that fails mostly does it alone; if not, all of them together must, beside the
    single operations, which tell what is right.
    """
    failures = (verdict([name], dtype, **by)["failed"] for name in names)
    alone = next(filter(None, failures), None)
    if alone is None:
        return None
    if named(alone, right) is not None:
        return True
    single = map(FAMILIES["operation"].name_of, FIRST)
    together = list(dict.fromkeys([*single, *names]))
    return named(verdict(together, dtype, **by)["failed"], right) is not None


def named(failed: list[dict[str, Any]], right: Container[Any]) -> Any:
    """Return the right place that the first failure names."""
    first = failed[0]
    return next((n for n in (first["rule"], first["probe"], first["line"]) if n in right), None)


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
