"""What a captured step depends on of an optimizer: its options, and which buffers there are."""

from __future__ import annotations

import operator
from typing import Any

from minigrad.capture.recording import CaptureError
from minigrad.optim import SGD
from minigrad.tensor import Tensor

OPTIONS = ("lr", "momentum", "dampening", "weight_decay", "nesterov", "maximize", "params")
options = operator.itemgetter(*OPTIONS)


class OptimizerBefore:
    """An optimizer as it was when it took its first step in a recording.

    Attributes:
        optimizer: the optimizer itself.
        structure: what decided which calls its step made.
        options: for each group all that can be changed.
        buffers: for each parameter its momentum buffer, None for none.
    """

    def __init__(self, optimizer: SGD) -> None:
        self.optimizer = optimizer
        self.structure = structure(optimizer)
        self.options = [options(group) for group in optimizer.param_groups]
        self.buffers = buffers(optimizer)

    def check(self) -> None:
        """Check that the step has not changed the options, which a replay would not do.

        Raises:
            CaptureError: it has.
        """
        for before, group in zip(self.options, self.optimizer.param_groups, strict=False):
            for name, value, now in zip(OPTIONS, before, options(group), strict=True):
                if now is not value:
                    raise CaptureError(
                        f"capture: the step changes the {name!r} of its optimizer, from {value} to "
                        f"{now}, and a replay would not: do it outside of the step"
                    )


def structure(optimizer: SGD) -> Any:
    """Return what decides which calls a step makes: the options, but for the values of numbers."""
    return [
        (
            tuple(map(id, group["params"])),
            *(id(v) if isinstance(v := group[k], Tensor) else k == "lr" or v != 0 for k in VALUES),
            group["nesterov"],
            group["maximize"],
        )
        for group in optimizer.param_groups
    ]


VALUES = ("lr", "momentum", "weight_decay")


def buffers(optimizer: SGD) -> dict[Tensor, Tensor | None]:
    """Return the momentum buffers that a step may look for."""
    return {
        parameter: optimizer.state.get(parameter, {}).get("momentum_buffer")
        for group in optimizer.param_groups
        if group["momentum"] != 0
        for parameter in group["params"]
    }


def follow(optimizer: SGD) -> None:
    """Bring the arrays that stand for options up to date with the groups."""
    groups = {id(group): group for group in optimizer.param_groups}
    for key, name, dtype in optimizer._numbers:
        if key in groups and not isinstance(groups[key][name], Tensor):
            optimizer._as_array(groups[key], name, dtype)
