"""Dead calls: those whose result nobody looks at."""

from __future__ import annotations

from minigrad.capture.program import Call, Program


def remove_dead_calls(program: Program) -> Program:
    """Leave out calls that write what no later call reads, and what does not outlive the run."""
    needed = program.lasting()
    kept: list[Call] = []
    for call in reversed(program.calls):
        if call.out.buffer in needed:
            kept.append(call)
            needed.update(view.buffer for view in call.reads())
    return program.with_calls(kept[::-1])
