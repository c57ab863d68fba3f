"""What can be left out of a case: each reduction returns a smaller case, or several to choose from.

A layer that is left out leaves its trace in the data, so that what remains computes what it did
before: the first layer's outputs become the inputs, and in place of the last layers come targets
that send back the same gradient.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

import minigrad
from minigrad import nn
from minigrad.architectures import build
from parity.cases.case import Case
from parity.engines.protocol import Array, Start

SAMPLES = -1
"""In place of a layer's number: the samples."""


def count(case: Case, axis: int) -> int:
    """Return how many samples there are, or units in layer `axis`, of which 0 are the inputs."""
    return case.task.samples if axis == SAMPLES else case.task.sizes[axis]


def keep(case: Case, axis: int, chosen: Sequence[int]) -> Case:
    """Return the case with some of the samples, or of the units of layer `axis`.

    Of a case that is drawn anew, as many as are chosen: not the same ones.
    """
    task, start = case.task, case.start
    if axis == SAMPLES:
        task = replace(task, samples=len(chosen))
        if start is not None:
            start = start.with_data(lambda array: _take(array, chosen, 0))
        return replace(case, task=task, start=start)
    sizes = list(task.sizes)
    sizes[axis] = len(chosen)
    task = replace(task, sizes=tuple(sizes))
    if start is None:
        return replace(case, task=task)

    def kept(arrays: Mapping[str, Array]) -> dict[str, Array]:
        found = dict(arrays)
        for name, dim in (
            (f"{2 * axis}.weight", 1),
            (f"{2 * (axis - 1)}.weight", 0),
            (f"{2 * (axis - 1)}.bias", 0),
        ):
            if name in found:
                found[name] = _take(found[name], chosen, dim)
        return found

    start = Start(
        _take(start.x, chosen, 1) if axis == 0 else start.x,
        _take(start.y, chosen, 1) if axis == len(sizes) - 1 else start.y,
        kept(start.parameters),
    )
    return replace(case, task=task, start=start, momentum_buffers=kept(case.momentum_buffers))


def steps(case: Case) -> int:
    """Return how many steps the case has."""
    return case.task.steps - _first(case)


def with_steps(case: Case, number: int) -> Case:
    """Return the case with another number of steps."""
    return replace(case, task=case.task.of_steps(_first(case), number))


def _first(case: Case) -> int:
    return 0 if case.start is None else case.start.step


def plainer(case: Case) -> Iterator[Case]:
    """Yield the case without momentum, and with momentum that is yet to begin."""
    if case.task.problem is None and case.task.momentum and not case.task.nesterov:
        yield replace(case, task=replace(case.task, momentum=0.0), momentum_buffers={})
    if case.momentum_buffers:
        yield replace(case, momentum_buffers={})


def shallower(case: Case) -> Iterator[Case]:
    """Yield the case with fewer layers: the last ones alone, then the first ones alone."""
    layers = len(case.task.sizes) - 1
    if case.task.options:  # what is left out is known for layers with ReLU and the squared error
        return
    if case.start is None:
        for hidden in range(1, layers):
            sizes = case.task.sizes[:hidden] + case.task.sizes[hidden + 1 :]
            yield replace(case, task=replace(case.task, sizes=sizes))
        return
    with np.errstate(all="ignore"):
        for first in range(layers - 1, 0, -1):
            inputs = _layers(case, 0, first)(minigrad.tensor(case.start.x)).detach().numpy()
            yield from _between(case, first, layers, inputs, case.start.y)
        for last in range(1, layers):
            outputs = _layers(case, 0, last)[:-1](minigrad.tensor(case.start.x)).detach()
            outputs.requires_grad_()
            rest = nn.Sequential(nn.ReLU(), *_layers(case, last, layers))
            nn.MSELoss()(rest(outputs), minigrad.tensor(case.start.y)).backward()
            assert outputs.grad is not None
            # The mean squared error of n elements sends back 2·(output - target) / n.
            targets = outputs.detach() - outputs.grad * (outputs.numel() / 2)
            yield from _between(case, 0, last, case.start.x, targets.numpy())
            yield from _between(case, 0, last, case.start.x, np.zeros_like(targets.numpy()))


def _layers(case: Case, first: int, last: int) -> nn.Sequential:
    """Return some layers of the network, a ReLU after each but the network's last."""
    assert case.start is not None
    network = build(case.task.sizes, case.task.dtype)
    network.load_state_dict({n: minigrad.tensor(a) for n, a in case.start.parameters.items()})
    found: nn.Sequential = network[2 * first : 2 * last]
    return found


def _between(case: Case, first: int, last: int, x: Array, y: Array) -> Iterator[Case]:
    """Yield the case with the layers from `first` up to `last`, and these data, if finite."""
    assert case.start is not None
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        return

    def kept(arrays: Mapping[str, Array]) -> dict[str, Array]:
        return {
            f"{2 * (layer - first)}.{kind}": arrays[f"{2 * layer}.{kind}"]
            for layer in range(first, last)
            for kind in ("weight", "bias")
            if arrays
        }

    yield replace(
        case,
        task=replace(case.task, sizes=case.task.sizes[first : last + 1]),
        start=Start(x, y, kept(case.start.parameters)),
        momentum_buffers=kept(case.momentum_buffers),
    )


def _take(array: Array, chosen: Sequence[int], dim: int) -> Array:
    return np.ascontiguousarray(np.take(array, chosen, dim))
