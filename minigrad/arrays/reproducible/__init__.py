"""Arrays whose sums and products do not depend on the order of summation."""

from minigrad.arrays.reproducible.array import ReproducibleArray

__all__ = ["ReproducibleArray"]
