"""Constants: calls whose result is always the same, and numbers."""

from dataclasses import replace
from typing import Any

import numpy as np

from minigrad.capture.codegen import runner
from minigrad.capture.memory import Memory
from minigrad.capture.program import (
    EXACT,
    Buffer,
    Call,
    Program,
    Results,
    View,
    contiguous,
    with_views,
)

LARGEST = 2**16
"""Bytes: the largest result that is computed in advance, since it stays in memory."""


def fold_constants(program: Program) -> Program:
    """Make the calls on constants in advance and keep the results."""
    results = Results(program)
    folded: dict[Buffer, Buffer] = {}

    def known(view: View) -> View:
        return view.within(folded[view.buffer]) if view.buffer in folded else view

    kept: list[Call] = []
    for call in program.calls:
        if folded:
            call = call.with_inputs(with_views(call.inputs, known))
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
    return replace(program, calls=tuple(kept), outputs=tuple(map(known, program.outputs)))


def use_arrays(program: Program) -> Program:
    """Replace Python numbers, which NumPy converts at every call, by arrays without axes.

    A number beside arrays of one floating-point dtype takes that dtype (NEP 50). Single elements
    with axes become arrays without axes too, so that they need not be broadcast.
    """
    known: dict[Any, View] = {}

    def lowered(call: Call) -> Call:
        dtypes = {x.dtype for x in call.inputs if isinstance(x, View)}
        if not isinstance(call.function, np.ufunc) or len(dtypes) != 1:
            return call
        (dtype,) = dtypes
        full = any(isinstance(x, View) and x.shape == call.out.shape for x in call.inputs)
        inputs: list[Any] = []
        for x in call.inputs:
            if type(x) in (int, float) and dtype.kind == "f":
                key = dtype, float(x).hex()
                if key not in known:
                    known[key] = constant(np.asarray(x, dtype))
                x = known[key]
            elif (
                isinstance(x, View) and x.size == 1 < call.out.size and full
            ) and call.function in EXACT:
                x = View(x.buffer, x.dtype, (), (), x.offset)
            inputs.append(x)
        return call.with_inputs(tuple(inputs))

    return program.with_calls([lowered(call) for call in program.calls])


def constant(array: Any, name: str = "number") -> View:
    """Return a view of a constant with these values, a contiguous array."""
    return contiguous(Buffer(array.nbytes, array, True, name), array.dtype, array.shape)
