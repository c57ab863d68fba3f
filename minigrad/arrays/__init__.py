"""Array types that flow through the rules in place of `numpy.ndarray`.

Each answers the calls of `minigrad.vocabulary` in a way of its own, by `__array_ufunc__` (NEP 13)
and `__array_function__` (NEP 18), and no rule knows of any of them:

    budgeted        values, and the standard deviation of their rounding errors
    reproducible    sums and products whose bits do not depend on the order of summation
    wrapped         what array types have in common; the recording array of `minigrad.capture` too
    conversion      tensors and modules of such arrays

    >>> import numpy as np
    >>> from minigrad.arrays.budgeted import BudgetedArray
    >>> from minigrad.ops.elementwise import mul
    >>> product = mul(BudgetedArray(np.float32([3.0])), np.float32([5.0]))
    >>> product
    BudgetedArray([15.])
    >>> product.variance  # σ² in units of u²: a rounding is uniform within ±15·u
    array([75.])
"""
