"""Arrays that carry the standard deviation of their rounding errors.

The rules, the sweep and the optimiser run on a `BudgetedArray` unchanged, on the same values with
the same bits. What they compute beside the values is the tolerance by which another correct
engine's results may differ: the *budget*. Beside its values an array has

- a *variance* σ² of each value's rounding error, in units of u². Without one the values are exact,
  as where a computation starts.
- a *slack*, which bounds what kinks may change. It is there only once there was a kink. Where a
  choice is in doubt, the slack grows by the distance to what the other choice would have given;
  from there it passes on linearly through absolute values. The slack of a mask is 1 where the mask
  may be either.

The error e of a value v is taken as a random variable of mean 0 and variance σ²·u², u the unit
roundoff of the dtype: 2⁻²⁴ for float32, 2⁻⁵³ for float64. σ² is computed in float64, where neither
it nor its products underflow for float32 values. Errors of different values are taken as
independent, as in Higham and Mary 2019 (*A new approach to probabilistic rounding error analysis*,
SIAM J. Sci. Comput. 41). How large they are is derived file by file:

    matrix_products  the tolerance of a matrix product
    summation        the tolerance of a sum, on which that of a product rests
    smooth           the tolerance of + − × ÷, exp, tanh and other element-wise calls
    kinks            comparisons, maximum, where: choices, and what the other choice would change
    values           what is carried, and conversions between dtypes
    array            `BudgetedArray`, which hands NumPy's calls to these
"""

from minigrad.arrays.budgeted.array import BudgetedArray

__all__ = ["BudgetedArray"]
