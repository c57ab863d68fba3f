"""Running a step once and turning its calls into a program."""

import gc
import sys
from collections import Counter
from collections.abc import Callable
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
from numpy.lib.array_utils import byte_bounds

from minigrad.capture.array_types import is_reproducible, like, memory_of
from minigrad.capture.call_sites import CaptureError
from minigrad.capture.code_names import traced
from minigrad.capture.memory import address
from minigrad.capture.program import Call, Program, View
from minigrad.capture.recording_array import RecordingArray
from minigrad.capture.replay import Argument, Output, RecordedStep, add_gradient, with_parts
from minigrad.capture.surroundings import Surroundings
from minigrad.capture.watch import Watch, array_of
from minigrad.tensor import Tensor

Run = Callable[[list[Tensor]], Any]


class RecordedRun(NamedTuple):
    """The outcome of recording a step.

    Attributes:
        value: what the step returned.
        recorded: what is needed to replay it.
        left: tensors that it made and left in unknown places.
        changes: whether it changes what its code refers to, a counter for example.
    """

    value: Any
    recorded: RecordedStep
    left: list[Tensor]
    changes: bool


def record(step: Callable[..., Any], run: Run, arguments: list[Tensor]) -> RecordedRun:
    """Run a step and record it.

    Args:
        step: the step.
        run: calls it, with these tensors in place of those among its arguments.
        arguments: the tensors among its arguments, of which it is given copies.

    Raises:
        CaptureError: the step does what cannot be replayed.
    """
    watch = Watch()
    recorded, left, changes, results = watch.run(lambda: _recorded(watch, step, run, arguments))
    for i, output in recorded.argument_gradients.items():
        add_gradient(arguments[i], results[output.index])
    value = _value(recorded.returned, results, arguments)
    return RecordedRun(value, recorded, left, changes)


def _recorded(
    watch: Watch, step: Callable[..., Any], run: Run, arguments: list[Tensor]
) -> tuple[RecordedStep, list[Tensor], bool, list[Tensor]]:
    """Run the step; return the outcome as in `RecordedRun`, with copies of its outputs."""
    before_it = Surroundings(step)
    (inputs, returned, outputs, argument_gradients), ran = traced(
        lambda: _run(watch, run, arguments)
    )
    watch.recording.check()
    surroundings = Surroundings(step, before_it, ran)
    changes = surroundings.settle(before_it, watch.recording.outside)
    _refuse_overlaps(watch)
    _write_back(watch)
    for before in watch.optimizers.values():
        before.check()
    gradients_after = {x: x.__dict__.get("_grad") for x in watch.graded}
    left = _left(watch, {id(grad) for grad in gradients_after.values()})
    made = watch.left()
    for tensor in made:
        if not tensor.is_leaf:
            tensor._node = None  # the record of how it was made is not made anew
    tensors = [before.tensor for before in watch.before.values()] + made
    _begin_afresh(watch)
    _settle_memory(watch, tensors)
    _name(watch, surroundings)
    surroundings.forget()
    program = Program(
        tuple(watch.recording.calls),
        inputs,
        tuple(out._view() for out in outputs),
        tuple(watch.array(tensor)._view() for tensor in tensors),
    )
    results = [Tensor._wrapped(np.copy(out._wrapped)) for out in outputs]
    recorded = RecordedStep(
        program,
        tensors,
        [watch.array(tensor)._wrapped for tensor in tensors],
        [before.node for before in watch.before.values()],
        returned,
        [is_reproducible(out) for out in outputs],
        argument_gradients,
        watch.gradients,
        gradients_after,
        list(watch.optimizers.values()),
        surroundings,
    )
    return recorded, left, changes, results


def _run(
    watch: Watch, run: Run, arguments: list[Tensor]
) -> tuple[tuple[View, ...], Any, list[RecordingArray], dict[int, Output]]:
    """Run the step; return its inputs, what it returned, the outputs, and arguments' gradients."""
    stand_ins = [_stand_in(watch, i, x) for i, x in enumerate(arguments)]
    inputs = tuple(x._array._view() for x in stand_ins)
    outputs: list[RecordingArray] = []
    returned = _described(run(stand_ins), watch, stand_ins, outputs)
    argument_gradients = {}
    for i, (argument, x) in enumerate(zip(arguments, stand_ins, strict=True)):
        if argument.requires_grad and x.grad is not None:
            argument_gradients[i] = Output(len(outputs))
            outputs.append(x.grad._array)
    return inputs, returned, outputs, argument_gradients


def _stand_in(watch: Watch, i: int, argument: Tensor) -> Tensor:
    """Return a copy of an argument, laid out like it, that must not be changed."""
    array = array_of(argument)
    if array.size == 0 or array.flags.forc:
        copy = np.copy(array)
    else:
        low, high = byte_bounds(memory_of(array))
        room = np.empty(high - low, np.uint8)
        start = address(memory_of(array)) - low
        copy = like(array, np.ndarray(array.shape, array.dtype, room, start, array.strides))
        np.copyto(copy, array)
    recorded = watch.recording.result(copy)
    recorded._buffer.name = f"argument_{i}"
    watch.recording.read_only[recorded._buffer] = (
        "{call} changes argument " + str(i) + " of a captured step, which is a copy of what was "
        "given: return the new value, or change a tensor that is no argument"
    )
    return Tensor._wrapped(recorded).requires_grad_(argument.requires_grad)


def _described(
    value: Any, watch: Watch, stand_ins: list[Tensor], outputs: list[RecordingArray]
) -> Any:
    """Return a value with placeholders for tensors that the step made; add these to outputs."""
    arguments = {id(x): Argument(i) for i, x in enumerate(stand_ins)}

    def place(part: Any) -> Any:
        if id(part) in arguments:
            return arguments[id(part)]
        if not (isinstance(part, Tensor) and watch.has_made(part)):
            return part
        outputs.append(part._array)
        return Output(len(outputs) - 1)

    return with_parts(value, place)


def _value(returned: Any, results: list[Tensor], arguments: list[Tensor]) -> Any:
    """Return what was described, with these tensors in place of the placeholders."""

    def tensor(part: Any) -> Any:
        if isinstance(part, Output):
            return results[part.index]
        return arguments[part.index] if isinstance(part, Argument) else part

    return with_parts(returned, tensor)


def _write_back(watch: Watch) -> None:
    """Add calls that copy the values of tensors with new memory back to their old memory.

    Raises:
        CaptureError: something else may refer to the old memory.
    """
    recording = watch.recording
    for tensor, array, _ in watch.before.values():
        old, new = recording.array(array), tensor._array
        if new is old or new._view() == old._view():
            continue
        if (new.shape, new.dtype) != (old.shape, old.dtype) or id(tensor) not in watch.movable:
            raise CaptureError(
                f"capture: the step gives a tensor of shape {list(old.shape)} other memory, by "
                "assigning to .data or converting its module: write into it with copy_() instead"
            )
        np.copyto(old._wrapped, new._wrapped)
        recording.add(np.copyto, (new,), recording.writes(old))
        tensor._array = old


def _left(watch: Watch, known: set[int]) -> list[Tensor]:
    """Return the tensors that the step left behind in unknown places."""
    states = [before.optimizer.state.values() for before in watch.optimizers.values()]
    known |= {id(state.get("momentum_buffer")) for state in chain(*states)}
    if any(id(tensor) not in known for tensor in watch.left()):
        gc.collect()  # they may have been left to the garbage collector
    return [tensor for tensor in watch.left() if id(tensor) not in known]


def _refuse_overlaps(watch: Watch) -> None:
    """Check that no memory the step writes to belongs to two unrelated arrays.

    Raises:
        CaptureError: it is, as arrays of `as_strided` and of `frombuffer` may be.
    """
    written = {call.out.buffer for call in watch.recording.calls}
    roots = sorted(watch.recording.outside.values(), key=lambda root: address(root._array))
    reaching: list[RecordingArray] = []  # those before that end behind the start of this one
    for root in roots:
        start = address(root._array)
        reaching = [r for r in reaching if address(r._array) + r._buffer.size > start]
        for other in reaching:
            if root._buffer.size and not written.isdisjoint((root._buffer, other._buffer)):
                raise CaptureError(
                    "capture: the step changes memory that belongs to two arrays, of shapes "
                    f"{list(other.shape)} and {list(root.shape)}, neither of which is a view of "
                    "the other to NumPy (made by as_strided or frombuffer, say): copy one of them"
                )
        reaching.append(root)


def _begin_afresh(watch: Watch) -> None:
    """Add calls that restore the initial values of memory that the step made and then changed."""
    recording = watch.recording
    starts: list[Call] = []
    shown = watch.shown()
    for buffer, values in recording.before.items():
        root = recording.outside[id(buffer.memory)]
        if _is_alone(root, shown):
            del recording.outside[id(buffer.memory)]
            buffer.memory = None
            first = recording.array(values)
            starts.append(Call(np.copyto, (first._view(),), root._view()))
    recording.calls[:0] = starts


def _settle_memory(watch: Watch, tensors: list[Tensor]) -> None:
    """Find the memory that is constant, and let the program choose what memory it can."""
    written = {call.out.buffer for call in watch.recording.calls}
    shown = watch.shown()
    for root in watch.recording.outside.values():
        root._buffer.constant = root._buffer not in written and _is_alone(root, shown)
    for tensor in tensors:  # parameters and changed tensors
        buffer = tensor._array._buffer
        if (tensor.requires_grad or buffer in written) and id(tensor) in watch.movable:
            buffer.memory = None


def _is_alone(root: RecordingArray, shown: Counter[int]) -> bool:
    """Return whether nothing but the recording, and tensors it made, refers to an array."""
    # The recording array, the buffer, and the argument of getrefcount.
    return sys.getrefcount(root._array) == 3 + shown[id(root._array)]


def _name(watch: Watch, surroundings: Surroundings) -> None:
    """Name the buffers after the tensors that are in them, or what computes them."""
    for name, tensor in surroundings.named():
        if id(tensor) in watch.before or watch.has_made(tensor):
            buffer = tensor._array._buffer
            buffer.name = buffer.name or name
            grad = tensor.__dict__.get("_grad")
            if isinstance(grad, Tensor) and isinstance(grad._array, RecordingArray):
                grad._array._buffer.name = f"{name}.grad"
            for before in watch.optimizers.values():
                momentum = before.optimizer.state.get(tensor, {}).get("momentum_buffer")
                if momentum is not None and isinstance(momentum._array, RecordingArray):
                    momentum._array._buffer.name = f"{name}.momentum"
    for optimizer in watch.optimizers.values():
        for (_, name, _), (_, array) in optimizer.optimizer._numbers.items():
            if id(array) in watch.recording.outside:
                watch.recording.outside[id(array)]._buffer.name = name
    for call in watch.recording.calls:
        if not call.out.buffer.name:
            call.out.buffer.name = call.source.rule
