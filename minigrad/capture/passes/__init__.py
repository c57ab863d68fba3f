"""Passes: functions from a program to a program that does the same, in every bit, in less time.

Of a NaN the sign and the other bits that say nothing are not kept: of two NaNs NumPy's own sums and
products return either, by where in an array they stand and whether the result takes the place of
an operand.
"""

from __future__ import annotations

from minigrad.capture.passes.choices import choose_by_bits, compare_with_zeros
from minigrad.capture.passes.constants import fold_constants, use_arrays
from minigrad.capture.passes.flat import join_calls
from minigrad.capture.passes.products import use_dot, use_einsum, use_multiply
from minigrad.capture.program import Program

PASSES = (
    fold_constants,
    choose_by_bits,
    use_dot,
    use_multiply,
    use_einsum,
    use_arrays,
    join_calls,
    compare_with_zeros,
)
"""All passes, in the order that suits them: join_calls wants equal calls, made of arrays alone."""


def lower(program: Program) -> Program:
    """Return a program with the same results in every bit, lowered."""
    for run in PASSES:
        program = run(program)
    return program
