"""`ReproducibleArray`: sums and products with the same bits on every machine.

What decides a bit of a result is listed in `minigrad.arrays.reproducible`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from minigrad.arrays.reproducible import sums
from minigrad.arrays.reproducible.slices import FORMATS, Factor, Splits, Transposed
from minigrad.arrays.wrapped import WrappedArray

REFUSED = frozenset({np.cos, np.exp, np.log, np.log1p, np.power, np.sin, np.sqrt, np.tanh})
"""The calls that libraries round differently; of powers those that are no products."""

VIEWS = frozenset({np.broadcast_to, np.reshape, np.transpose})
"""The functions whose result may share memory with their argument."""


@dataclass(slots=True)
class _Memory:
    """What an array shares with its views: how often the elements have been written to."""

    version: int = 0


@dataclass(slots=True)
class _Cache:
    """The splits of a matrix, shared with its transposes, and the version they belong to."""

    splits: Splits | None = None
    version: int = 0


class ReproducibleArray(WrappedArray):
    """An array for which the vocabulary of the rules is reproducible.

    It wraps an ndarray, without a copy, which nothing else may change from then on;
    `minigrad.arrays.conversion` makes tensors and modules of such arrays. An array that
    is a factor of several products is split once. Writing to it, or to a view of it, discards the
    split.

    Raises (all operations):
        TypeError: the call is not in `minigrad.vocabulary`, or is one that is refused.
    """

    __slots__ = ("_array", "_cache", "_flipped", "_memory")

    QUESTIONS = WrappedArray.QUESTIONS | {np.any}

    def __init__(self, array: Any) -> None:
        self._array = np.asarray(array)
        self._memory = _Memory()
        self._cache: _Cache | None = None
        self._flipped = False

    @property
    def mT(self) -> ReproducibleArray:
        """The matrix with its axes exchanged, in the same memory and with the same split."""
        transposed = self._view(self._array.mT)
        transposed._cache = self._cache = self._cache or _Cache()
        transposed._flipped = not self._flipped
        return transposed

    def __getitem__(self, key: Any) -> ReproducibleArray:
        return self._view(self._array[self._plain(key)])

    def __setitem__(self, key: Any, value: Any) -> None:
        self._array[self._plain(key)] = self._plain(value)
        self._memory.version += 1

    def _view(self, array: Any) -> ReproducibleArray:
        view = ReproducibleArray(array)
        view._memory = self._memory
        return view

    def _factor(self) -> Factor:
        """Return what the matrix is split into."""
        cache = self._cache = self._cache or _Cache()
        if cache.splits is None or cache.version != self._memory.version:
            matrix = self._array.mT if self._flipped else self._array
            cache.splits = Splits(matrix, cache.splits)
            cache.version = self._memory.version
        return Transposed(cache.splits) if self._flipped else cache.splits

    # ---- NumPy's calls ----------------------------------------------------------------------

    def _call(self, ufunc: np.ufunc, inputs: tuple[Any, ...], out: Any) -> Any:
        is_product = ufunc is np.power and sums.is_product(inputs[1])
        if ufunc in REFUSED and not is_product:
            raise TypeError(
                f"{ufunc.__name__}: a ReproducibleArray refuses it, because IEEE 754 does not "
                "prescribe its rounding or libraries do not follow it, and results would differ "
                "from machine to machine. Use + − × ÷, maximum, sums, products, small whole powers."
            )
        if ufunc is not np.matmul and not is_product:
            plain = [x._array if isinstance(x, ReproducibleArray) else x for x in inputs]
            result = ufunc(*plain, out=self._plain(out))
        else:
            result = sums.power(*map(self._plain, inputs)) if is_product else _matmul(*inputs)
            if out is not None:
                np.copyto(self._plain(out), result, casting="same_kind")
        return ReproducibleArray(result) if out is None else _written(out)

    def _reduce(self, ufunc: np.ufunc, x: Any, options: dict[str, Any]) -> Any:
        if ufunc is np.add:
            return ReproducibleArray(_sum(x, **options))
        return ReproducibleArray(ufunc.reduce(x._array, **options))

    def _add_at(self, out: Any, key: Any, values: Any) -> None:
        """Add values to the elements at `key`, each as often as it is named.

        The terms of one element need not lie in a row, so all have one exponent.
        """
        plain = self._plain(out)
        places = np.arange(plain.size).reshape(plain.shape)[self._plain(key)]
        terms = np.broadcast_to(self._plain(values), places.shape).astype(plain.dtype, copy=False)
        if plain.dtype in FORMATS:
            row = Splits(np.reshape(terms, (1, terms.size)))
            added = sums.scattered(row, places.ravel(), plain.size)
            plain += np.reshape(added, plain.shape)
        else:
            np.add.at(plain, self._plain(key), terms)
        _written(out)

    def _copy_to(self, out: Any, values: Any) -> None:
        np.copyto(self._plain(out), self._plain(values))
        _written(out)

    def _function(
        self, function: Callable[..., Any], arguments: tuple[Any, ...], options: dict[str, Any]
    ) -> Any:
        result = function(*map(self._plain, arguments), **options)
        return self._view(result) if function in VIEWS else ReproducibleArray(result)


def _written(out: Any) -> Any:
    """Note that `out` has changed, and return it."""
    if isinstance(out, ReproducibleArray):
        out._memory.version += 1
    return out


def _matrix(x: Any, dtype: Any) -> ReproducibleArray:
    if isinstance(x, ReproducibleArray) and x.dtype == dtype:
        return x
    return ReproducibleArray(np.asarray(ReproducibleArray._plain(x), dtype))


def _matmul(x: Any, y: Any) -> Any:
    dtype = getattr(x, "dtype", None)
    if dtype is None or getattr(y, "dtype", None) != dtype:
        dtype = np.result_type(*map(ReproducibleArray._plain, (x, y)))
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


def _sum(x: Any, *, axis: Any = 0, keepdims: bool = False, dtype: Any = None) -> Any:
    """Return the sum along axes: None for all, an int, or a tuple."""
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


def _integers(ufunc: Callable[..., Any], *inputs: Any, **options: Any) -> Any:
    """Call NumPy's own, which is exact for integers and raises what it raises for bad shapes."""
    result = ufunc(*inputs, **options)
    if result.dtype.kind not in "biu":
        raise TypeError(
            f"a ReproducibleArray sums and multiplies matrices (at least two axes) of float32 and "
            f"float64, not {' and '.join(f'{x.dtype} {x.shape}' for x in inputs)}"
        )
    return result
