"""Passes: functions from a program to a program that computes the same bits in less time.

The sign and the payload of a NaN are not kept: of two NaNs, NumPy's sums and products return
either, depending on where in an array they stand and whether the result overwrites an operand.

How much longer a captured step takes without each pass, in percent (2026-11-28, AMD EPYC with
AVX-512, NumPy 2.4.6, one thread, float32). All variants of a step ran in one process in random
order; each figure compares the least CPU time of 80 to 100 runs of 2 ms. Rows: the three networks,
those of `parity bench --scaling`, and ensembles of 100 members. The last column is the largest.

    pass                  underfit  rightfit  overfit  largest
    fold_constants              16         8        0   16  underfit
    choose_by_bits              14        19        5   45  ensemble of rightfit
    use_dot                      9        29        0   33  depth 1
    use_multiply                20         0        0  133  ensemble of underfit
    use_einsum                   0         5        0   45  batch 10,000
    use_arrays                  42         4        0   49  width 1
    join_calls                  36        14        0   42  width 1
    compare_with_zeros           1         4        1   13  batch 1,000
    memory.placement             2         5        6   44  depth 100

A pass that gives less than 5 % on every row is not kept. Two were taken out for that reason: one
removed repeated calls (2, 3, 0, and at most 4.9 in an ensemble of underfit), and one worked on
large arrays in blocks (-3 to 6, and -8 in an ensemble of rightfit). `remove_dead_calls`, the second
half of `choose_by_bits`, gives 2 to 5 % by itself. No pass is needed for correct results.
"""

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
"""All passes in the order in which they run.

`join_calls` comes after those that make calls alike, and `compare_with_zeros` after it because the
zeros it adds have another size in each call.
"""


def lower(program: Program) -> Program:
    """Return a program that computes the same bits in less time."""
    for run in PASSES:
        program = run(program)
    return program
