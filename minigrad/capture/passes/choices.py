"""Choices between elements: the derivative of ReLU, ReLU itself, and `where` with zeros.

`np.where` branches for each element. When the branches are mispredicted, 100 by 512 elements take
400 µs. Arithmetic on the bits of the elements takes a few µs and gives the same bits, also for
NaNs, infinities and zeros of both signs: an unsigned integer times 1 stays the same, and times 0 it
is 0, which are the bits of +0.0.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from minigrad.capture.passes.constants import constant
from minigrad.capture.program import Buffer, Call, Program, Results, View, contiguous
from minigrad.dtypes import DType

UNSIGNED: dict[DType, DType] = {
    np.dtype(np.float32): np.dtype(np.uint32),
    np.dtype(np.float64): np.dtype(np.uint64),
}

MANY = 512
"""The fewest elements for which converting a mask pays off."""


def choose_by_bits(program: Program) -> Program:
    """Choose between a value and 0 by arithmetic on bits.

    The conditions that nothing reads any more are not computed.
    """
    results = Results(program)
    calls: list[Call] = []
    for call in program.calls:
        calls += _choice(call, results) if call.function is np.where else [call]
    return remove_dead_calls(program.with_calls(calls))


def remove_dead_calls(program: Program) -> Program:
    """Leave out calls whose result no later call reads and nothing outside can see."""
    needed = program.lasting()
    kept: list[Call] = []
    for call in reversed(program.calls):
        if call.out.buffer in needed:
            kept.append(call)
            needed.update(view.buffer for view in call.reads())
    return program.with_calls(kept[::-1])


def _choice(call: Call, results: Results) -> Iterator[Call]:
    condition, x, y = call.inputs
    out = call.out
    kept = y if _is_zero(x) else x
    if condition is True or condition is False:
        chosen = x if condition else y
        yield call._replace(function=np.copyto, inputs=(chosen,))
    elif not (_is_zero(x) or _is_zero(y)) or not _alike(condition, kept, out):
        yield call
    elif condition.dtype.kind != "b":
        if kept is y or not _is_relu(results.call_of(condition)):
            yield call
            return
        # A ReLU: positive, zero or NaN. Doubling loses the bit of the sign: only zeros become 0.
        bits = _bits(condition)
        mask = _new(bits, "positive")
        yield call._replace(function=np.add, inputs=(bits, bits), out=mask)
        yield call._replace(function=np.sign, inputs=(mask,), out=mask)
        yield call._replace(function=np.multiply, inputs=(_bits(kept), mask), out=_bits(out))
    elif out.size < MANY:
        yield call
    else:
        mask = condition
        if kept is y:
            mask = _new(condition, "mask")
            yield call._replace(function=np.logical_not, inputs=(condition,), out=mask)
        yield call._replace(function=np.multiply, inputs=(_bits(kept), mask), out=_bits(out))


def _is_zero(x: Any) -> bool:
    if isinstance(x, View):
        known = x.buffer.constant and x.shape == ()
        return known and x.dtype in UNSIGNED and not any(x.buffer.memory.tobytes())
    return type(x) in (int, float, bool) and x == 0 and not str(x).startswith("-")


def _alike(*views: Any) -> bool:
    """Return whether all are contiguous arrays of one shape, and those of numbers of one dtype."""
    if not all(isinstance(view, View) and view.is_contiguous() for view in views):
        return False
    floats = {view.dtype for view in views if view.dtype.kind != "b"}
    return len({view.shape for view in views}) == 1 and len(floats) == 1 and floats <= set(UNSIGNED)


def _is_relu(call: Call | None) -> bool:
    return call is not None and call.function is np.maximum and _is_zero(call.inputs[0])


def _bits(view: View) -> View:
    return view._replace(dtype=UNSIGNED[view.dtype])


def _new(like: View, name: str) -> View:
    return contiguous(Buffer(like.nbytes, name=name), like.dtype, like.shape)


def compare_with_zeros(program: Program) -> Program:
    """Give ReLU an array of zeros: NumPy compares two contiguous arrays with SIMD instructions.

    With a single 0 it compares one element at a time. Of two zeros of different sign it returns the
    second in both cases.
    """
    sizes: dict[Any, int] = {}
    for call in filter(_is_comparable, program.calls):
        sizes[call.out.dtype] = max(call.out.size, sizes.get(call.out.dtype, 0))
    zeros = {
        dtype: constant(np.zeros(size, dtype), "zeros").buffer for dtype, size in sizes.items()
    }
    calls = []
    for call in program.calls:
        if _is_comparable(call):
            zero = contiguous(zeros[call.out.dtype], call.out.dtype, call.out.shape)
            call = call._replace(inputs=(zero, call.inputs[1]))
        calls.append(call)
    return program.with_calls(calls)


def _is_comparable(call: Call) -> bool:
    return _is_relu(call) and _alike(call.inputs[1], call.out)
