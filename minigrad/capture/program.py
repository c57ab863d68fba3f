"""A recorded step as data: a list of NumPy calls on views of memory.

    Program    the calls in order, and the views that are shared with the outside
    Call       one NumPy function, its inputs, and the view that it writes its result into
    View       what NumPy calls an array: memory with a dtype, a shape, strides and an offset
    Buffer     a piece of memory

None of them holds a result. A pass (`minigrad.capture.passes`) is a function from Program to
Program; `minigrad.capture.codegen` allocates the memory and makes a Python function of the calls.
"""

from __future__ import annotations

import math
import operator
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from minigrad.capture.array_types import Function, Reproduced, numpy_function
from minigrad.dtypes import DType

UPDATES = frozenset({np.add.at, Reproduced(np.add.at), operator.setitem})
"""Functions that change only a part of their output, and so depend on its old contents."""

EXACT = frozenset(
    {
        np.absolute,
        np.add,
        np.copyto,
        np.divide,
        np.maximum,
        np.minimum,
        np.multiply,
        np.negative,
        np.positive,
        np.sign,
        np.sqrt,
        np.square,
        np.subtract,
    }
)
"""Element-wise functions whose results do not depend on the memory layout.

They are correctly rounded (IEEE 754). NumPy computes others, such as `exp`, by different code for
contiguous arrays.
"""

PLAIN = EXACT | {np.concatenate, np.where, operator.getitem, operator.setitem}
"""Functions that reproducible arrays answer as NumPy does: they move elements or are `EXACT`."""

NO_PARTS: Mapping[int, str] = MappingProxyType({})
NO_OPTIONS: Mapping[str, Any] = MappingProxyType({})


@dataclass(eq=False, repr=False, slots=True)
class Buffer:
    """A piece of memory; two of them never overlap.

    Attributes:
        size: in bytes.
        memory: the array whose memory it is; None if the program has to allocate it.
        constant: whether its contents never change.
        name: what is in it, for printing.
        parts: names by offset, if it holds several arrays.
    """

    size: int
    memory: Any = None
    constant: bool = False
    name: str = ""
    parts: Mapping[int, str] = field(default_factory=lambda: NO_PARTS)

    def __repr__(self) -> str:
        return f"<Buffer {self.name or hex(id(self))} of {self.size} bytes>"


class View(NamedTuple):
    """An array in a buffer; strides and offset in bytes."""

    buffer: Buffer
    dtype: DType
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    offset: int = 0

    @property
    def size(self) -> int:
        """The number of elements."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """The bytes of its elements."""
        return self.size * self.dtype.itemsize

    def within(self, buffer: Buffer, offset: int = 0) -> View:
        """Return the same view of another buffer, from an offset on."""
        return View(buffer, self.dtype, self.shape, self.strides, self.offset + offset)

    def is_contiguous(self) -> bool:
        """Return whether the elements are contiguous, in C order."""
        expected = contiguous(self.buffer, self.dtype, self.shape).strides
        lengths = zip(self.shape, self.strides, expected, strict=True)
        return all(n == 1 or stride == wanted for n, stride, wanted in lengths)

    def bounds(self) -> tuple[int, int]:
        """Return where in the buffer the elements begin and end."""
        reach = [(n - 1) * s for n, s in zip(self.shape, self.strides, strict=True)]
        first = self.offset + sum(r for r in reach if r < 0)
        end = self.offset + sum(r for r in reach if r > 0) + self.dtype.itemsize
        return first, end if self.size else first

    def is_inside(self) -> bool:
        """Return whether all elements are in the buffer."""
        first, end = self.bounds()
        return self.size == 0 or (first >= 0 and end <= self.buffer.size)

    def is_whole(self) -> bool:
        """Return whether it is contiguous, in C order, and fills the buffer."""
        return self.offset == 0 and self.nbytes == self.buffer.size and self.is_contiguous()


def contiguous(buffer: Buffer, dtype: DType, shape: tuple[int, ...], offset: int = 0) -> View:
    """Return a contiguous view, in C order."""
    strides = tuple([dtype.itemsize * math.prod(shape[i:]) for i in range(1, len(shape) + 1)])
    return View(buffer, dtype, shape, strides, offset)


class Source(NamedTuple):
    """Where a call comes from.

    Attributes:
        rule: the function of minigrad that made it.
        rule_line: that function's file and the line in it.
        line: the user's file and line that led there.
    """

    rule: str = ""
    rule_line: str = ""
    line: str = ""


class Call(NamedTuple):
    """One NumPy call that writes its result into `out`.

    Attributes:
        function: a ufunc or its `reduce`, `at` of `np.add`; `np.where`, `np.concatenate`,
            `np.copyto`, `np.dot` or `np.einsum`; `operator.getitem` and `operator.setitem` with
            keys that select elements one by one (other keys are views); or one of them as
            `Reproduced`.
        inputs: views, Python numbers, and tuples of them; without what is written into. Of
            `np.einsum` also the text that says what is summed.
        out: what is written into.
        options: keyword arguments.
        source: where it comes from.
    """

    function: Function
    inputs: tuple[Any, ...]
    out: View
    options: Mapping[str, Any] = NO_OPTIONS
    source: Source = Source()

    def reads(self) -> list[View]:
        """Return the views whose values the call depends on."""
        views = views_in(self.inputs)
        if self.function in UPDATES:
            views.append(self.out)
        return views

    def moved(self, change: Callable[[View], View]) -> Call:
        """Return the call with every view in it changed; the call itself if none is."""
        inputs, out = with_views(self.inputs, change), change(self.out)
        if inputs is self.inputs and out is self.out:
            return self
        return Call(self.function, inputs, out, self.options, self.source)

    def with_inputs(self, inputs: tuple[Any, ...]) -> Call:
        """Return the call with other inputs; the call itself if they are the same objects."""
        if len(inputs) == len(self.inputs) and all(map(operator.is_, inputs, self.inputs)):
            return self
        return self._replace(inputs=inputs)

    def name(self) -> str:
        """Return what NumPy calls the function: 'add', 'add.reduce'."""
        function = numpy_function(self.function)
        owner = getattr(function, "__self__", None)
        name = function.__name__
        return f"{owner.__name__}.{name}" if isinstance(owner, np.ufunc) else name


def views_in(values: Iterable[Any]) -> list[View]:
    """Return the views among arguments, and in tuples and lists among them, however deep."""
    found: list[View] = []
    for value in values:
        if type(value) is View:
            found.append(value)
        elif isinstance(value, (tuple, list)):
            found += views_in(value)
    return found


def with_views(values: Any, change: Callable[[View], Any]) -> Any:
    """Return arguments, a tuple or list, with every view in them changed; the same if none is."""
    changed = [
        change(value)
        if type(value) is View
        else with_views(value, change)
        if isinstance(value, (tuple, list))
        else value
        for value in values
    ]
    if all(map(operator.is_, changed, values)):
        return values
    return type(values)(changed)


@dataclass(frozen=True)
class Program:
    """The calls of one step.

    Attributes:
        calls: in order.
        inputs: views that are filled from the step's arguments before the first call.
        outputs: views of the values that the step returns.
        tensors: views of tensors that exist outside of the step: their values can be read and
            changed between two runs. A pass may move them by giving another view.
    """

    calls: tuple[Call, ...]
    inputs: tuple[View, ...] = ()
    outputs: tuple[View, ...] = ()
    tensors: tuple[View, ...] = ()

    def with_calls(self, calls: list[Call]) -> Program:
        """Return the program with other calls."""
        return replace(self, calls=tuple(calls))

    def moved(self, change: Callable[[View], View]) -> Program:
        """Return the program with every view in it changed, equal ones to the same object."""
        known: dict[View, View] = {}

        def changed(view: View) -> View:
            found = known.get(view)
            if found is None:
                found = known[view] = change(view)
            return found

        return Program(
            tuple([call.moved(changed) for call in self.calls]),
            tuple(map(changed, self.inputs)),
            tuple(map(changed, self.outputs)),
            tuple(map(changed, self.tensors)),
        )

    def lasting(self) -> set[Buffer]:
        """Return the buffers whose contents matter before the first or after the last call."""
        views = (*self.inputs, *self.outputs, *self.tensors)
        outside = {c.out.buffer for c in self.calls if c.out.buffer.memory is not None}
        return outside | {view.buffer for view in views}


class Results:
    """The buffers that a single call fills, and that nothing else changes.

    They belong to the program and are not visible outside. Such a buffer stands for a value, and
    calls on it can be replaced by others that compute the same.
    """

    def __init__(self, program: Program) -> None:
        writers = Counter(call.out.buffer for call in program.calls)
        shown = {view.buffer for view in (*program.inputs, *program.tensors)}
        self._calls: dict[Buffer, Call] = {
            call.out.buffer: call
            for call in program.calls
            if writers[call.out.buffer] == 1
            and call.out.buffer.memory is None
            and call.out.buffer not in shown
            and call.out.nbytes == call.out.buffer.size
            and call.function not in UPDATES
        }

    def __contains__(self, buffer: Buffer) -> bool:
        return buffer in self._calls

    def call_of(self, view: View) -> Call | None:
        """Return the call that wrote exactly this view; None if there is none."""
        call = self._calls.get(view.buffer)
        return call if call is not None and call.out == view else None
