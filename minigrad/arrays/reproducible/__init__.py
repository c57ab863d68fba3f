"""Arrays whose sums and products have the same bits on every machine.

The rules, the sweep and the optimiser run on a `ReproducibleArray` unchanged. What they compute
depends on the inputs alone: not on the BLAS library, its kernels and threads, nor on the order in
which anything is summed. Another implementation that pins down the same things, in another
language and on another device, ends with the same bits after any number of steps.

Beside its values an array carries its *slices*, once it was a factor of a product: float64 matrices
with so few bits each that products of them are exact. `slices` cuts them, `sums` multiplies and
adds them, and `array` hands NumPy's calls to these.

What is pinned down:

1.  *Slices.* A float32 or float64 matrix, n by m, is split into float64 slices of
    w = ⌊(53 − ⌈log₂ max(n, m)⌉)/2⌋ bits. A sum along either axis has at most max(n, m) terms, so
    a sum of products of slices is exact. Since w depends on the matrix alone, one split serves
    every product the matrix takes part in, also transposed.
2.  *Splitting.* With |x| < 2ᴱ, E as `frexp` gives it for the largest magnitude (0 for zeros), the
    first slice is x rounded to a multiple of 2^(E−w), half to even. The rest is at most
    2^(E−w−1), and is rounded likewise with E−w−1 in place of E, and so on. There are
    ⌈(p + s)/(w + 1)⌉ slices, where p is the bits of the dtype's mantissa and s its span: 24 and 20
    for float32, 53 and 8 for float64. What is left after the last slice is dropped.
3.  *Scope of the exponent.* One E for a matrix. The vectors that are summed along (rows of a left
    factor, columns of a right one) span E − E' bits, where E' belongs to the smallest of their
    largest magnitudes, without vectors of zeros. Where that is more than s, each vector has an E of
    its own, and the span counts as 0.
4.  *Products.* Slice i of the left factor times slice j of the right, counted from 0, is left out
    if i·(w+1) + j·(w'+1) ≥ p + 8 + both spans. The others, none of them rounded, are added in
    float64: the largest i + j first, among equals the smallest i first. The sum is rounded once to
    the dtype.
5.  *Sums* are products with ones: the slices of an n by K matrix, K terms for each of n results,
    are summed each by itself and exactly, and these sums are added, the last slice's first. The
    matrix of a sum along one axis of two is the matrix itself. Otherwise the summed axes are moved
    to the end, and K counts their elements. Sums of one term, and products (n, 1)·(1, m), are the
    terms themselves, rounded as multiplication rounds.
6.  *The ends of the range.* A float64 matrix with an |E| above 300 is scaled by 2^−E first, and
    the result is scaled back before it is rounded. Every scaling by 2ᵉ is a product with 2^⌊e/2⌋
    and then with 2^(e−⌊e/2⌋), e limited to ±2000. A result of zero is +0. Subnormals are kept.
7.  *Not finite.* Infinities and NaNs count as 0 when slices are made. An element with such terms
    is NaN if one of them is NaN (0·∞ included) or they have both signs, else that infinity. All
    NaNs count as equal. Nothing overflows but the last rounding.
8.  *Element by element*, + − × ÷, comparisons, maximum, sign, square and the choice by a mask are
    rounded correctly, hence the same everywhere, as long as each is a call of its own: no
    fused multiply-add, no division by a precomputed reciprocal. xⁿ for whole n from 0 to 16 is 1
    multiplied by x n times, x⁻ⁿ is 1 divided by that. `sqrt`, `exp`, `log`, `tanh` and all other
    powers are refused: libraries round them differently (torch's `sqrt` on a CPU, too).

How accurate that is: for an element of a product of K terms with exact value e, with α the largest
magnitude in its row and β in its column, and u = 2⁻ᵖ, the error is at most u·|e| + 5·K·u·α·β. That
is of the order that `matmul` in that dtype guarantees, K·u·Σ|aᵢbᵢ|. Where the spans are at most s/2
it is u·|e| + K·u·α·β/3, in float32 K·u·α·β/16. (Slice i is at most 2^(1−i(w+1)) times the matrix's
largest magnitude; add up what (2) and (4) leave out.)
"""

from minigrad.arrays.reproducible.array import ReproducibleArray

__all__ = ["ReproducibleArray"]
