"""Passes: functions from a program to a program that does the same, in every bit, in less time.

In the order of `minigrad.program.lower`:

    constants    calls whose result is always the same are made once, in advance
    repeated     a call that was made before is not made again
    choices      ReLU, its derivative, and `where` with zeros, by arithmetic on bits
    dead         a call whose result nobody looks at is not made
    products     matrix products by `np.dot`
    numbers      arrays without axes in place of Python numbers and single elements
    flat         the same call on many arrays, one after the other, as a single call
    reuse        results share memory

Beside them stands what they share: `written`, which buffers hold one result for good, and `exact`,
which functions have the same bits however an array is laid out.
"""
