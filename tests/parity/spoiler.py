"""Wrong functions in the place of minigrad's, and what the probes say of them."""

from __future__ import annotations

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
def expected(dtype: str = "float32") -> dict[str, Outcome]:
    return {outcome.probe: outcome for outcome in run_probes(torch, dtype, 0)}


def verdict(names: list[str] | None = None) -> dict[str, Any]:
    """Judge minigrad, whatever it has come to be, by budgets that it computes itself."""
    ours = list(run_probes(minigrad, "float32", 0, names))
    theirs = [expected()[outcome.probe] for outcome in ours]
    return probes_compared(ours, theirs, list(run_budgeted("float32", 0, names)), "float32", 0)


class Spoiler:
    """Puts wrong functions in the place of minigrad's."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._monkeypatch = monkeypatch

    def function(self, owner: Any, name: str, wrong: Function) -> None:
        """Replace `owner.name` by what calls `wrong(right, *arguments, **options)`."""
        right = getattr(owner, name)
        self._monkeypatch.setattr(owner, name, self._wrapped(right, wrong))

    def rule(self, name: str, by: str | None, wrong: Function) -> None:
        """Replace a rule's forward function, or its derivative by an input."""
        for rule in [RULES[name], *RULES[name]._twins.values()]:
            right = rule.forward if by is None else rule._backwards[by]
            spoiled = self._wrapped(right, wrong)
            self._monkeypatch.setattr(rule, "plan", rule._make_plan)
            if by is None:
                self._monkeypatch.setattr(rule, "forward", spoiled)
            else:
                self._monkeypatch.setattr(rule, "_backwards", {**rule._backwards, by: spoiled})

    @staticmethod
    def _wrapped(right: Function, wrong: Function) -> Function:
        def call(*arguments: Any, **options: Any) -> Any:
            return wrong(right, *arguments, **options)

        functools.update_wrapper(call, right)
        code = right.__code__  # as if it stood there
        call.__code__ = call.__code__.replace(
            co_filename=code.co_filename,
            co_firstlineno=code.co_firstlineno,
            co_qualname=code.co_qualname,
        )
        return call
