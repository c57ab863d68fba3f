"""Arrays that carry the standard deviation of their rounding errors."""

from minigrad.arrays.budgeted.array import BudgetedArray

__all__ = ["BudgetedArray"]
