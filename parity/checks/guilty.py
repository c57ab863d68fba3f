"""Which of several rules is wrong: each is held against the definition of what it computes.

Where a node is more than one operation, as of a loss that somebody wrote, minigrad's own run of it
is observed: what every rule was given, and what it made of that. The definitions are the exact
witness's.
"""

import functools
import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from minigrad import tape
from minigrad.explain.events import Accumulated, Backward, Event, Forward, Operation, Swept
from minigrad.tape import Node
from parity.checks import exact
from parity.checks.budget import Budget
from parity.checks.exact import functional, optim
from parity.checks.exact.lacking import Lacking
from parity.checks.exact.operations import TORCH
from parity.checks.exact.tensor import Tensor
from parity.checks.exact.truth import Truth, true_gradient, true_value
from parity.checks.tensor import distance
from parity.engines.protocol import Array

Function = Callable[..., Any]

OTHERWISE: dict[str, Function] = {
    "alias": lambda x, shape: x.reshape(shape),
    "astype": lambda x, dtype: x.clone(),
    "cat": lambda *xs, axis: exact.cat(xs, axis),
    "expand": lambda x, shape: x.expand(shape),
    "huber_loss": lambda x, y, delta: functional.huber_loss(x, y, "none", delta),
    "index": lambda x, indices: x[indices],
    "part": lambda x, key: x[key],
    "permute": lambda x, axes: x.permute(axes),
    "power": lambda x, exponent: x**exponent,
    "reshape": lambda x, shape: x.reshape(shape),
    "reciprocal": lambda x: 1 / x,
    "scale": lambda x, factor: x * factor,
    "smooth_l1_loss": lambda x, y, beta: functional.smooth_l1_loss(
        x, y, reduction="none", beta=beta
    ),
    "squared_error": lambda x, y: functional.mse_loss(x, y, reduction="none"),
    "sum": lambda x, axis=None, keepdims=False: x.sum(axis, keepdims) if axis != () else x.clone(),
}
"""The definitions of rules that are not called as torch's function of that name is."""


def first_wrong(events: Iterable[Event], exact: bool = False) -> Function | None:
    """Return the first rule or derivative that did not compute what it should; None if all did.

    Of numbers that are `exact` no rule rounds any.
    """
    for event in events:
        if isinstance(event, Forward):
            true, found = _output(event.operation), event.operation.output
            function = event.operation.rule.forward
        elif isinstance(event, Backward):
            true, function = _gradient(event), event.derivative
            found = _summed(event.grad, event.operation.inputs[event.position])
        else:
            continue
        if not _agrees(found, true, exact):
            return function
    return None


def first_wrong_sum(
    events: Iterable[Event], nodes: Mapping[int, Node], wanted: Iterable[Node]
) -> Function | None:
    """Return what of the sweep is wrong, whose derivatives are right; None if nothing is.

    The gradient that comes into a node is the sum of those that came out of the operations it went
    into, each of them summed over what was broadcast.

    Args:
        events: of one sweep after another.
        nodes: by the `id` of the operations.
        wanted: whose gradients matter.
    """
    wanted, out = set(wanted), dict[Node, list[Array]]()
    for event in events:
        if isinstance(event, Swept):
            out = {}
        elif isinstance(event, Accumulated):
            if event.leaf in wanted and (wrong := _wrong_sum(out.pop(event.leaf, []), event.added)):
                return wrong
        elif isinstance(event, Backward):
            node = nodes.get(id(event.operation))
            if node is None:
                continue
            into = out.pop(node, [])  # with the first derivative; nothing at a root
            if node in wanted and (wrong := _wrong_sum(into, event.grad_out)):
                return wrong
            parent = node.parents[event.position]
            if parent is not None:
                out.setdefault(parent, []).append(event.grad)
    return None


def judging(right: Function, note: Callable[[Any], object]) -> Function:
    """Return `SGD._direction`, given as `right`; `note` is called with each parameter for which its
    direction is not what the options say.
    """

    def direction(optimizer: Any, parameter: Any, grad: Any, group: Any, buffer: Any) -> Any:
        buffers = {} if buffer is None else {"buffer": np.array(buffer._array)}
        given = {"parameter": np.array(parameter._array), "grad": np.array(grad), **buffers}
        found = right(optimizer, parameter, grad, group, buffer)
        options = {k: v.item() if hasattr(v, "item") else v for k, v in group.items()}
        define = functools.partial(_direction, options)
        if not _agrees(np.array(found), _told(lambda: true_value(define, given))):
            note(parameter)
        return found

    return direction


def _direction(group: Mapping[str, Any], given: Mapping[str, Tensor]) -> Tensor:
    return optim.direction(given["parameter"], given["grad"], given.get("buffer"), group)[0]


def _wrong_sum(parts: Sequence[Array], total: Array) -> Function | None:
    if not parts:
        return None
    named = {str(i): np.asarray(part) for i, part in enumerate(parts)}
    summed = true_value(lambda given: _sum(_down(t, total.shape) for t in given.values()), named)
    if _agrees(total, summed):
        return None
    for part in named.values():
        down = true_value(lambda given: _down(given[""], total.shape), {"": part})
        if not _agrees(tape.unbroadcast(part, total.shape), down):
            return tape.unbroadcast
    return tape._accumulate if len(parts) > 1 else tape.sweep


def _output(operation: Operation) -> Truth | None:
    function, arrays = _defined(operation)
    return _told(lambda: true_value(function, arrays))


def _gradient(event: Backward) -> Truth | None:
    function, arrays = _defined(event.operation)
    by = str(event.position)
    return _told(lambda: true_gradient(function, arrays, by, event.grad_out))


def _told(compute: Callable[[], Truth | None]) -> Truth | None:
    try:
        return compute()
    except Lacking:
        return None


def _defined(operation: Operation) -> tuple[Callable[[Mapping[str, Tensor]], Tensor], Any]:
    """Return what an operation is, as a function of its inputs by their places, and these."""
    name, inputs = operation.rule.name, operation.inputs
    arrays = {str(i): x for i, x in enumerate(inputs) if isinstance(x, np.ndarray)}

    def function(given: Mapping[str, Tensor]) -> Tensor:
        known = {**TORCH, **vars(functional), **OTHERWISE}
        defined = known.get(name)
        if defined is None:
            raise Lacking(f"definition of {name}")
        values = [given.get(str(i), x) for i, x in enumerate(inputs)]
        found: Tensor = defined(*values, **operation.options)
        return found

    return function, arrays


def _summed(grad: Array, by: Array) -> Array:
    """Sum a derivative over what was broadcast, and convert it, as the sweep should do."""
    total = np.sum(grad, tuple(_repeated(np.ndim(grad), np.shape(by))), np.longdouble)
    return np.asarray(total, np.asarray(by).dtype).reshape(np.shape(by))


def _down(tensor: Tensor, shape: tuple[int, ...]) -> Tensor:
    axes = _repeated(tensor.ndim, shape)
    summed = TORCH["sum"](tensor, axes) if axes else tensor
    found: Tensor = TORCH["reshape"](summed, shape)
    return found


def _sum(tensors: Iterable[Tensor]) -> Tensor:
    return functools.reduce(operator.add, tensors)


def _repeated(axes: int, shape: tuple[int, ...]) -> list[int]:
    """Return the axes along which a shape may be broadcast to so many axes."""
    added = axes - len(shape)
    return [*range(added), *(added + i for i, n in enumerate(shape) if n == 1)]


def _agrees(found: Array, true: Truth | None, exact: bool = False) -> bool:
    if true is None or (exact and np.array_equal(found, true.value, equal_nan=True)):
        return True
    return not exact and distance(found, Budget(*true, None, {})).found.passed
