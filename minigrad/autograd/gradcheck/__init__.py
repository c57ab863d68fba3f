"""Checking derivatives against finite differences; no other engine is needed.

`gradcheck` compares every element of a function's Jacobian with a central difference (see
`differences` for the steps). Nothing is chosen by hand: an element passes if

    |analytical - numerical| ≤ 10·(estimated error of the difference) + 2⁻⁴⁴·(largest slope)

The first term is what the difference itself says about its accuracy, with a margin: over the
project's operations and 1,700 random graphs, 250,000 derivatives in all, the true error was at most
4.1 times the estimate. The second, 512 units of roundoff, is the rounding of the derivative under
test. In float64 this comes to some 1e-11 of the slope, so that a factor of 1 + 1e-6 is an error
like any other. In float32 it would come to 1e-4 and hide mistakes: it is refused.
"""

from minigrad.autograd.gradcheck.check import (
    GradcheckError,
    KinkWarning,
    compare,
    gradcheck,
    gradgradcheck,
)
from minigrad.autograd.gradcheck.report import Element, Report

__all__ = [
    "Element",
    "GradcheckError",
    "KinkWarning",
    "Report",
    "compare",
    "gradcheck",
    "gradgradcheck",
]
