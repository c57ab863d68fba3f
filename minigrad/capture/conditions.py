"""What a recording depends on in an optimizer: its options and its buffers."""

from collections.abc import Iterator
from typing import Any

from minigrad.capture.call_sites import CaptureError
from minigrad.capture.codegen import Writer
from minigrad.optim import SGD
from minigrad.tensor import Tensor

VALUES = ("lr", "momentum", "weight_decay")
"""Options that are numbers: which calls a step makes depends on whether they are zero."""

EMPTY: dict[str, Any] = {}


class OptimizerBefore:
    """An optimizer as it was when it took its first step in a recording.

    Attributes:
        optimizer: the optimizer itself.
        options: of each group.
        buffers: for each parameter its momentum buffer, None for none.
    """

    def __init__(self, optimizer: SGD) -> None:
        self.optimizer = optimizer
        self.options = list(map(dict, optimizer.param_groups))
        self.buffers: dict[Tensor, Tensor | None] = {
            parameter: optimizer.state.get(parameter, {}).get("momentum_buffer")
            for group in optimizer.param_groups
            if group["momentum"] != 0
            for parameter in group["params"]
        }
        self._structure = _structure(optimizer)

    def check(self) -> None:
        """Check that the step has not changed the options, which a replay would not do.

        Raises:
            CaptureError: it has.
        """
        for before, group in zip(self.options, self.optimizer.param_groups, strict=False):
            for name, value in before.items():
                if group[name] is not value:
                    raise CaptureError(
                        f"capture: the step changes the {name!r} of its optimizer, from {value} to "
                        f"{group[name]}, and a replay would not: do it outside of the step"
                    )

    def changes(self, writer: Writer) -> Iterator[str]:
        """Yield expressions that are true when something has changed."""
        of, optimizer = writer.constant, self.optimizer
        name, groups, state = of(optimizer), optimizer.param_groups, optimizer.state
        yield writer.is_not(f"{name}.param_groups", groups)
        yield f"{of(groups)} != {of(self.options)}"
        yield writer.is_not(f"{name}.state", state)
        for parameter, buffer in self.buffers.items():
            found = f"{of(state)}.get({of(parameter)}, {of(EMPTY)})"
            yield writer.is_not(f"{found}.get('momentum_buffer')", buffer)

    def left_behind(self, writer: Writer) -> Iterator[str]:
        """Yield statements that store the momentum buffers that the step made."""
        of, state = writer.constant, self.optimizer.state
        for parameter, buffer in self.buffers.items():
            if buffer is None and (entry := state.get(parameter)):
                stored = f"{of(state)}.setdefault({of(parameter)}, {{}})"
                yield f"{stored}['momentum_buffer'] = {of(entry['momentum_buffer'])}"

    def follow(self) -> None:
        """Take over changed numbers among the options, if they need no other calls."""
        if _structure(self.optimizer) == self._structure:
            _update_arrays(self.optimizer)
            self.options[:] = map(dict, self.optimizer.param_groups)


def _structure(optimizer: SGD) -> Any:
    """Return what decides which calls a step makes: the options without the values of numbers."""
    return [
        (
            tuple(map(id, group["params"])),
            *(id(v) if isinstance(v := group[k], Tensor) else k == "lr" or v != 0 for k in VALUES),
            group["nesterov"],
            group["maximize"],
        )
        for group in optimizer.param_groups
    ]


def _update_arrays(optimizer: SGD) -> None:
    """Bring the arrays that stand for options up to date with the groups."""
    groups = {id(group): group for group in optimizer.param_groups}
    for key, name, dtype in optimizer._numbers:
        if key in groups and not isinstance(groups[key][name], Tensor):
            optimizer._as_array(groups[key], name, dtype)
