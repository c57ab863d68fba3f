"""Who writes what: the calls that fill memory once and for all."""

from __future__ import annotations

from collections import Counter

from minigrad.capture.program import UPDATES, Buffer, Call, Program, View


class Results:
    """The buffers that hold the result of a single call from then on.

    They belong to the program, are filled by one call, and no tensor that outlives the run shows
    them: such a buffer stands for a value, and calls on it can be exchanged like terms of an
    equation.
    """

    def __init__(self, program: Program) -> None:
        writers = Counter(call.out.buffer for call in program.calls)
        shown = {view.buffer for view in (*program.inputs, *program.tensors)}
        self._calls: dict[Buffer, Call] = {
            call.out.buffer: call
            for call in program.calls
            if writers[call.out.buffer] == 1
            and call.out.buffer.memory is None
            and call.out.buffer not in shown
            and call.out.nbytes == call.out.buffer.size
            and call.function not in UPDATES
        }

    def __contains__(self, buffer: Buffer) -> bool:
        return buffer in self._calls

    def call_of(self, view: View) -> Call | None:
        """Return the call whose result this view is, all of it and as it was written."""
        call = self._calls.get(view.buffer)
        return call if call is not None and call.out == view else None
