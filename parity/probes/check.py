"""probes: on every probe both engines stay within the budget, or are the same where it is exact."""

import math
from collections import Counter
from collections.abc import Generator, Sequence
from types import CodeType
from typing import Any, NamedTuple

import numpy as np

import minigrad
from minigrad import tape
from minigrad.arrays.budgeted import BudgetedArray
from minigrad.arrays.conversion import budgeted
from parity.checks.bits import same, values_at
from parity.checks.budget import Budget, budget_of
from parity.checks.gradients import compare, tolerance
from parity.checks.source import body_of
from parity.checks.words import wrong_of
from parity.engines.adapters.together import Together
from parity.engines.process import EngineProcess, together
from parity.engines.protocol import Array
from parity.engines.trainer import Progress, Trainer, ignore
from parity.probes import probe_named, share
from parity.probes.notes import Key, Notes, OneByOne
from parity.probes.places import Spectrum, of_ensembles, traced_suspects
from parity.probes.probe import Probe
from parity.probes.run import Outcome, Problem, probes, run_probe
from parity.probes.wrong import wrong_in_probe, wrong_rule

MOST_TRIES = 3
"""In so many probes the definitions are asked whether the function that is to blame is wrong."""


class ProbedTensor(NamedTuple):
    """How two engines compare at a tensor of a probe.

    Attributes:
        used: the largest share that an element, or the tensor as a whole, has of its budget.
        at: where that is: index, both values in full, the budget there.
        elements: how many were compared.
        problem: why nothing could be compared.
    """

    used: float
    at: dict[str, Any]
    elements: int = 0
    problem: str | None = None


class BudgetNotes(Notes):
    """Notes of minigrad's own run, the judge's: budgets for values."""

    def read(self, tensor: Any) -> Budget:
        """Return the budget; without errors, that of an array which is not budgeted."""
        if isinstance(tensor._array, BudgetedArray):
            return budget_of(tensor.detach())
        value = np.array(tensor._array)
        return Budget(value, np.zeros(value.shape), None, {})


def check_probes(
    actual: EngineProcess[Trainer],
    expected: EngineProcess[Trainer],
    dtype: str,
    seed: int,
    names: Sequence[str] | None = None,
    progress: Progress = ignore,
) -> dict[str, Any] | None:
    """Run the seed's probes, or those of these names, on both engines, in their processes.

    `progress` is called as this process runs them on budgeted arrays meanwhile.

    Returns:
        the entry of the report; None if an engine has no namespace in torch's names.
    """
    names = share(seed) if names is None else names
    sides = [process.stream(probes, dtype, seed, names) for process in (actual, expected)]
    ours: list[Outcome] = []
    theirs: list[Outcome] = []
    budgets: list[tuple[BudgetNotes, Problem | None]] = []
    found: tuple[list[Any], ...] = (ours, theirs, budgets)

    def seen(stream: int, item: Any) -> None:
        found[stream].append(item)
        progress(len(budgets), len(names))

    *ready, _ = together([*sides, run_budgeted(dtype, seed, names)], seen)
    if not all(ready):
        return None
    return {**probes_compared(ours, theirs, budgets, dtype, seed), "names": [*names]}


def run_budgeted(
    dtype: str, seed: int, names: Sequence[str] | None = None
) -> Generator[tuple[BudgetNotes, Problem | None], None, None]:
    """Run probes on minigrad itself; those that are not exact on budgeted arrays."""
    for name in share(seed) if names is None else names:
        probe = probe_named(name)
        notes = BudgetNotes(leaf if probe.exact else budgeted_leaf, probe.draw(dtype, seed))
        with np.errstate(all="ignore"):
            yield notes, run_probe(minigrad, probe, notes)


def leaf(array: Array) -> minigrad.Tensor:
    """Return minigrad's leaf of these values."""
    return minigrad.tensor(array, requires_grad=True)


def budgeted_leaf(array: Array) -> minigrad.Tensor:
    """Return the same on a budgeted array."""
    return budgeted(leaf(array))


def probes_compared(
    actual: Sequence[Outcome],
    expected: Sequence[Outcome],
    budgets: Sequence[tuple[BudgetNotes, Problem | None]],
    dtype: str,
    seed: int,
) -> dict[str, Any]:
    """Compare what two engines noted in the same probes; return the entry of the report.

    Each failed probe is reported by the first tensor, in the order in which they are computed, that
    leaves its budget, and by the function that explains this and all other failures best.
    """
    probed = [probe_named(outcome.probe) for outcome in actual]
    elements = 0
    worst: tuple[float, dict[str, Any]] = (-1.0, {})
    rows: list[list[tuple[Key, ProbedTensor]]] = []
    for ours, theirs, (notes, _), probe in zip(actual, expected, budgets, probed, strict=True):
        rows.append([])
        if not (ours.judged and theirs.judged):
            continue
        for key, value in theirs.values.items():
            each = _compared(ours, key, value, notes, probe)
            if each is None:
                break
            rows[-1].append((key, each))
            elements += each.elements
            if each.used > worst[0]:
                worst = each.used, {"probe": ours.probe, **_named(key), **each.at}
    judged = [ours.judged and theirs.judged for ours, theirs in zip(actual, expected, strict=True)]
    refused = judged.count(False)
    problems = [
        ours.problem or theirs.problem or problem
        for ours, theirs, (_, problem) in zip(actual, expected, budgets, strict=True)
    ]
    passed = not any(problems) and all(j.used <= 1 for row in rows for _, j in row)
    return {
        "passed": passed,
        "probes": len(actual) - refused,
        "not_captured": refused,
        "elements": elements,
        "worst_budget_used": max(worst[0], 0.0),
        "worst_at": worst[1] or None,
        "failed": []
        if passed
        else _failed((actual, expected), rows, problems, budgets, dtype, seed),
    }


def _compared(
    actual: Outcome, key: Key, expected: Array | None, notes: BudgetNotes, probe: Probe
) -> ProbedTensor | None:
    """Compare a tensor; None if the engine under test came to an end before it."""
    if key not in actual.values:
        if actual.problem is not None:
            return None
        return ProbedTensor(math.inf, {}, 0, "the engine under test did not compute it")
    found, budget = actual.values[key], notes.values.get(key)
    if found is None or expected is None:
        alike = found is expected
    else:
        alike = found.shape == expected.shape and found.dtype == expected.dtype
    if not alike:
        problem = f"actual is {_form(found)}, expected {_form(expected)}"
        return ProbedTensor(math.inf, {}, 0, problem)
    if found is None or expected is None or not expected.size:
        return ProbedTensor(0.0, {})
    if probe.exact or probe.ulps or expected.dtype.kind != "f":
        agree, allowed = same(found, expected), np.zeros(expected.shape)
        if probe.ulps and expected.dtype.kind == "f":
            with np.errstate(invalid="ignore"):  # of infinities, which must be the same
                allowed = probe.ulps * np.spacing(np.abs(expected))
                agree |= np.abs(found - expected) <= allowed
        index = np.unravel_index(int(np.argmin(agree)), expected.shape)
        at = {**values_at(index, found, expected), "budget": float(allowed[index])}
        return ProbedTensor(0.0 if agree.all() else math.inf, at, expected.size)
    if budget is None or budget.value.shape != expected.shape:
        return ProbedTensor(math.inf, {}, 0, "minigrad computes no budget for it")
    what = "gradients" if key.phase == "backward" else "values"
    result = compare({key.tensor: found}, {key.tensor: expected}, {key.tensor: budget}, what)
    at = {name: result.worst_at[name] for name in ("index", "actual", "expected", "budget")}
    if (np.isfinite(expected) & ~np.isfinite(tolerance(budget))).any():
        return ProbedTensor(math.inf, at, 0, "minigrad computes no finite budget for it")
    return ProbedTensor(max(result.worst_used, result.aggregate_used), at, expected.size)


def _form(array: Array | None) -> str:
    return "no gradient" if array is None else f"{list(array.shape)} {array.dtype}"


def _named(key: Key | None) -> dict[str, Any]:
    return {"phase": key and key.phase, "tensor": key and key.tensor}


def _agrees_with_judge(outcome: Outcome, key: Key, notes: BudgetNotes, probe: Probe) -> bool:
    if key not in notes.values:
        return False
    own = notes.values[key]  # a flag has no budget
    each = _compared(outcome, key, own.value if isinstance(own, Budget) else own, notes, probe)
    return each is not None and each.used <= 1


def _failed(
    sides: tuple[Sequence[Outcome], Sequence[Outcome]],
    rows: list[list[tuple[Key, ProbedTensor]]],
    problems: list[Problem | None],
    budgets: Sequence[tuple[BudgetNotes, Problem | None]],
    dtype: str,
    seed: int,
) -> list[dict[str, Any]]:
    """Return an entry for every probe that failed, with the place that is to blame, and who."""
    names = [outcome.probe for outcome in sides[0]]
    own = Together if any(outcome.together for outcome in sides[0]) else OneByOne
    traced, spectrum = traced_suspects(names, dtype, seed, own), Spectrum()
    tries = Counter[CodeType | None]()
    suspects: dict[tuple[str, Key], list[CodeType]] = {}
    for name, row in zip(names, rows, strict=True):
        for key, each in row:
            found = traced[name].get(key, [])
            suspects[name, key] = found
            spectrum.add(found, each.used > 1, probe_named(name).exact)
            if each.used > 1 and key.phase == "optimizer":
                break  # what is computed by it from here on is wrong, too
    entries = []
    for *both, row, problem, (notes, _) in zip(*sides, rows, problems, budgets, strict=True):
        name = both[0].probe
        wrong = [(key, each) for key, each in row if each.used > 1]
        if not wrong and problem is None:
            continue
        first, each = wrong[0] if wrong else (None, ProbedTensor(0.0, {}))
        place: dict[str, Any] = {
            "rule": problem and problem.rule,
            "line": problem and problem.line,
        }
        code: Any = None
        if first is None:
            who = wrong_of(*(outcome.problem is None for outcome in both))
        else:
            probe, rule = probe_named(name), None
            agree = [_agrees_with_judge(outcome, first, notes, probe) for outcome in both]
            found = suspects[name, first]
            if agree[1]:
                found = [*filter(of_ensembles, found)] or found
            code = spectrum.likeliest(found)
            if any(agree) and tries[code] < MOST_TRIES:
                rule = wrong_rule(probe, dtype, seed)
                tries[code] += 1
            who = wrong_in_probe((agree[0], agree[1]), rule)
            if rule is not None and rule.__module__ == tape.__name__:
                code = rule.__code__  # a suspect beside many others, where a sweep is wrong
        if code is not None:
            place = {"rule": code.co_qualname, **body_of(code)}
        entries.append(
            {
                "probe": name,
                **_named(first),
                **dict.fromkeys(("index", "actual", "expected", "budget")),
                **each.at,
                "problem": each.problem or (problem.text if problem is not None else None),
                **place,
                "wrong": who,
            }
        )
    return entries
