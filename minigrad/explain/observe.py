"""Observing a computation while it runs, without a change to what is computed.

`Rule.plan` is called once for every operation that is recorded. While an `Observation` is open, it
returns a plan that also takes notes: of the values when they are saved, and of the gradients when
the derivatives run. The node keeps this plan, so a later sweep of the tape takes notes, too.
Nothing else in minigrad knows of it, and nothing is slower while no observation is open.
"""

from __future__ import annotations

import linecache
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any, TypeVar

import numpy as np

from minigrad import tape
from minigrad.capture.watch import is_recording
from minigrad.explain.events import (
    Accumulated,
    Backward,
    Code,
    Event,
    Forward,
    Operation,
    Swept,
    Updated,
    Values,
    Zeroed,
)
from minigrad.nn import Module
from minigrad.ops.rule import Plan, Rule
from minigrad.optim import SGD
from minigrad.tape import Node
from minigrad.temporary import replaced
from minigrad.tensor import Tensor
from minigrad.tensor import backward as sweeps

T = TypeVar("T")

ENGINE = str(Path(__file__).parents[1])
EXAMPLE = str(Path(__file__).parents[1] / "architectures.py")
"""A file of minigrad whose code counts as the user's: it has the example of a training step."""


def copied(value: Any) -> Any:
    """Return the values of an array, or of a tensor, as they are now; anything else as it is."""
    if isinstance(value, Tensor):
        value = value._array
    return np.array(np.asarray(value)) if hasattr(value, "__array_function__") else value


@dataclass
class Names:
    """What the user calls things: leaves and arrays by their `id`."""

    leaves: dict[int, str] = field(default_factory=dict)
    arrays: dict[int, str] = field(default_factory=dict)
    _modules: set[int] = field(default_factory=set)
    _globals: set[int] = field(default_factory=set)
    _kept: list[Any] = field(default_factory=list)  # an id is good for as long as its object is

    def look_around(self, frame: FrameType) -> None:
        """Note the names of tensors among a frame's variables."""
        self._add(frame.f_locals)
        if id(frame.f_globals) not in self._globals:
            self._globals.add(id(frame.f_globals))
            self._add(frame.f_globals)

    def _add(self, variables: Mapping[str, Any]) -> None:
        for name, value in list(variables.items()):
            if isinstance(value, Tensor):
                self._add_tensor(name, value)
            elif isinstance(value, Module):
                self.add_module(value)

    def _add_tensor(self, name: str, tensor: Tensor) -> None:
        node = tensor._node
        key, names = (id(tensor._array), self.arrays) if node is None else (id(node), self.leaves)
        if key not in names:
            names[key] = name
            self._kept += (node, tensor._array)

    def add_module(self, module: Module) -> None:
        """Note the names of a module's parameters."""
        if id(module) not in self._modules:
            self._modules.add(id(module))
            self._kept.append(module)
            for name, parameter in module.named_parameters():
                self._add_tensor(name, parameter)


class ObservedPlan(Plan):
    """A plan that takes notes."""

    operation: Operation | None = None  # what was saved, once it was


class Observation:
    """Notes what is computed in this thread while `run` runs a function.

    What was recorded by then keeps taking notes afterwards, when the tape is swept backwards.

    Attributes:
        events: what happened, in order.
        names: what the user calls the tensors that took part.
    """

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.names = Names()
        self._thread = threading.get_ident()

    def run(self, body: Callable[[], T]) -> T:
        """Return `body()`, observed.

        Raises:
            RuntimeError: a step is being captured.
        """
        if is_recording():
            raise RuntimeError(
                "explain: a step is being captured, and a look at its values would become a part "
                "of it: explain the step outside of minigrad.capture"
            )

        def observed(method: Callable[..., Any], attribute: Any) -> Any:
            before = attribute if callable(attribute) else _of_slot(attribute)

            def call(*arguments: Any, **options: Any) -> Any:
                if not self._is_watching():
                    return before(*arguments, **options)
                return method(before, *arguments, **options)

            if callable(attribute):
                return call
            # A slot, which rules that are made meanwhile must still be able to fill.
            return property(lambda owner: partial(call, owner), attribute.__set__)

        places: dict[tuple[Any, str], Callable[..., Any]] = {
            (Rule, "plan"): self._plan,
            (tape, "sweep"): self._sweep,
            (sweeps, "accumulate"): self._accumulate,
            (SGD, "step"): self._step,
            (SGD, "zero_grad"): self._zero_grad,
        }
        return replaced(
            {place: partial(observed, method) for place, method in places.items()}, body
        )

    def sweep(self, output: Tensor) -> None:
        """Compute the gradients of an output to take notes of them; no `.grad` is touched."""
        for leaf, grad in sweeps.gradients_of([output], [None], True, False):
            self.events.append(Accumulated(leaf, copied(grad._array), None, None))

    def _is_watching(self) -> bool:
        return threading.get_ident() == self._thread and not is_recording()

    # ---- what is observed: each method gets what it stands for ------------------------------

    def _plan(self, plan: Callable[..., Plan], rule: Rule, needs_grad: tuple[bool, ...]) -> Plan:
        return self._observed(rule, plan(rule, needs_grad))

    def _sweep(self, sweep: Callable[..., Any], roots: Any, *arguments: Any, **options: Any) -> Any:
        self.events.append(Swept([node for node, _ in roots]))
        return sweep(roots, *arguments, **options)

    def _accumulate(
        self, accumulate: Callable[..., Any], node: Node, grad: Tensor, recorded: bool
    ) -> None:
        before, added = copied(kept_gradient(node)), copied(grad)
        accumulate(node, grad, recorded)
        if node.rule is None:
            self.events.append(Accumulated(node, added, before, copied(kept_gradient(node))))

    def _step(
        self, step: Callable[..., Any], optimizer: SGD, *arguments: Any, **options: Any
    ) -> Any:
        before = [copied(parameter) for parameter, _ in _parameters(optimizer)]
        result = step(optimizer, *arguments, **options)
        self._note_update(optimizer, before)
        return result

    def _zero_grad(
        self, zero_grad: Callable[..., Any], optimizer: SGD, *arguments: Any, **options: Any
    ) -> None:
        parameters = [p for p, _ in _parameters(optimizer) if p._grad is not None]
        graded = [p._node for p in parameters if p._node is not None]
        zero_grad(optimizer, *arguments, **options)
        self.events.append(Zeroed(graded))

    def _observed(self, rule: Rule, plan: Plan) -> Plan:
        """Return a plan that takes notes of what it saves and of what its derivatives do."""
        observed = ObservedPlan(*plan)

        def save(values: Sequence[Any], options: Mapping[str, Any]) -> Sequence[Any]:
            output, *arrays = values
            inputs = list(map(copied, arrays))
            operation = Operation(rule, arrays, inputs, copied(output), dict(options))
            self._locate(operation, sys._getframe(1))
            self.events.append(Forward(operation))
            observed.operation = operation
            return plan.save(values, options)

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
        observed.save = save  # type: ignore[method-assign]
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
                operation.line = Code(name, frame.f_lineno, text)
            if frame.f_code.co_name == "forward":
                module = frame.f_locals.get("self")
                if isinstance(module, Module):
                    inner, outer = inner or module, module
            frame = frame.f_back
        if outer is not None:
            self.names.add_module(outer)
            # One that is made while it runs has no name.
            operation.layer = next((name for name, m in outer.named_modules() if m is inner), "")
            operation.layer_type = type(inner).__name__
        if user is not None:
            self.names.look_around(user)

    def _note_update(self, optimizer: SGD, before: list[Values]) -> None:
        for (parameter, group), old in zip(_parameters(optimizer), before, strict=True):
            node, grad = parameter._node, parameter._grad
            if node is not None and grad is not None:
                options = {k: v for k, v in group.items() if k != "params"}
                buffer = optimizer.state.get(parameter, {}).get("momentum_buffer")
                arrays = old, copied(grad), copied(parameter)
                self.events.append(Updated(node, *arrays, options, copied(buffer)))


def _of_slot(slot: Any) -> Callable[..., Any]:
    """Return a function that calls what an object has in a slot."""
    return lambda owner, *arguments: slot.__get__(owner)(*arguments)


def kept_gradient(node: Node) -> Tensor | None:
    """Return the `.grad` of the tensor that keeps this node's gradient."""
    tensor: Tensor | None = None if node.variable is None else node.variable()
    return None if tensor is None else tensor._grad


def _parameters(optimizer: SGD) -> list[tuple[Tensor, dict[str, Any]]]:
    return [(p, group) for group in optimizer.param_groups for p in group["params"]]
