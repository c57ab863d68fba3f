"""Passes: functions from a program to a program that does the same, in every bit, in less time.

constants    calls whose result is always the same are made once, in advance
repeated     a call that was made before is not made again
dead         a call whose result nobody looks at is not made
choices      the derivative of ReLU, and choices between a value and 0, by arithmetic on bits
products     matrix products by `np.dot`
numbers      arrays without axes in place of Python numbers
flat         the same call on many arrays, one after the other, as a single call
reuse        memory that is not needed any more is used for something else
"""
