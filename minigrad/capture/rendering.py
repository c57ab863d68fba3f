"""A program as text: its calls as NumPy, where each comes from, and what it costs."""

import linecache
import operator
from collections import Counter
from typing import Any

import numpy as np

from minigrad.capture.array_types import Reproduced, numpy_function
from minigrad.capture.memory import Memory
from minigrad.capture.program import Buffer, Call, Program, View

WIDTH = 76
"""The column in which comments begin."""

PRODUCTS = frozenset({np.dot, np.matmul})


class PrintedProgram(Program):
    """A program whose printed form is `listing`: what `step.program` is."""

    def explain(self) -> None:
        """Print the calls as NumPy, with where each comes from and what it costs."""
        print(self)

    def __str__(self) -> str:
        return listing(self)


def listing(program: Program) -> str:
    """Return the calls of a program, one a line, with what they cost.

    Behind each stand the shape and dtype of its result, the floating-point operations (a
    multiplication and an addition count as two, in reproducible arithmetic, too), the bytes of the
    arrays it reads and writes, and the rule that made it. Above the calls stands the line of the
    step that led to them.
    """
    notation = _Notation(program)
    flops, traffic = (sum(map(cost, program.calls)) for cost in (flops_of, bytes_of))
    lines = [
        f"{len(program.calls)} calls, {flops:,} floating-point operations, "
        f"{traffic:,} bytes read and written"
    ]
    if program.inputs:
        inputs = [f"{notation.view(view)} {_kind(view)}" for view in program.inputs]
        lines.append(f"arguments: {', '.join(inputs)}")
    place = None
    for call in program.calls:
        if call.source.line != place:
            place = call.source.line
            lines += ["", _user_line(place)]
        text = f"    {notation.statement(call)}"
        made_by = f"  {call.source.rule}, {call.source.rule_line}" if call.source.rule else ""
        lines.append(
            f"{text:<{WIDTH}}  # {_kind(call.out)}  {flops_of(call):,} flop  "
            f"{bytes_of(call):,} B{made_by}"
        )
    if program.outputs:
        lines += ["", f"returns copies of {', '.join(map(notation.view, program.outputs))}"]
    return "\n".join(lines) + "\n"


def flops_of(call: Call) -> int:
    """Return how many floating-point operations a call makes."""
    function = numpy_function(call.function)
    if function in PRODUCTS:
        return 2 * call.out.size * int(call.inputs[0].shape[-1])
    if isinstance(function, np.ufunc):
        return call.out.size
    of_ufunc = isinstance(getattr(function, "__self__", None), np.ufunc)
    if of_ufunc or function is np.einsum:  # a reduction, or add.at
        return max((view.size for view in call.reads()), default=0)
    return 0


def bytes_of(call: Call) -> int:
    """Return how many bytes the arrays have that a call reads and writes."""
    return sum(map(_bytes, (*call.reads(), call.out)))


def _bytes(view: View) -> int:
    lengths = zip(view.shape, view.strides, strict=True)
    return int(np.prod([n for n, stride in lengths if stride != 0])) * view.dtype.itemsize


def _kind(view: View) -> str:
    return f"{view.shape} {view.dtype}"


def _user_line(place: str) -> str:
    if not place:
        return "# before the step"
    path, _, number = place.rpartition(":")
    return f"# {place}: {linecache.getline(path, int(number)).strip()}"


class _Notation:
    """Names for memory, and what a view of it is written like."""

    def __init__(self, program: Program) -> None:
        self._names: dict[tuple[Buffer, int], str] = {}
        self._whole: dict[tuple[Buffer, int], View] = {}
        self._counts: Counter[str] = Counter()
        self._written: set[Buffer] = set()
        lasting = program.lasting()
        self._found = {buffer for buffer in lasting if buffer.memory is not None}
        self._found |= {view.buffer for view in (*program.inputs, *program.tensors)}
        for view in (*program.tensors, *program.inputs):
            self._declare(view)

    def _declare(self, view: View) -> str:
        buffer, offset = view.buffer, view.offset
        if offset not in buffer.parts:
            offset = 0
        key = buffer, offset
        if key not in self._names:
            name = buffer.parts.get(offset) or buffer.name or "array"
            self._counts[name] += 1
            count = self._counts[name]
            self._names[key] = name if count == 1 else f"{name}_{count}"
            self._whole[key] = view
        return self._names[key]

    def view(self, view: View) -> str:
        """Return what a view is written like."""
        buffer = view.buffer
        if buffer.constant and buffer.size == view.dtype.itemsize:
            return repr(Memory().array(view).flat[0].item())
        parts = [offset for offset in buffer.parts if view.offset <= offset]
        parts = [offset for offset in parts if offset < view.offset + view.nbytes]
        if len(parts) > 1 and view.is_contiguous() and len(view.shape) == 1:
            first, last = buffer.parts[parts[0]], buffer.parts[parts[-1]]
            return f"[{first} … {last}]" if first != last else self._declare(view)
        name = self._declare(view)
        whole = self._whole[buffer, view.offset if view.offset in buffer.parts else 0]
        if view.dtype != whole.dtype:
            return f"{self.view(view._replace(dtype=whole.dtype))}.view({view.dtype})"
        if view == whole:
            return name
        if view == whole._replace(shape=whole.shape[::-1], strides=whole.strides[::-1]):
            return f"{name}.T"
        if view.size == whole.size and view.is_contiguous() and whole.is_contiguous():
            return f"{name}.reshape({view.shape})"
        if 0 in view.strides and view.offset == whole.offset:
            return f"broadcast_to({name}, {view.shape})"
        start = (view.offset - whole.offset) // view.dtype.itemsize
        strides = tuple(stride // view.dtype.itemsize for stride in view.strides)
        return f"{name}[elements {start} + {strides}·index, shape {view.shape}]"

    def argument(self, value: Any) -> str:
        """Return what an argument is written like."""
        if isinstance(value, View):
            return self.view(value)
        if isinstance(value, tuple):
            return f"({', '.join(map(self.argument, value))}{',' if len(value) == 1 else ''})"
        if isinstance(value, list):
            return f"[{', '.join(map(self.argument, value))}]"
        return "..." if value is Ellipsis else repr(value)

    def statement(self, call: Call) -> str:
        """Return what a call is written like."""
        arguments = [self.argument(value) for value in call.inputs]
        out = self.view(call.out)
        new = call.out.buffer not in self._written and call.out.buffer not in self._found
        self._written.add(call.out.buffer)
        if call.function is operator.getitem:
            return f"{out} = {arguments[0]}[{arguments[1]}]"
        if call.function is operator.setitem:
            return f"{out}[{arguments[0]}] = {arguments[1]}"
        library = "reproducible" if isinstance(call.function, Reproduced) else "np"
        if call.name() == "add.at":
            return f"{library}.add.at({out}, {', '.join(arguments)})"
        if call.function is np.copyto:
            return f"np.copyto({out}, {arguments[0]})"
        arguments += [f"{name}={value}" for name, value in call.options.items()]
        if new:
            return f"{out} = {library}.{call.name()}({', '.join(arguments)})"
        return f"{library}.{call.name()}({', '.join(arguments)}, out={out})"
