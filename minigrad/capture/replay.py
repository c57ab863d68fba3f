"""Replaying a recorded step: check conditions, make the calls, store gradients and results."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from minigrad.arrays.reproducible import ReproducibleArray
from minigrad.capture.array_types import like
from minigrad.capture.codegen import Writer, any_of
from minigrad.capture.conditions import OptimizerBefore
from minigrad.capture.memory import Memory, placement
from minigrad.capture.program import Program
from minigrad.capture.surroundings import Surroundings
from minigrad.capture.watch import array_of, show
from minigrad.tape import Node, changes, numbers
from minigrad.tensor import Tensor
from minigrad.tensor.backward import accumulate

MISFIT: Any = object()
"""Returned by a replay that did nothing because a condition does not hold."""


@dataclass(frozen=True)
class Output:
    """Placeholder for an output of the program in what a step returns."""

    index: int


@dataclass(frozen=True)
class Argument:
    """Placeholder for an argument of the step in what it returns."""

    index: int


def with_parts(value: Any, change: Callable[[Any], Any]) -> Any:
    """Return a value with what is in it changed, in tuples, lists and dicts, however deep."""
    if type(value) in (tuple, list):
        return type(value)([with_parts(part, change) for part in value])
    if type(value) is dict:
        return {name: with_parts(part, change) for name, part in value.items()}
    return change(value)


@dataclass(frozen=True)
class RecordedStep:
    """All that is needed to replay a step.

    Attributes:
        program: the calls.
        tensors: those whose views are `program.tensors`.
        arrays: of these tensors, when they were recorded.
        nodes: the nodes of the tensors that existed before the step, which come first.
        returned: what the step returned, with `Output` and `Argument` for tensors.
        reproducible: for each output whether it is a reproducible array.
        argument_gradients: for each argument whose gradient was computed, the output it is in.
        gradients_before: tensors whose `.grad` the step read, with the gradient.
        gradients_after: tensors whose `.grad` the step set, with the gradient.
        optimizers: those that took a step.
        surroundings: what the step's code refers to.
    """

    program: Program
    tensors: list[Tensor]
    arrays: list[Any]
    nodes: list[Node | None]
    returned: Any
    reproducible: list[bool]
    argument_gradients: dict[int, Output]
    gradients_before: dict[Tensor, Tensor | None]
    gradients_after: dict[Tensor, Tensor | None]
    optimizers: list[OptimizerBefore]
    surroundings: Surroundings


class Replay:
    """A program with memory, as a function.

    Attributes:
        program: what is run, before intermediate results share memory.
        run: called with the tensors among the step's arguments; returns what the step returns, or
            `MISFIT` if a condition of the recording does not hold.
    """

    run: Callable[..., Any]

    def __init__(self, recorded: RecordedStep) -> None:
        """Make the function that runs a recorded step."""
        program = self.program = recorded.program
        self._recorded = recorded
        parameters = [f"argument_{i}" for i in range(len(program.inputs))]
        memory = Memory()
        self._arrays = recorded.arrays
        self._move(memory)
        writer = self._writer = Writer(memory)
        written = {call.out.buffer for call in program.calls}
        for view, array in zip(program.tensors, self._arrays, strict=True):
            if isinstance(array, ReproducibleArray) and view.buffer not in written:
                writer.stands_for(view, array)  # it knows of changes between two runs
        placed = placement(program)
        conditions = writer.in_parts(self._conditions(), lambda some: [f"return {any_of(some)}"])
        fill = [
            f"{writer.argument(view)}[...] = {parameter}._array"
            for view, parameter in zip(program.inputs, parameters, strict=True)
        ]
        statements = [
            *self._changes(),
            *fill,
            *writer.in_parts(writer.statement(call.moved(placed)) for call in program.calls),
        ]
        self._calls = writer.define("calls", parameters, statements or ["pass"])
        self._loss = None
        if isinstance(recorded.returned, Output) and not recorded.argument_gradients:
            index = recorded.returned.index
            self._loss = memory.array(program.outputs[index])
            self._tensor_of = _tensor_of(recorded.reproducible[index])
        body = [
            "try:",
            f"    if {any_of(conditions)}: return {writer.constant(MISFIT)}",
            "except Exception:",  # an attribute is gone, for example
            f"    return {writer.constant(MISFIT)}",
            f"{writer.name(self._calls, 'calls')}({', '.join(parameters)})",
            *writer.in_parts(self._left_behind()),
            *self._results(writer),
        ]
        self.run = writer.define("replay", parameters, body)
        self._arrays.clear()
        self._optimizers = recorded.optimizers
        del self._recorded, self._writer

    def _move(self, memory: Memory) -> None:
        """Move the tensors into the program's memory."""
        for i, tensor in enumerate(self._recorded.tensors):
            view = self.program.tensors[i]
            if view.buffer.memory is None:
                self._arrays[i] = like(array_of(tensor), memory.own_array(view))
                np.copyto(self._arrays[i], array_of(tensor))
                show(tensor, self._arrays[i])

    def _conditions(self) -> Iterator[str]:
        """Yield expressions, each true if the replay must not run."""
        writer = self._writer
        of, is_not = writer.constant, writer.is_not
        recorded = self._recorded
        yield from recorded.surroundings.changes(writer)
        for tensor, array in zip(recorded.tensors, self._arrays, strict=True):
            yield is_not(f"{of(tensor)}._array", array)
        for tensor, node in zip(recorded.tensors, recorded.nodes, strict=False):
            yield is_not(f"{of(tensor)}._node", node)
        for tensor, grad in recorded.gradients_before.items():
            kept = f"{of(tensor)}._grad"
            if grad is None:
                yield f"{kept} is not None"
            else:
                yield f"{kept} is None or {is_not(f'{kept}._array', array_of(grad))}"
        for before in recorded.optimizers:
            yield from before.changes(writer)

    def _changes(self) -> Iterator[str]:
        """Yield statements that note the changes of the tensors, before they are made.

        So a replay that Ctrl-C interrupts changes nothing unnoticed.
        """
        written = {call.out.buffer for call in self.program.calls}
        shown = [
            array
            for array, view in zip(self._arrays, self.program.tensors, strict=True)
            if view.buffer in written
        ]
        if shown:
            of = self._writer.constant
            moment, log = of(changes.together(shown)), of(changes)
            # As in `Changes.add`, without a call.
            yield f"for {log}.latest in {of(numbers)}: break"
            yield f"{moment}.number = {log}.latest"
            for array in shown:
                if isinstance(array, ReproducibleArray):
                    yield f"{of(array._memory)}.version += 1"

    def _left_behind(self) -> Iterator[str]:
        """Yield statements that set gradients and momentum buffers."""
        of = self._writer.constant
        recorded = self._recorded
        for tensor, grad in recorded.gradients_after.items():
            yield f"{of(tensor)}._grad = {of(grad)}"
        for before in recorded.optimizers:
            yield from before.left_behind(self._writer)

    def _results(self, writer: Writer) -> Iterator[str]:
        """Yield statements that return what the step returns."""
        kinds = map(_tensor_of, self._recorded.reproducible)
        tensors = [writer.name(kind, "tensor_of") for kind in kinds]
        views = zip(tensors, self.program.outputs, strict=True)
        outputs = [f"{tensor}({writer.argument(view)}.copy('K'))" for tensor, view in views]
        for i, output in self._recorded.argument_gradients.items():
            add = writer.name(add_gradient, "add_gradient")
            yield f"{add}(argument_{i}, {outputs[output.index]})"

        yield f"return {self._text(self._recorded.returned, outputs)}"

    def _text(self, value: Any, outputs: list[str]) -> str:
        if isinstance(value, Output):
            return outputs[value.index]
        if isinstance(value, Argument):
            return f"argument_{value.index}"
        if type(value) in (tuple, list):
            opening, closing = "()" if type(value) is tuple else "[]"
            return f"{opening}{''.join(f'{self._text(v, outputs)}, ' for v in value)}{closing}"
        if type(value) is dict:
            of = self._writer.constant
            items = (f"{of(k)}: {self._text(v, outputs)}, " for k, v in value.items())
            return f"{{{''.join(items)}}}"
        return self._writer.constant(value)

    def repeat(self, n: int, arguments: list[Tensor]) -> Tensor | None:
        """Make the calls n times more, after two runs in a row with these arguments.

        The conditions hold as they did before the second run, and what is left behind is there.

        Returns:
            The losses, one behind the other; None if more than calls is needed to return one.
        """
        loss = self._loss
        if loss is None:
            return None
        losses = np.empty((n, *loss.shape), loss.dtype)
        for i in range(n):
            self._calls(*arguments)
            losses[i] = loss
        return self._tensor_of(losses)

    def follow(self) -> None:
        """Take over the numbers among the optimizers' options."""
        for before in self._optimizers:
            before.follow()


def _tensor_of(reproducible: bool) -> Callable[[Any], Tensor]:
    """Return a function that makes a tensor of an ndarray."""
    return _reproducible_tensor if reproducible else Tensor._wrapped


def _reproducible_tensor(array: Any) -> Tensor:
    return Tensor._wrapped(ReproducibleArray(array))


def add_gradient(argument: Tensor, grad: Tensor) -> None:
    """Add to the gradient of an argument; the step itself works on a copy of it."""
    accumulate(argument._recorded("capture"), grad, False)
