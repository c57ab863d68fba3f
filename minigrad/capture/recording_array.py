"""`RecordingArray`: computes like the array it wraps, and records the calls.

The rules, the sweep and the optimiser run on it unchanged. Every call of the vocabulary is carried
out at once, so that the first run of a step is an eager run, and noted in a `Recording` as a
`Call` on views of memory. A view (of a reshape, a transpose, a slice) is noted nowhere: it is
another way to look at the same buffer. What reproducible arrays compute otherwise is `Reproduced`.

An ndarray that meets a recording array in a call is memory from outside the recording: it is noted
as such, by the array that owns it. What asks for *values* raises `CaptureError`.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from threading import get_ident
from typing import Any, NoReturn

import numpy as np

from minigrad.arrays.wrapped import WrappedArray
from minigrad.capture.array_types import ARRAYS, Reproduced, is_reproducible, memory_of
from minigrad.capture.call_sites import CaptureError, refuse, source
from minigrad.capture.memory import address, extent
from minigrad.capture.program import NO_OPTIONS, PLAIN, Buffer, Call, Source, View
from minigrad.tape import changed, owner


class Recording:
    """The calls of a step, in order, and the memory that they are on."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.outside: dict[int, RecordingArray] = {}  # by id of the owner of the memory
        self.fresh: dict[Buffer, Any] = {}  # see `made`
        self.before: dict[Buffer, Any] = {}  # see `written`
        self.read_only: dict[Buffer, str] = {}  # what must not be written to, and why
        self.same: dict[tuple[int, ...], tuple[int, ...]] = {}  # each shape once,
        self.sources: dict[Any, Source] = {}  # and each source
        self._thread = get_ident()
        self._strayed: list[CaptureError] = []

    def array(self, value: Any) -> RecordingArray:
        """Return a recording array of memory from outside the recording."""
        memory = owner(value)
        root = self.outside.get(id(memory))
        if root is None:
            root = RecordingArray(self, memory, Buffer(extent(memory), memory))
            self.outside[id(memory)] = root
        return root if value is memory else root._seen(value)

    def made(self, value: Any) -> RecordingArray:
        """Return a recording array of memory that a tensor made by the step begins with.

        If the step writes to it, every run has to begin with the values it has now.
        """
        known = len(self.outside)
        array = self.array(value)
        if len(self.outside) > known:
            self.fresh[array._buffer] = array if array._root is None else array._root
        return array

    def add(
        self, function: Callable[..., Any], inputs: Any, out: RecordingArray, **options: Any
    ) -> RecordingArray:
        """Note a call.

        Raises:
            CaptureError: another thread makes it.
        """
        if get_ident() != self._thread:
            self._refuse_thread()
        reproduced = function not in PLAIN and any(map(is_reproducible, (*inputs, out)))
        answered = Reproduced(function) if reproduced else function
        views, made_by = self._views(inputs), source(self.sources)
        call = Call(answered, views, out._view(), options or NO_OPTIONS, made_by)
        self.calls.append(call)
        return out

    def _refuse_thread(self) -> NoReturn:
        try:
            refuse(
                "{call} runs in another thread than the step, and a replay would not run it: run "
                "it in the step's own thread"
            )
        except CaptureError as error:
            self._strayed.append(error)
            raise

    def check(self) -> None:
        """Check that no other thread has tried to make a part of the calls.

        Raises:
            CaptureError: one has.
        """
        if self._strayed:
            raise self._strayed[0]

    def forget(self) -> None:
        """Let go of the arrays, which refer to the recording."""
        self.outside.clear()
        self.fresh.clear()

    def result(self, array: Any) -> RecordingArray:
        """Return a recording array of what a call has just computed, in memory of its own."""
        if not is_reproducible(array):
            array = np.asarray(array)
        elif owner(array) is not memory_of(array):
            array = np.copy(array)  # a gradient has to own its memory
        memory = owner(array)
        whole = array if memory_of(array) is memory else memory
        root = RecordingArray(self, whole, Buffer(memory.nbytes))
        return root if array is whole else root._seen(array)

    def writes(self, out: Any) -> RecordingArray:
        """Return what is about to be written to, as a recording array; note the change.

        Raises:
            CaptureError: it is read-only.
        """
        target = out if isinstance(out, RecordingArray) else self.array(out)
        buffer = target._buffer
        if buffer in self.read_only:
            refuse(self.read_only[buffer])
        if buffer in self.fresh:
            root = self.fresh.pop(buffer)
            self.before[buffer] = np.copy(root._array)
        changed(target._array)
        return target

    def _views(self, value: Any) -> Any:
        if isinstance(value, RecordingArray):
            return value._view()
        if isinstance(value, ARRAYS):
            return self.array(value)._view()
        if isinstance(value, (tuple, list)):
            return type(value)(map(self._views, value))
        return value


class RecordingArray(WrappedArray):
    """An array whose calls are noted; see the module.

    Raises (all operations):
        CaptureError: the call is not in `minigrad.vocabulary`, or asks for values.
    """

    __slots__ = ("__weakref__", "_buffer", "_known", "_recording", "_root", "_wrapped")

    def __init__(
        self, recording: Recording, array: Any, buffer: Buffer, root: RecordingArray | None = None
    ) -> None:
        self._recording = recording
        self._wrapped = array
        self._buffer = buffer
        self._root = root
        self._known: View | None = None

    # ---- what it is -------------------------------------------------------------------------

    @property
    def _array(self) -> Any:
        """The ndarray that holds the values."""
        return memory_of(self._wrapped)

    @classmethod
    def _plain(cls, value: Any) -> Any:
        """Return `value` with what the recording arrays in it wrap in their place."""
        if isinstance(value, (tuple, list)):
            return type(value)(map(cls._plain, value))
        return value._wrapped if isinstance(value, cls) else value

    @property
    def base(self) -> RecordingArray | None:
        """The recording array that owns the memory; None if this one does."""
        return self._root

    @property
    def mT(self) -> RecordingArray:
        """The matrix with its axes exchanged, in the same memory."""
        return self._seen(self._wrapped.mT)

    def __getitem__(self, key: Any) -> RecordingArray:
        found = self._wrapped[plain_key(key)]
        if self._shares(found):
            return self._seen(found)
        return self._recording.add(operator.getitem, (self, key), self._recording.result(found))

    def __setitem__(self, key: Any, value: Any) -> None:
        plain = plain_key(key)
        out = self._recording.writes(self)
        place = self._wrapped[plain]
        if isinstance(place, np.generic):  # a key that names one element
            place = self._wrapped[(*plain, ...) if isinstance(plain, tuple) else (plain, ...)]
        self._wrapped[plain] = self._plain(value)
        if self._shares(place):
            self._recording.add(np.copyto, (value,), out._seen(place))
        else:
            self._recording.add(operator.setitem, (key, value), out)

    def _seen(self, array: Any) -> RecordingArray:
        """Return a view of this array's memory."""
        return RecordingArray(self._recording, array, self._buffer, self._whole())

    def _whole(self) -> RecordingArray:
        return self if self._root is None else self._root

    def _shares(self, array: Any) -> bool:
        """Return whether an array is a view of this array's memory."""
        return owner(array) is self._whole()._array

    def _view(self) -> View:
        if self._known is None:
            array = self._array
            offset = 0 if self._root is None else address(array) - address(self._root._array)
            same = self._recording.same
            shape, strides = (same.setdefault(x, x) for x in (array.shape, array.strides))
            self._known = View(self._buffer, array.dtype, shape, strides, offset)
        return self._known

    # ---- NumPy's calls ----------------------------------------------------------------------

    def _call(self, ufunc: np.ufunc, inputs: tuple[Any, ...], out: Any) -> Any:
        plain = map(self._plain, inputs)
        if out is None:
            return self._recording.add(ufunc, inputs, self._recording.result(ufunc(*plain)))
        target = self._recording.writes(out)
        ufunc(*plain, out=target._wrapped)
        self._recording.add(ufunc, inputs, target)
        return out

    def _reduce(self, ufunc: np.ufunc, x: Any, options: dict[str, Any]) -> Any:
        result = self._recording.result(ufunc.reduce(x._wrapped, **options))
        return self._recording.add(ufunc.reduce, (x,), result, **options)

    def _add_at(self, out: Any, key: Any, values: Any) -> None:
        target = self._recording.writes(out)
        np.add.at(target._wrapped, plain_key(key), self._plain(values))
        self._recording.add(np.add.at, (key, values), target)

    def _copy_to(self, out: Any, values: Any) -> None:
        target = self._recording.writes(out)
        np.copyto(target._wrapped, self._plain(values))
        self._recording.add(np.copyto, (values,), target)

    def _function(
        self, function: Callable[..., Any], arguments: tuple[Any, ...], options: dict[str, Any]
    ) -> Any:
        recording, x = self._recording, arguments[0]
        result = function(*map(self._plain, arguments), **options)
        if function is np.where:
            return recording.add(np.where, arguments, recording.result(result))
        if function is np.concatenate:
            inputs, *axis = arguments
            options = dict(zip(("axis",), axis, strict=False), **options)
            return recording.add(np.concatenate, (inputs,), recording.result(result), **options)
        if function is np.zeros_like:
            return recording.add(np.copyto, (0,), recording.result(result))
        if x._shares(result):
            return x._seen(result)
        out = recording.result(result)
        if out.shape == x.shape:
            return recording.add(np.copyto, (x,), out)
        # A reshape that had to copy: the elements are in C order now.
        recording.add(np.copyto, (x,), out._seen(np.reshape(out._wrapped, x.shape, copy=False)))
        return out

    def _refuse(self, call: str) -> NoReturn:
        refuse("{call} calls " + f"np.{call}, which is not in minigrad.vocabulary")

    # ---- values -----------------------------------------------------------------------------

    def _refuse_reading(self, *_: Any, **__: Any) -> NoReturn:
        refuse(
            "{call} asks for values, which are other ones at every call of a captured step: do it "
            "outside of the step, with what the step returns"
        )

    item = tolist = __array__ = __iter__ = _refuse_reading
    __bool__ = __float__ = __int__ = __index__ = __complex__ = _refuse_reading

    def __repr__(self) -> str:
        return f"<RecordingArray of shape {self.shape} and dtype {self.dtype}>"


def plain_key(key: Any) -> Any:
    """Return what stands between square brackets with the arrays in it as ndarrays.

    Raises:
        CaptureError: there is a mask that was computed: it may select another number of elements.
    """
    parts = key if isinstance(key, tuple) else (key,)
    for part in parts:
        computed = isinstance(part, RecordingArray) and part._buffer.memory is None
        if computed and part.dtype == bool and part.ndim > 0:
            refuse(
                "{call} selects elements by a mask: how many depends on values, and the shapes of "
                "a captured step must not. Choose with where(mask, x, 0) instead"
            )
    return RecordingArray._plain(key)
