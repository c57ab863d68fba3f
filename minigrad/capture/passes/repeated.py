"""Repeated calls: those that were made before, on the same values."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

from minigrad.capture.passes.written import Results
from minigrad.capture.program import Buffer, Call, Program, View, views_in, with_views


def remove_repeated_calls(program: Program) -> Program:
    """Let what was computed before serve in place of computing it again.

    The rules compute some values twice, in an operation and in its derivative, in order not to
    keep them: here they are kept.
    """
    results = Results(program)
    versions: Counter[Buffer] = Counter()  # how often each was written to
    known: dict[Any, View] = {}
    same: dict[Buffer, Buffer] = {}

    def first(view: View) -> View:
        return view.within(same[view.buffer]) if view.buffer in same else view

    kept: list[Call] = []
    for call in program.calls:
        if same:
            call = call._replace(inputs=with_views(call.inputs, first))
        out = call.out
        versions[out.buffer] += 1
        if out.buffer in results:
            key = (
                call.function,
                _hashable(call.inputs),
                tuple(versions[view.buffer] for view in views_in(call.inputs)),
                tuple(call.options.items()),
                out[1:],
            )
            earlier = known.setdefault(key, out)
            if earlier is not out:
                same[out.buffer] = earlier.buffer
                continue
        kept.append(call)
    return replace(program, calls=tuple(kept), outputs=tuple(map(first, program.outputs)))


def _hashable(value: Any) -> Any:
    """Return an argument such that equal ones are the same in every bit, and can be looked up."""
    if isinstance(value, View):
        return value
    if isinstance(value, (tuple, list)):
        return tuple(map(_hashable, value))
    if isinstance(value, slice):
        return slice, value.start, value.stop, value.step
    return type(value), repr(value)
