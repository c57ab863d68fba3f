"""Watching one training step of a model: what each call of a module computes, and the gradients.

Known of the library are torch's names alone. So an engine shows its steps by it, and the judge
looks by it at what minigrad's rules make of the same numbers (`parity.checks.nodes`).
"""

import functools
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from parity.engines.protocol import BUFFER, Array, Traced

Named = tuple[str, str, str, str, Any]
"""What is in `Traced`, with a tensor for the value."""

PREDICTION = "prediction"
"""The node of what a model computes after its modules, or without any."""

LOSS = "loss"


class Calls:
    """The calls of a model's modules in a forward pass, in the order in which they end.

    A context manager: the model is watched until it ends. What a module passes on as another one
    returned it is that one's output and no other's.

    Args:
        model: the network.
        seen: called as `seen(node, output)` after each call; what it returns, if it is not None,
            takes the place of the output.

    Attributes:
        modules: the module of each node, in order.
        receivers: of nodes whose output goes into one other node and nowhere else: which one.
    """

    def __init__(self, model: Any, seen: Callable[[str, Any], Any]) -> None:
        self._model, self._seen = model, seen
        self.modules: dict[str, Any] = {}
        self.receivers: dict[str, str] = {}

    def __enter__(self) -> "Calls":
        self.modules.clear()
        self._counts: Counter[str] = Counter()
        self._outputs: list[Any] = []
        self._hooks = [
            module.register_forward_hook(functools.partial(self._ended, name))
            for name, module in self._model.named_modules()
            if type(module).__name__ != "Sequential"  # whose output is its last module's
        ]
        self._next = _next_in_line(self._model)
        return self

    def __exit__(self, *raised: object) -> None:
        for hook in self._hooks:
            hook.remove()

    def _ended(self, name: str, module: Any, inputs: Any, output: Any) -> Any:
        if not hasattr(output, "requires_grad") or any(output is known for known in self._outputs):
            return None
        self._counts[name] += 1
        count = self._counts[name]
        node = (name or PREDICTION) + (f"#{count}" if count > 1 else "")
        self.modules[node] = module
        if count == 1 and name in self._next:
            self.receivers[node] = self._next[name]
        replaced = self._seen(node, output)
        self._outputs.append(output if replaced is None else replaced)
        return replaced


def _next_in_line(model: Any) -> dict[str, str]:
    """Return for each module of a Sequential that is the model, but for its last, the next one."""
    if type(model).__name__ != "Sequential":
        return {}
    names = [name for name, _ in model.named_children()]
    return dict(zip(names, [*names[1:], LOSS], strict=True))


def traced_step(
    model: Any,
    data: list[Any],
    forward: Callable[..., Any],
    loss_function: Callable[[Any, Any], Any],
    sweep: Callable[[Any], None],
    optimizer: Any,
    loss_name: str,
) -> list[Named]:
    """Take one training step; return all it computed.

    What lies between modules is copied as soon as it is there, not held until the end: so a
    captured step uses its memory again as if nobody looked.

    Args:
        model, data: the network; its inputs and the targets.
        forward: runs the network.
        loss_function: of prediction and targets.
        sweep: runs backward from the loss.
        optimizer: takes the step.
        loss_name: what kind the node of the loss is.
    """
    steps: list[Named] = []
    swept: dict[str, Any] = {}

    def keep(node: str, grad: Any) -> None:
        swept[node] = grad.clone()

    def seen(node: str, output: Any) -> None:
        if output.requires_grad:
            output.register_hook(functools.partial(keep, node))
        kind = type(calls.modules[node]).__name__
        steps.append(("forward", node, kind, "output", output.detach().clone()))

    optimizer.zero_grad()
    *inputs, y = data
    with Calls(model, seen) as calls:
        prediction = forward(*inputs)
    loss = loss_function(prediction, y)
    loss.register_hook(functools.partial(keep, LOSS))
    steps.append(("forward", LOSS, loss_name, "output", loss.detach().clone()))
    sweep(loss)
    steps.append(("backward", LOSS, loss_name, "output", swept[LOSS]))
    for node, name in gradients_of(calls):
        if name == "output":
            if node in swept:
                to, place = place_of(calls, node)
                kind = loss_name if to == LOSS else type(calls.modules[to]).__name__
                steps.append(("backward", to, kind, place, swept[node]))
            continue
        gradient = _parameter(model, name).grad
        if gradient is not None:  # PREDICTION may be no node: then a module's output is that
            kind = type(calls.modules.get(node, model)).__name__
            steps.append(("backward", node, kind, name, gradient.detach()))
    optimizer.step()
    for name, parameter in model.named_parameters():
        node = name.rpartition(".")[0] or PREDICTION
        buffer = optimizer.state.get(parameter, {}).get("momentum_buffer")
        if buffer is not None:
            steps.append(("optimizer", node, "SGD", name + BUFFER, buffer.detach()))
        steps.append(("optimizer", node, "SGD", name, parameter.detach()))
    return steps


def gradients_of(calls: Calls) -> list[tuple[str, str]]:
    """Return the nodes, from the last to the first, each with "output" and its own parameters.

    A parameter stands with the first call of the module that it is of: there its gradient is whole.
    """
    found = []
    named = {id(p): name for name, p in calls._model.named_parameters()}
    for node, module in reversed(calls.modules.items()):
        found.append((node, "output"))
        if "#" not in node:
            found += [
                (node, named.pop(id(p)))
                for _, p in module.named_parameters(recurse=False)
                if id(p) in named
            ]
    return [*found, *((PREDICTION, name) for name in named.values())]


def place_of(calls: Calls, node: str) -> tuple[str, str]:
    """Return by which node and tensor the gradient by a node's output goes in a trace."""
    receiver = calls.receivers.get(node)
    return (node, "output") if receiver is None else (receiver, "input")


def _parameter(model: Any, name: str) -> Any:
    return dict(model.named_parameters())[name]


def gradient_by(trace: Mapping[tuple[str, str, str], Traced], parameter: str) -> Array | None:
    """Return the gradient by a parameter, whichever node it stands with in a trace."""
    return next(
        (
            step.value
            for (*_, tensor), step in trace.items()
            if tensor == parameter and step[0] == "backward"
        ),
        None,
    )
