"""Making a program fast: all passes, in the order that suits them."""

from __future__ import annotations

from minigrad.capture.passes.choices import choose_by_bits, compare_with_zeros
from minigrad.capture.passes.constants import fold_constants
from minigrad.capture.passes.dead import remove_dead_calls
from minigrad.capture.passes.flat import join_calls
from minigrad.capture.passes.numbers import use_arrays
from minigrad.capture.passes.products import use_dot, use_multiply
from minigrad.capture.passes.repeated import remove_repeated_calls
from minigrad.capture.passes.sums import use_einsum
from minigrad.capture.program import Program

PASSES = (
    fold_constants,
    remove_repeated_calls,
    choose_by_bits,
    remove_dead_calls,
    use_dot,
    use_multiply,
    use_einsum,
    use_arrays,
    join_calls,
    compare_with_zeros,
)


def lower(program: Program) -> Program:
    """Return a program with the same results in every bit, lowered."""
    for run in PASSES:
        program = run(program)
    return program
