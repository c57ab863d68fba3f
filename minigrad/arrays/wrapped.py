"""`WrappedArray`: what all array types here have in common.

An array type wraps an ndarray. NumPy hands it every call that it takes part in, through
`__array_ufunc__` (NEP 13) and `__array_function__` (NEP 18). Which of them are in
`minigrad.vocabulary` is decided here; what they compute, each array type defines.
"""

from collections.abc import Callable
from typing import Any, ClassVar, NoReturn

import numpy as np

from minigrad.vocabulary import FUNCTIONS, REDUCTIONS, UFUNCS


class WrappedArray:
    """An array that answers the calls of the vocabulary in a way of its own.

    A subclass stores an ndarray as `_array`. It defines `mT`, `__getitem__` and `__setitem__`, and
    the methods at the end, one for each kind of call.

    Raises (all operations):
        TypeError: the call is not in `minigrad.vocabulary`.
    """

    __slots__ = ()
    _array: Any

    QUESTIONS: ClassVar[frozenset[Any]] = frozenset({np.can_cast, np.result_type, np.shape})
    """Functions outside the vocabulary that are answered, too, by plain values."""

    dtype = property(lambda self: self._array.dtype)
    flags = property(lambda self: self._array.flags)
    ndim = property(lambda self: self._array.ndim)
    shape = property(lambda self: self._array.shape)
    size = property(lambda self: self._array.size)
    strides = property(lambda self: self._array.strides)

    @property
    def base(self) -> Any:
        """The ndarray that holds the values."""
        return self._array

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
        return f"{type(self).__name__}({np.array2string(self._array)})"

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        """Return the values, read-only: what the array knows of them must stay true."""
        view = self._array.view()
        view.flags.writeable = False
        return np.array(view, dtype=dtype, copy=copy)

    @classmethod
    def _plain(cls, value: Any) -> Any:
        """Return `value` with the arrays of this type in it as ndarrays."""
        if isinstance(value, cls):
            return value._array
        if isinstance(value, (tuple, list)):
            return type(value)(map(cls._plain, value))
        return value

    # ---- NumPy's calls ----------------------------------------------------------------------

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
        if method == "__call__" and ufunc in UFUNCS and not options:
            return self._call(ufunc, inputs, None)
        if method == "__call__" and ufunc in UFUNCS and options.keys() == {"out"}:
            return self._call(ufunc, inputs, *options["out"])
        named = options.keys() <= {"axis", "keepdims", "dtype"}
        if method == "reduce" and ufunc in REDUCTIONS and named:
            return self._reduce(ufunc, inputs[0], options)
        if method == "at" and ufunc is np.add:
            return self._add_at(*inputs)
        return self._refuse(f"{ufunc.__name__}.{method} with {sorted(options)}")

    def __array_function__(
        self, function: Callable[..., Any], types: Any, arguments: Any, options: Any
    ) -> Any:
        if function in self.QUESTIONS:
            return function(*map(self._plain, arguments), **options)
        if function is np.copyto and not options:
            return self._copy_to(*arguments)
        if function in FUNCTIONS:
            return self._function(function, arguments, options)
        return self._refuse(function.__name__)

    def _refuse(self, call: str) -> NoReturn:
        raise TypeError(
            f"{call}: a {type(self).__name__} knows the calls in minigrad.vocabulary only"
        )

    # ---- what an array type defines ---------------------------------------------------------

    def _call(self, ufunc: np.ufunc, inputs: tuple[Any, ...], out: Any) -> Any:
        """Answer `ufunc(*inputs)`, or write its result into `out` and return that."""
        raise NotImplementedError

    def _reduce(self, ufunc: np.ufunc, x: Any, options: dict[str, Any]) -> Any:
        """Answer `ufunc.reduce(x, **options)`, the options being axis, keepdims and dtype."""
        raise NotImplementedError

    def _add_at(self, out: Any, key: Any, values: Any) -> None:
        """Answer `np.add.at`."""
        raise NotImplementedError

    def _copy_to(self, out: Any, values: Any) -> None:
        """Answer `np.copyto`."""
        raise NotImplementedError

    def _function(
        self, function: Callable[..., Any], arguments: tuple[Any, ...], options: dict[str, Any]
    ) -> Any:
        """Answer a function of the vocabulary."""
        raise NotImplementedError
