"""Python numbers."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.program.program import Buffer, Call, Program, View, contiguous


def use_arrays(program: Program) -> Program:
    """Give NumPy arrays without axes in place of Python numbers, which it converts at every call.

    A number beside arrays of one floating-point dtype becomes one of that dtype (NEP 50).
    """
    known: dict[Any, View] = {}

    def lowered(call: Call) -> Call:
        dtypes = {x.dtype for x in call.inputs if isinstance(x, View)}
        if not isinstance(call.function, np.ufunc) or len(dtypes) != 1:
            return call
        (dtype,) = dtypes
        if dtype.kind != "f":
            return call
        inputs = []
        for x in call.inputs:
            if type(x) in (int, float):
                key = dtype, float(x).hex()
                if key not in known:
                    known[key] = constant(np.asarray(x, dtype))
                x = known[key]
            inputs.append(x)
        return call._replace(inputs=tuple(inputs))

    return program.with_calls([lowered(call) for call in program.calls])


def constant(array: Any, name: str = "number") -> View:
    """Return a view of a constant with these values, a contiguous array."""
    return contiguous(Buffer(array.nbytes, array, True, name), array.dtype, array.shape)
