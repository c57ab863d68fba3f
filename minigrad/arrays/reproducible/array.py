"""`ReproducibleArray`: sums and products with the same bits on every machine.

The rules, the sweep and the optimiser run on it unchanged, and what they compute depends on the
inputs alone: not on the BLAS library, its kernels and threads, nor on the order in which anything
is summed. Another implementation that pins down the same things, in another language and on
another device, ends with the same bits after any number of steps.

What is pinned down:

1.  *Slices.* A float32 or float64 matrix, n by m, is split into float64 slices of
    w = ⌊(53 − ⌈log₂ max(n, m)⌉)/2⌋ bits. A sum along either axis has max(n, m) terms at most, so
    a sum of products of slices is exact; and since w depends on the matrix alone, one split serves
    every product the matrix takes part in, transposed ones too.
2.  *Splitting.* With |x| < 2ᴱ, E as `frexp` gives it for the largest magnitude (0 for zeros), the
    first slice is x rounded to a multiple of 2^(E−w), half to even; the second is what is left,
    which is at most 2^(E−w−1), rounded likewise with E−w−1 in place of E, and so on. There are
    ⌈(p + s)/(w + 1)⌉ slices: p the bits of the dtype's mantissa, s its span: for float32 24 and
    20, for float64 53 and 8. What is left after the last slice is dropped.
3.  *Scope of the exponent.* One E for a matrix. The vectors that are summed along (rows of a left
    factor, columns of a right one) span E − E' bits, E' belonging to the smallest of their largest
    magnitudes, vectors of zeros left out. Where that is more than s, each vector has an E of its
    own, and the span counts as 0.
4.  *Products.* Slice i of the left factor times slice j of the right, counted from 0, is left out
    if i·(w+1) + j·(w'+1) ≥ p + 8 + both spans. The others, each rounded nowhere, are added in
    float64: the largest i + j first, among equals the smallest i first. The sum is rounded once to
    the dtype.
5.  *Sums* are products with ones: the slices of an n by K matrix, K terms for each of n results,
    are summed each by itself and exactly, and these sums are added, the last slice's first. The
    matrix of a sum along one axis of two is the matrix itself; otherwise the summed axes are moved
    to the end, and K counts their elements. Sums of one term, and products (n, 1)·(1, m), are the
    terms themselves, rounded as multiplication rounds.
6.  *The ends of the range.* A float64 matrix with an |E| above 300 is scaled by 2^−E first, and
    the result scaled back before it is rounded. Every scaling by 2ᵉ is a product with 2^⌊e/2⌋ and
    then with 2^(e−⌊e/2⌋), e limited to ±2000. A result of zero is +0. Subnormals are kept.
7.  *Not finite.* Infinities and NaNs count as 0 when slices are made. An element with such terms
    is NaN if one of them is NaN (0·∞ included) or they have both signs, else that infinity. All
    NaNs count as equal. Nothing overflows but the last rounding.
8.  *Element by element*, + − × ÷, comparisons, maximum, sign, square and the choice by a mask are
    rounded correctly, hence the same everywhere, as long as every one is a call of its own: no
    fused multiply-add, no division by a precomputed reciprocal. `sqrt`, `exp`, `log`, `tanh` and
    `power` are refused: libraries round them differently (torch's `sqrt` on a CPU, too).

How accurate that is: for an element of a product, of K terms and with exact value e, α the largest
magnitude in its row and β in its column, and u = 2⁻ᵖ, the error is at most u·|e| + 5·K·u·α·β: of
the order that `matmul` in that dtype guarantees, K·u·Σ|aᵢbᵢ|. Where the spans are at most s/2 it is
u·|e| + K·u·α·β/3, in float32 K·u·α·β/16. (Slice i is at most 2^(1−i(w+1)) times the matrix's
largest magnitude; add up what (2) and (4) leave out.)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from minigrad.arrays.reproducible import sums
from minigrad.arrays.reproducible.slices import FORMATS, Factor, Splits, Transposed
from minigrad.vocabulary import FUNCTIONS, UFUNCS

REFUSED = frozenset({np.exp, np.log, np.power, np.sqrt, np.tanh})

# Functions whose result may share memory with their argument.
VIEWS = frozenset({np.broadcast_to, np.reshape, np.transpose})

# What is asked about arrays besides the vocabulary: the answer is no array of ours.
QUESTIONS = frozenset({np.any, np.can_cast, np.result_type, np.shape})


class _Memory:
    """What an array shares with its views: how often the elements have been written to."""

    __slots__ = ("version",)

    def __init__(self) -> None:
        self.version = 0


class _Cache:
    """The splits of a matrix, shared with its transposes, and the version they belong to."""

    __slots__ = ("splits", "version")

    def __init__(self) -> None:
        self.splits: Splits | None = None
        self.version = 0


class ReproducibleArray:
    """An array for which the vocabulary of the rules is reproducible.

    It wraps an ndarray, without a copy, which nothing else may change from then on;
    `minigrad.arrays.conversion` makes tensors and modules of such arrays. An array that
    is a factor of several products is split once; writing to it, through a view as well, discards
    the split.

    Raises (all operations):
        TypeError: the call is not in `minigrad.vocabulary`, or is one that is refused.
    """

    __slots__ = ("_array", "_cache", "_flipped", "_memory")

    def __init__(self, array: Any) -> None:
        self._array = np.asarray(array)
        self._memory = _Memory()
        self._cache = _Cache()
        self._flipped = False

    # ---- what it is -------------------------------------------------------------------------

    dtype = property(lambda self: self._array.dtype)
    flags = property(lambda self: self._array.flags)
    ndim = property(lambda self: self._array.ndim)
    shape = property(lambda self: self._array.shape)
    size = property(lambda self: self._array.size)

    @property
    def base(self) -> Any:
        """The ndarray that holds the elements."""
        return self._array

    @property
    def mT(self) -> ReproducibleArray:
        """The matrix with its axes exchanged, in the same memory and with the same split."""
        transposed = self._view(self._array.mT)
        transposed._cache = self._cache
        transposed._flipped = not self._flipped
        return transposed

    def item(self) -> float | int | bool:
        """Return the value of the only element."""
        value: float | int | bool = self._array.item()
        return value

    def tolist(self) -> Any:
        """Return the values as nested lists of Python numbers."""
        return self._array.tolist()

    def __len__(self) -> int:
        return len(self._array)

    def __repr__(self) -> str:
        return f"ReproducibleArray({np.array2string(self._array)})"

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        """Return the elements, read-only: a change would go unnoticed, and the split be wrong."""
        view = self._array.view()
        view.flags.writeable = False
        return np.array(view, dtype=dtype, copy=copy)

    def __getitem__(self, key: Any) -> ReproducibleArray:
        return self._view(self._array[_plain(key)])

    def __setitem__(self, key: Any, value: Any) -> None:
        self._array[_plain(key)] = _plain(value)
        self._memory.version += 1

    def _view(self, array: Any) -> ReproducibleArray:
        view = ReproducibleArray(array)
        view._memory = self._memory
        return view

    def _factor(self) -> Factor:
        """Return what the matrix is split into."""
        cache = self._cache
        if cache.splits is None or cache.version != self._memory.version:
            matrix = self._array.mT if self._flipped else self._array
            cache.splits = Splits(matrix, cache.splits)
            cache.version = self._memory.version
        return Transposed(cache.splits) if self._flipped else cache.splits

    # ---- NumPy's calls ----------------------------------------------------------------------

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
        if ufunc in REFUSED:
            raise TypeError(
                f"{ufunc.__name__}: a ReproducibleArray refuses it, because IEEE 754 does not "
                "prescribe its rounding or libraries do not follow it, and results would differ "
                "from machine to machine. Use + − × ÷, square, maximum, sums and products."
            )
        if method == "__call__" and ufunc in UFUNCS and not options.keys() - {"out"}:
            (out,) = options.get("out") or (None,)
            if ufunc is np.matmul:
                return _stored(_matmul(*inputs), out)
            result = ufunc(*map(_plain, inputs), out=_plain(out))
            return ReproducibleArray(result) if out is None else _stored(None, out)
        if method == "reduce" and ufunc is np.add:
            return ReproducibleArray(_sum(*inputs, **options))
        if method == "reduce" and ufunc in (np.maximum, np.minimum):
            return ReproducibleArray(ufunc.reduce(_plain(inputs[0]), **options))
        if method == "at" and ufunc is np.add:
            return _add_at(*inputs)
        raise _unknown(f"{ufunc.__name__}.{method} with {sorted(options)}")

    def __array_function__(
        self, function: Callable[..., Any], types: Any, arguments: Any, options: Any
    ) -> Any:
        if function is np.copyto:
            out, source = arguments
            np.copyto(_plain(out), _plain(source), **options)
            return _stored(None, out)
        if function not in FUNCTIONS and function not in QUESTIONS:
            raise _unknown(function.__name__)
        result = function(*map(_plain, arguments), **options)
        if function in QUESTIONS:
            return result
        return self._view(result) if function in VIEWS else ReproducibleArray(result)


def _plain(value: Any) -> Any:
    """Return `value` with the arrays in it as ndarrays."""
    if isinstance(value, ReproducibleArray):
        return value._array
    if isinstance(value, (tuple, list)):
        return type(value)(map(_plain, value))
    return value


def _stored(result: Any, out: Any) -> Any:
    """Write `result`, unless it is None, into `out`, if there is one; note that `out` changed."""
    if out is None:
        return ReproducibleArray(result)
    if result is not None:
        np.copyto(_plain(out), result, casting="same_kind")
    if isinstance(out, ReproducibleArray):
        out._memory.version += 1
    return out


def _unknown(call: str) -> TypeError:
    return TypeError(f"{call}: a ReproducibleArray knows the calls in minigrad.vocabulary only")


def _matrix(x: Any, dtype: Any) -> ReproducibleArray:
    same = isinstance(x, ReproducibleArray) and x.dtype == dtype
    return x if same else ReproducibleArray(np.asarray(_plain(x), dtype))


def _matmul(x: Any, y: Any) -> Any:
    dtype = np.result_type(_plain(x), _plain(y))
    x, y = _matrix(x, dtype), _matrix(y, dtype)
    if dtype not in FORMATS or min(x.ndim, y.ndim) < 2 or x.shape[-1] != y.shape[-2]:
        return _integers(np.matmul, x._array, y._array)
    if x.shape[-1] == 1:
        return sums.outer(x._array, y._array)
    if x.ndim == y.ndim == 2:
        return sums.matmul(x._factor(), y._factor())
    leading = np.broadcast_shapes(x.shape[:-2], y.shape[:-2])
    out = np.empty((*leading, x.shape[-2], y.shape[-1]), dtype)
    xs, ys = (np.broadcast_to(z._array, (*leading, *z.shape[-2:])) for z in (x, y))
    for i in np.ndindex(*leading):
        out[i] = _matmul(xs[i], ys[i])
    return out


def _integers(ufunc: Callable[..., Any], *inputs: Any, **options: Any) -> Any:
    """Call NumPy's own, which is exact for integers and raises what it raises for bad shapes."""
    result = ufunc(*inputs, **options)
    if result.dtype.kind not in "biu":
        raise TypeError(
            f"a ReproducibleArray sums and multiplies matrices (at least two axes) of float32 and "
            f"float64, not {' and '.join(f'{x.dtype} {x.shape}' for x in inputs)}"
        )
    return result


def _sum(x: Any, *, axis: Any = 0, keepdims: bool = False, dtype: Any = None) -> Any:
    """The sum along axes: None for all, an int, or a tuple."""
    array = x._array
    if array.dtype not in FORMATS:
        integers = _integers(np.add.reduce, array, axis=axis, keepdims=keepdims)
        return integers if dtype is None else np.astype(integers, dtype)
    if dtype is not None and dtype != array.dtype:
        x = ReproducibleArray(np.astype(array, dtype))
        return _sum(x, axis=axis, keepdims=keepdims)
    named = range(array.ndim) if axis is None else (axis,) if isinstance(axis, int) else axis
    axes = tuple(a % array.ndim for a in named)
    out = sums.sum_along(array, axes, x._factor)
    return np.expand_dims(out, axes) if keepdims else out


def _add_at(out: Any, key: Any, values: Any) -> None:
    """Add values to the elements at `key`, each as often as it is named: sums like any other.

    The terms of one element need not lie in a row, so all have one exponent.
    """
    plain = _plain(out)
    places = np.arange(plain.size).reshape(plain.shape)[_plain(key)]
    terms = np.broadcast_to(_plain(values), places.shape).astype(plain.dtype, copy=False)
    if plain.dtype in FORMATS:
        row = Splits(np.reshape(terms, (1, terms.size)))
        added = sums.scattered(row, places.ravel(), plain.size)
        plain += np.reshape(added, plain.shape)
    else:
        np.add.at(plain, _plain(key), terms)
    _stored(None, out)
