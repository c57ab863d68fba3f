"""A training step whose every value is kept, of any library with torch's names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from parity.engines.protocol import BUFFER, Array, Traced


def traced_step(
    model: Any,
    optimizer: Any,
    x: Any,
    y: Any,
    loss_function: Callable[[Any, Any], Any],
    copy: Callable[[Any], Array],
) -> list[Traced]:
    """Take one training step; return all it computed, in the order of computing.

    Args:
        model: an `nn.Sequential`.
        optimizer: SGD, with torch's `state`.
        x, y: the data.
        loss_function: called as `loss_function(prediction, y)`.
        copy: returns a tensor's values in memory of their own, on the CPU.
    """
    layers = [(name, type(layer).__name__, layer) for name, layer in model.named_children()]
    loss_node = ("loss", "MSELoss")
    steps = []
    optimizer.zero_grad()
    outputs = []
    for name, operation, layer in layers:
        x = layer(x)
        x.retain_grad()
        outputs.append(x)
        steps.append(Traced("forward", name, operation, "output", copy(x.detach())))
    loss = loss_function(x, y)
    loss.retain_grad()
    steps.append(Traced("forward", *loss_node, "output", copy(loss.detach())))
    loss.backward()
    steps.append(Traced("backward", *loss_node, "output", copy(loss.grad)))
    steps.append(Traced("backward", *loss_node, "input", copy(outputs.pop().grad)))
    for name, operation, layer in reversed(layers):
        for key, parameter in layer.named_parameters():
            gradient = copy(parameter.grad)
            steps.append(Traced("backward", name, operation, f"{name}.{key}", gradient))
        if outputs:
            steps.append(Traced("backward", name, operation, "input", copy(outputs.pop().grad)))
    optimizer.step()
    for name, _, layer in layers:
        for key, parameter in layer.named_parameters():
            tensor = f"{name}.{key}"
            buffer = optimizer.state.get(parameter, {}).get("momentum_buffer")
            if buffer is not None:
                kept = tensor + BUFFER
                steps.append(Traced("optimizer", name, "SGD", kept, copy(buffer)))
            steps.append(Traced("optimizer", name, "SGD", tensor, copy(parameter.detach())))
    return steps
