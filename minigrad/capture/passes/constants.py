"""Constants: calls whose result is always the same."""

from __future__ import annotations

from dataclasses import replace

from minigrad.capture.function import runner
from minigrad.capture.memory import Memory
from minigrad.capture.passes.written import Results
from minigrad.capture.program import Buffer, Call, Program, View, with_views

LARGEST = 2**16
"""Bytes: a larger result would take more memory, for good, than its calls take time."""


def fold_constants(program: Program) -> Program:
    """Make the calls on constants now, and keep the results."""
    results = Results(program)
    folded: dict[Buffer, Buffer] = {}

    def constant(view: View) -> View:
        return view.within(folded[view.buffer]) if view.buffer in folded else view

    kept: list[Call] = []
    for call in program.calls:
        if folded:
            call = call._replace(inputs=with_views(call.inputs, constant))
        out = call.out.buffer
        if (
            out in results
            and out.size <= LARGEST
            and all(view.buffer.constant for view in call.reads())
        ):
            memory = Memory()
            runner(Program((call,)), memory)()
            folded[out] = Buffer(out.size, memory.owner(out), constant=True, name=out.name)
        else:
            kept.append(call)
    return replace(program, calls=tuple(kept), outputs=tuple(map(constant, program.outputs)))
