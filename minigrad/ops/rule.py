"""How a forward function and the derivatives beneath it become one `Rule`."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from types import ModuleType
from typing import Any, NamedTuple

Function = Callable[..., Any]

TORCH_NAMES = {
    "astype": "ToCopyBackward0",
    "linear": "AddmmBackward0",
    "matmul": "MmBackward0",
    "max": "MaxBackward1",
    "min": "MinBackward1",
    "norm": "LinalgVectorNormBackward0",
    "pick": "MaxBackward0",
    "power": "PowBackward0",
    "remainder": "RemainderBackward1",
    "reshape": "ViewBackward0",
    "smooth_l1_loss": "SmoothL1LossBackward0",
    "squared_error": "MseLossBackward0",
}
"""The nodes that torch names after the kernel behind them."""


class Plan(NamedTuple):
    """What a node saves and which derivatives it runs, given which inputs need a gradient.

    Attributes:
        values: the values to save, as positions in (out, *inputs).
        pick_values: takes (out, *inputs) and returns those values.
        extras: the shapes and options to save after them, as (kind, key).
        is_plain: whether to save these values is all: there are no extras.
        is_released: whether there are arrays among them, values or the option `indices`. These are
            let go after the derivatives have run; shapes and other options are kept, as in torch.
        derivatives: for each input that needs a gradient and has a derivative: its position, the
            derivative, and a function from the saved values to the derivative's arguments.
    """

    values: Sequence[int]
    pick_values: Function
    extras: Sequence[tuple[str, Any]]
    derivatives: Sequence[tuple[int, Function, Function]]
    is_plain: bool
    is_released: bool

    def save(self, values: Sequence[Any], options: Mapping[str, Any]) -> Sequence[Any]:
        """Return what to save of a call with these (out, *inputs) and options."""
        saved: Sequence[Any] = self.pick_values(values)
        extras: list[Any] = []
        for kind, key in self.extras:
            if kind == "shape":
                extras.append(values[key].shape)
            elif kind == "shapes":
                extras.append([value.shape for value in values[1:]])
            else:
                extras.append(options[key] if kind == "option" else key)
        return (*saved, *extras)


def _picker(positions: Sequence[int]) -> Function:
    """Return a fast function from a tuple to the tuple of its elements at these positions."""
    if len(positions) > 1:
        return itemgetter(*positions)
    first = positions[0] if positions else 0
    return itemgetter(slice(first, first + len(positions)))


class _Plans(dict[tuple[bool, ...], Plan]):
    """A rule's plans, each made when it is first asked for."""

    def __init__(self, make: Callable[[tuple[bool, ...]], Plan]) -> None:
        self._make = make

    def __missing__(self, needs_grad: tuple[bool, ...]) -> Plan:
        plan = self[needs_grad] = self._make(needs_grad)
        return plan


class Rule:
    """A differentiable operation: a forward function and a derivative for each input that has one.

    Attributes:
        name: the forward function's name.
        forward: called as `forward(*inputs, **options)`.
        torch_name: what torch calls the node, `MulBackward0` for `mul`.
        plan: called as `plan(needs_grad)`, returns the plan for a call whose i-th input needs a
            gradient if `needs_grad[i]`.
    """

    __slots__ = (
        "_backwards",
        "_inputs",
        "_plans",
        "_twins",
        "_variadic",
        "forward",
        "name",
        "plan",
        "torch_name",
    )

    def __init__(self, forward: Function, *backwards: Function) -> None:
        """Combine a forward function with its derivatives, `<name>_backward_<input>`.

        Raises:
            TypeError: a derivative's name or first parameter does not fit the forward function.
        """
        self.name = forward.__name__
        self.forward = forward
        camel_case = "".join(part.capitalize() for part in self.name.split("_"))
        self.torch_name = TORCH_NAMES.get(self.name, f"{camel_case}Backward0")
        parameters = inspect.signature(forward).parameters.values()
        self._inputs = [p.name for p in parameters if p.kind is not p.KEYWORD_ONLY]
        self._variadic = any(p.kind is p.VAR_POSITIONAL for p in parameters)
        self._backwards = {self._input_of(function): function for function in backwards}
        self._plans = _Plans(self._make_plan)
        self.plan = self._plans.__getitem__
        self._twins: dict[str, Rule] = {}

    def _input_of(self, function: Function) -> str:
        """Return the input that a derivative belongs to, from the derivative's name."""
        names = {f"{self.name}_backward_{name}": name for name in self._inputs}
        if function.__name__ not in names:
            raise TypeError(
                f"{function.__name__} is no derivative of {self.name}: call it {' or '.join(names)}"
            )
        if next(iter(inspect.signature(function).parameters), None) != "grad_out":
            raise TypeError(f"{function.__name__}: the first parameter must be grad_out")
        return names[function.__name__]

    def named(self, torch_name: str) -> Rule:
        """Return the same rule under another of torch's names: `squeeze` is a `reshape`, say."""
        if torch_name not in self._twins:
            twin = Rule(self.forward, *self._backwards.values())
            twin.torch_name = torch_name
            self._twins[torch_name] = twin  # at last: other threads may find it
        return self._twins[torch_name]

    def _make_plan(self, needs_grad: tuple[bool, ...]) -> Plan:
        wanted = []  # (input's position, derivative, sources of its arguments)
        for i, needed in enumerate(needs_grad):
            function = self._backwards.get(self._inputs[0 if self._variadic else i])
            if needed and function is not None:
                parameters = list(inspect.signature(function).parameters)[1:]
                wanted.append((i, function, [self._source(name, i) for name in parameters]))
        sources = list(dict.fromkeys(source for *_, found in wanted for source in found))
        sources.sort(key=lambda source: source[0] != "value")
        values = [key for kind, key in sources if kind == "value"]
        return Plan(
            values=values,
            pick_values=_picker(values),
            extras=sources[len(values) :],
            derivatives=[
                (i, function, _picker([sources.index(source) for source in found]))
                for i, function, found in wanted
            ],
            is_plain=len(values) == len(sources),
            is_released=bool(values) or ("option", "indices") in sources,
        )

    def _source(self, name: str, position: int) -> tuple[str, Any]:
        """Return where the argument of this name comes from, for the derivative by an input."""
        if name == "out":
            return "value", 0
        if name == "position":
            return "constant", position
        if self._variadic:
            return ("shapes", None) if name == f"{self._inputs[0]}_shapes" else ("option", name)
        if name in self._inputs:
            return "value", 1 + self._inputs.index(name)
        if name.removesuffix("_shape") in self._inputs:
            return "shape", 1 + self._inputs.index(name.removesuffix("_shape"))
        return "option", name

    def __repr__(self) -> str:
        return f"Rule({self.name})"


def rules_of(module: ModuleType) -> list[Rule]:
    """Return the rules written in a module: each public function with the derivatives beneath."""
    functions = {
        name: value
        for name, value in vars(module).items()
        if inspect.isfunction(value) and value.__module__ == module.__name__
    }
    return [
        Rule(
            forward,
            *(value for key, value in functions.items() if key.startswith(f"{name}_backward_")),
        )
        for name, forward in functions.items()
        if "_backward_" not in name and not name.startswith("_")
    ]
