"""SGD, as torch defines it."""

from collections.abc import Iterable, Mapping
from typing import Any

from parity.checks.exact.lacking import Lacking, lacking
from parity.checks.exact.tensor import Tensor

_DEFAULTS = {
    "lr": 1e-3,
    "momentum": 0,
    "dampening": 0,
    "weight_decay": 0,
    "nesterov": False,
    "maximize": False,
}


def direction(
    parameter: Tensor, grad: Tensor, buffer: Tensor | None, group: Mapping[str, Any]
) -> tuple[Tensor, Tensor | None]:
    """Return the direction of a step and the new momentum buffer, if there is momentum."""
    if group["maximize"]:
        grad = -grad
    if group["weight_decay"]:
        grad = grad + parameter * group["weight_decay"]
    if not group["momentum"]:
        return grad, None
    if buffer is None:  # of the first step it is the gradient
        buffer = grad
    else:
        buffer = buffer * group["momentum"] + grad * (1 - group["dampening"])
    return (grad + buffer * group["momentum"] if group["nesterov"] else buffer), buffer


class SGD:
    """Takes each parameter a step against its gradient; parameters without one stay."""

    def __init__(self, params: Iterable[Any], *args: Any, **options: Any) -> None:
        options = {**_DEFAULTS, **dict(zip(_DEFAULTS, args, strict=False)), **options}
        more = {name: options.pop(name) for name in list(options) if name not in _DEFAULTS}
        if any(value not in (None, False) for value in more.values()):
            raise Lacking(f"SGD with {', '.join(more)}")
        groups = list(params)
        if not groups or not isinstance(groups[0], dict):
            groups = [{"params": groups}]
        self.param_groups: list[dict[str, Any]] = [{**options, **group} for group in groups]
        for group in self.param_groups:
            listed = group["params"]
            group["params"] = [listed] if isinstance(listed, Tensor) else list(listed)
        self.state: dict[Tensor, dict[str, Tensor]] = {}

    def zero_grad(self, set_to_none: bool = True) -> None:
        for group in self.param_groups:
            for parameter in group["params"]:
                parameter.grad = None

    def step(self) -> None:
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    parameter.become(self._updated(parameter, parameter.grad, group))

    def _updated(self, parameter: Any, grad: Tensor, group: dict[str, Any]) -> Tensor:
        old: Tensor = parameter.alias()
        before = self.state.get(parameter, {}).get("momentum_buffer")
        found, buffer = direction(old, grad, before, group)
        if buffer is not None:
            self.state[parameter] = {"momentum_buffer": buffer}
        updated: Tensor = old - found * group["lr"]
        return updated

    def __getattr__(self, name: str) -> Any:
        lacking("SGD.")(name)


__getattr__ = lacking("optim.")
