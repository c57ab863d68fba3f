"""Observing a computation while it runs, without a change to what is computed.

`Rule.plan` is asked once for every operation that is recorded. While an `Observation` is open it
answers with a plan that also takes notes: of the values when they are saved, of the gradients when
the derivatives run. The node keeps this plan, so whatever walks the tape later finds the notes.
Nothing else in minigrad knows of it, and nothing is slower while no observation is open.
"""

from __future__ import annotations

import linecache
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from minigrad import tape
from minigrad.capture.watch import is_recording
from minigrad.explain.names import Names
from minigrad.nn import Module
from minigrad.ops.rule import Plan, Rule
from minigrad.optim import SGD
from minigrad.tape import Node
from minigrad.tensor import Tensor
from minigrad.tensor import backward as sweeps

Values = NDArray[Any]

ENGINE = str(Path(__file__).parents[1])
EXAMPLE = str(Path(__file__).with_name("example.py"))
"""Code that counts as the user's although it is here."""


class Line(NamedTuple):
    """A line of the user's source."""

    file: str
    number: int
    text: str

    def __str__(self) -> str:
        return f"{Path(self.file).name}:{self.number}"


class Operation:
    """One operation as it ran.

    Attributes:
        rule: what ran.
        inputs: copies of the arrays it was given; Python numbers as they are.
        arrays: the arrays themselves, to tell which tensors they belong to.
        output: a copy of what it made.
        options: the forward function's keyword arguments.
        line: the user's line that led to it, None if there is none.
        layer: the name of the module in which it ran, in the outermost one; empty without.
        layer_type: that module's class.
    """

    def __init__(self, rule: Rule, values: Sequence[Any], options: Mapping[str, Any]) -> None:
        self.rule = rule
        self.arrays = values[1:]
        self.output = copied(values[0])
        self.inputs = [copied(value) for value in self.arrays]
        self.options = dict(options)
        self.line: Line | None = None
        self.layer = self.layer_type = ""


class Forward(NamedTuple):
    """An operation ran."""

    operation: Operation


class Backward(NamedTuple):
    """A derivative ran: of an operation by its input at a position.

    `grad_out` came in, and `grad` came out, not yet summed to the shape of the input.
    """

    operation: Operation
    position: int
    derivative: Callable[..., Any]
    grad_out: Values
    grad: Values


class Swept(NamedTuple):
    """A sweep over the tape began."""

    roots: list[Node]


class Accumulated(NamedTuple):
    """A leaf's gradient was complete, hooks included.

    `backward` left it in the leaf's `.grad`: that was `before`, and is `after`, None if the sweep
    was for the sake of the explanation alone.
    """

    leaf: Node
    added: Values
    before: Values | None
    after: Values | None


class Zeroed(NamedTuple):
    """`optimizer.zero_grad()` was called; `leaves` had a gradient before."""

    leaves: list[Node]


class Updated(NamedTuple):
    """An optimizer's step changed a parameter."""

    leaf: Node
    before: Values
    grad: Values
    after: Values
    options: dict[str, Any]
    buffer: Values | None


Event = Forward | Swept | Backward | Accumulated | Zeroed | Updated


def copied(value: Any) -> Any:
    """Return the values of an array, or of a tensor, as they are now; anything else as it is."""
    if isinstance(value, Tensor):
        value = value._array
    return np.array(np.asarray(value)) if hasattr(value, "__array_function__") else value


class ObservedPlan(Plan):
    """A plan that takes notes."""

    operation: Operation | None = None  # what was saved, once it was

    def save(self, values: Sequence[Any], options: Mapping[str, Any]) -> Sequence[Any]:
        """Note the values, and save what the tape needs."""
        self.operation = self._noted(values, options)
        return super().save(values, options)

    _noted: Callable[[Sequence[Any], Mapping[str, Any]], Operation]


class Observation:
    """Notes what is computed in this thread within a `with` block.

    What was recorded in the block keeps taking notes after it, when the tape is swept backwards.

    Attributes:
        events: what happened, in order.
        names: what the user calls the tensors that took part.

    Raises:
        RuntimeError: a step is being captured.
    """

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.names = Names()
        self._thread = threading.get_ident()
        self._restored: list[tuple[Any, str, Any]] = []

    def __enter__(self) -> Observation:
        if is_recording():
            raise RuntimeError(
                "explain: a step is being captured, and a look at its values would become a part "
                "of it: explain the step outside of minigrad.capture"
            )
        plan, sweep, accumulate = vars(Rule)["plan"], tape.sweep, sweeps.accumulate
        step, zero_grad = SGD.step, SGD.zero_grad
        observation = self

        def observed_plan(self: Rule, needs_grad: tuple[bool, ...]) -> Plan:
            found = plan.__get__(self)(needs_grad)
            return observation._observed(self, found) if observation._is_watching() else found

        def observed_sweep(roots: Any, *arguments: Any, **options: Any) -> Any:
            if observation._is_watching():
                observation.events.append(Swept([node for node, _ in roots]))
            return sweep(roots, *arguments, **options)

        def observed_accumulate(node: Node, grad: Tensor, recorded: bool) -> None:
            before, added = copied(node.grad), copied(grad)
            accumulate(node, grad, recorded)
            if observation._is_watching() and node.rule is None:
                observation.events.append(Accumulated(node, added, before, copied(node.grad)))

        def observed_step(self: SGD, *arguments: Any, **options: Any) -> Any:
            if not observation._is_watching():
                return step(self, *arguments, **options)
            before = [copied(parameter) for parameter, _ in _parameters(self)]
            result = step(self, *arguments, **options)
            observation._note_update(self, before)
            return result

        def observed_zero_grad(self: SGD, *arguments: Any, **options: Any) -> None:
            nodes = [p._grad_node for p, _ in _parameters(self)]
            graded = [node for node in nodes if node is not None and node.grad is not None]
            zero_grad(self, *arguments, **options)
            if observation._is_watching():
                observation.events.append(Zeroed(graded))

        replaced = [
            (Rule, "plan", observed_plan),
            (tape, "sweep", observed_sweep),
            (sweeps, "accumulate", observed_accumulate),
            (SGD, "step", observed_step),
            (SGD, "zero_grad", observed_zero_grad),
        ]
        self._restored = [(owner, name, vars(owner)[name]) for owner, name, _ in replaced]
        for place in replaced:
            setattr(*place)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for place in self._restored:
            setattr(*place)

    def sweep(self, root: Node) -> None:
        """Compute the gradients for the sake of the notes; no `.grad` is touched."""
        one = np.ones(root.shape, root.dtype)
        for leaf, grad in tape.sweep([(root, one)], retain_graph=True):
            self.events.append(Accumulated(leaf, copied(grad), None, None))

    def _is_watching(self) -> bool:
        return threading.get_ident() == self._thread and not is_recording()

    def _observed(self, rule: Rule, plan: Plan) -> Plan:
        """Return the plan with notes taken of what it saves and what its derivatives do."""
        observed = ObservedPlan(*plan)

        def noted(values: Sequence[Any], options: Mapping[str, Any]) -> Operation:
            operation = Operation(rule, values, options)
            self._locate(operation, sys._getframe(2))
            self.events.append(Forward(operation))
            return operation

        def listening(position: int, derivative: Callable[..., Any]) -> Callable[..., Any]:
            def listen(grad_out: Any, *arguments: Any) -> Any:
                grad = derivative(grad_out, *arguments)
                assert observed.operation is not None
                arrays = copied(grad_out), copied(grad)
                self.events.append(Backward(observed.operation, position, derivative, *arrays))
                return grad

            return listen

        derivatives = [(i, listening(i, function), pick) for i, function, pick in plan.derivatives]
        observed = observed._replace(derivatives=derivatives, is_plain=False)
        observed._noted = noted
        return observed

    def _locate(self, operation: Operation, frame: FrameType | None) -> None:
        """Find the user's line, and the layer, from which an operation was called."""
        inner = outer = None
        user = None
        while frame is not None:
            name = frame.f_code.co_filename
            if user is None and (not name.startswith(ENGINE) or name == EXAMPLE):
                user = frame
                text = linecache.getline(name, frame.f_lineno, frame.f_globals).strip()
                operation.line = Line(name, frame.f_lineno, text)
            if frame.f_code.co_name == "forward":
                module = frame.f_locals.get("self")
                if isinstance(module, Module):
                    inner, outer = inner or module, module
            frame = frame.f_back
        if outer is not None:
            self.names.add_module(outer)
            operation.layer = next(name for name, m in outer.named_modules() if m is inner)
            operation.layer_type = type(inner).__name__
        if user is not None:
            self.names.look_around(user)

    def _note_update(self, optimizer: SGD, before: list[Values]) -> None:
        for (parameter, group), old in zip(_parameters(optimizer), before, strict=True):
            node = parameter._grad_node
            if node is not None and node.grad is not None:
                options = {k: v for k, v in group.items() if k != "params"}
                buffer = optimizer.state.get(parameter, {}).get("momentum_buffer")
                arrays = old, copied(node.grad), copied(parameter)
                self.events.append(Updated(node, *arrays, options, copied(buffer)))


def _parameters(optimizer: SGD) -> list[tuple[Tensor, dict[str, Any]]]:
    return [(p, group) for group in optimizer.param_groups for p in group["params"]]
