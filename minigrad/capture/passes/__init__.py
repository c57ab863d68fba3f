"""Passes: functions from a program to a program that does the same, in every bit, in less time.

Of a NaN the sign and the other bits that say nothing are not kept: of two NaNs NumPy's own sums and
products return either, by where in an array they stand and whether the result takes the place of
an operand. In the order of `minigrad.capture.lower`:

    constants    calls whose result is always the same are made once, in advance
    repeated     a call that was made before is not made again
    choices      ReLU's derivative and `where` with zeros by arithmetic on bits; ReLU, last of all
    dead         a call whose result nobody looks at is not made
    products     matrix products by `np.dot`, those of a single term by `np.multiply`
    sums         sums over the rows of narrow matrices by `np.einsum`
    numbers      arrays without axes in place of Python numbers and single elements
    flat         the same call on many arrays, one after the other, as a single call
    reuse        results share memory, when a program is given its memory

Beside them stands what they share: `written`, which buffers hold one result for good, and `exact`,
which functions have the same bits however an array is laid out.
"""
