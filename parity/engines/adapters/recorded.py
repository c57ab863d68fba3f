"""What the replay of a captured step computes, and the calls of the program that compute it."""

from collections.abc import Sequence
from typing import Any

from minigrad.capture.program import Call, Program, View
from minigrad.layout import copied as copy
from parity.engines.adapters.modules import ModuleEngine
from parity.engines.protocol import Traced


def replayed(engine: ModuleEngine, traced: Any, batch: Sequence[Any] = ()) -> list[Traced]:
    """Take a captured step again from the same state; return what that, a replay, computes.

    Args:
        engine: whose step it is.
        traced: the captured step, as `ModuleEngine._traced`.
        batch: what it is given.
    """
    state = engine.parameters(), engine.momentum_buffers()
    recordings = 0
    while recordings < 2 or traced.program is None:  # until one is the same as one before
        traced(*batch)
        engine.put(*state)
        recordings += 1
    steps = traced(*batch)
    program = traced.program
    texts = [line.partition("  # ")[0].strip() for line in str(program).splitlines()
             if line.startswith("    ")]  # fmt: skip
    found = []
    for (phase, node, operation, tensor, value), view in zip(steps, program.outputs, strict=True):
        # What the optimiser leaves is shown as it is, what was computed before as a copy.
        before = phase != "optimizer"
        numbers = made_by(program, view, copied=before)
        rule = program.calls[numbers[-1]].source.rule_line if numbers and before else ""
        calls = tuple(texts[number] for number in numbers)
        found.append(Traced(phase, node, operation, tensor, value.numpy().copy(), rule, calls))
    return found


def made_by(program: Program, view: View, *, copied: bool) -> list[int]:
    """Return the numbers of the calls by which a rule makes a value; none if no call does.

    Args:
        program: the calls.
        view: where the value is.
        copied: whether it may be a copy, and what makes that of which it is one is wanted.
    """
    calls = program.calls
    last = _writer(calls, view)
    if copied and last is not None and calls[last].source.rule == copy.__name__:
        out, (source,) = calls[last].out, calls[last].inputs
        last = _writer(calls[:last], source.within(source.buffer, view.offset - out.offset))
    if last is None:
        return []
    found, waiting = set(), [last]
    while waiting:
        number = waiting.pop()
        if number not in found and calls[number].source.rule == calls[last].source.rule:
            found.add(number)
            before = (_writer(calls[:number], each) for each in calls[number].reads())
            waiting += [each for each in before if each is not None]
    return sorted(found)


def _writer(calls: Sequence[Call], view: View) -> int | None:
    """Return the number of the last call that writes to where a view begins."""
    for number in reversed(range(len(calls))):
        out = calls[number].out
        if out.buffer is view.buffer and out.offset <= view.offset < out.offset + out.nbytes:
            return number
    return None
