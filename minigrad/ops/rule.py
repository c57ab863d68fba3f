"""How a forward function and the derivatives beneath it become one `Rule`."""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import ModuleType
from typing import Any

# torch calls some nodes by the name of the kernel behind them.
TORCH_NAMES = {
    "astype": "ToCopyBackward0",
    "linear": "AddmmBackward0",
    "matmul": "MmBackward0",
    "reshape": "ViewBackward0",
    "square": "PowBackward0",
}


class Derivative:
    """The derivative of a rule by one of its inputs, with what it wants to have saved.

    Attributes:
        function: called as `function(grad_out, *saved values, *shapes and options)`.
        positions: the saved values, as positions in `(out, *inputs)`.
        statics: the shapes and options.
    """

    __slots__ = ("function", "positions", "statics")

    def __init__(self, function: Callable[..., Any], inputs: Sequence[str], variadic: bool) -> None:
        self.function = function
        self.positions: list[int] = []
        self.statics: list[tuple[str, int | str]] = []
        parameters = list(inspect.signature(function).parameters)
        if parameters[:1] != ["grad_out"]:
            raise TypeError(f"{function.__name__}: the first parameter must be grad_out")
        for name in parameters[1:]:
            if name == "out" or (name in inputs and not variadic):
                if self.statics:
                    raise TypeError(
                        f"{function.__name__}: {name} must stand before shapes and options"
                    )
                self.positions.append(0 if name == "out" else 1 + inputs.index(name))
            elif name.endswith("_shape") and name.removesuffix("_shape") in inputs:
                self.statics.append(("shape", inputs.index(name.removesuffix("_shape"))))
            elif variadic and name == f"{inputs[0]}_shapes":
                self.statics.append(("shapes", name))
            else:
                self.statics.append(("position" if name == "position" else "option", name))

    def save(
        self, values: Sequence[Any], options: Mapping[str, Any], position: int
    ) -> list[Any]:
        """Return the derivative's arguments after `grad_out`.

        Args:
            values: the output, then the inputs.
            options: the options the forward function was called with.
            position: which input the derivative is by.
        """
        saved = [values[p] for p in self.positions]
        for kind, key in self.statics:
            if kind == "shape":
                assert isinstance(key, int)
                saved.append(values[1 + key].shape)
            elif kind == "shapes":
                saved.append([value.shape for value in values[1:]])
            else:
                saved.append(position if kind == "position" else options[str(key)])
        return saved

    def wrap(self, saved: Sequence[Any], node: Any, wrap: Callable[[Any, Any], Any]) -> list[Any]:
        """Return `saved` with every value passed through `wrap` along with the node that made it."""
        sources = (node, *node.parents)
        wrapped = [
            wrap(value, sources[p]) for p, value in zip(self.positions, saved, strict=False)
        ]
        return [*wrapped, *saved[len(wrapped) :]]


class Rule:
    """A differentiable operation: a forward function and a derivative for each input that has one.

    Attributes:
        name: the forward function's name.
        forward: `forward(*inputs, **options)`.
        derivatives: by the input's position; None where an input has no derivative. A rule with
            `*xs` has a single one, which serves every input.
        torch_name: what torch calls the node, `MulBackward0` for `mul`.
    """

    __slots__ = ("derivatives", "forward", "name", "torch_name")

    def __init__(
        self,
        forward: Callable[..., Any],
        *backwards: Callable[..., Any],
        torch_name: str | None = None,
    ) -> None:
        """Combine a forward function with its derivatives, `<name>_backward_<input>`.

        Raises:
            TypeError: a derivative's name or parameters do not fit the forward function.
        """
        self.name = forward.__name__
        self.forward = forward
        camel_case = "".join(part.capitalize() for part in self.name.split("_"))
        self.torch_name = torch_name or TORCH_NAMES.get(self.name, f"{camel_case}Backward0")
        parameters = inspect.signature(forward).parameters.values()
        inputs = [p.name for p in parameters if p.kind is not p.KEYWORD_ONLY]
        variadic = any(p.kind is p.VAR_POSITIONAL for p in parameters)
        by_input = dict.fromkeys(inputs, None) | {
            self._input_of(function, inputs): Derivative(function, inputs, variadic)
            for function in backwards
        }
        derivatives = [by_input[name] for name in inputs]
        self.derivatives: Iterable[Derivative | None] = (
            itertools.repeat(derivatives[0]) if variadic else derivatives
        )

    def _input_of(self, function: Callable[..., Any], inputs: Sequence[str]) -> str:
        prefix = f"{self.name}_backward_"
        name = function.__name__.removeprefix(prefix)
        if not function.__name__.startswith(prefix) or name not in inputs:
            expected = " or ".join(prefix + name for name in inputs)
            raise TypeError(
                f"{function.__name__} is no derivative of {self.name}{tuple(inputs)}: "
                f"call it {expected}"
            )
        return name

    def named(self, torch_name: str) -> Rule:
        """Return the same rule under another of torch's names: `squeeze` is a `reshape`, say."""
        twin = object.__new__(Rule)
        twin.name, twin.forward, twin.derivatives = self.name, self.forward, self.derivatives
        twin.torch_name = torch_name
        return twin

    def __repr__(self) -> str:
        return f"Rule({self.name})"


def rules_of(module: ModuleType) -> list[Rule]:
    """Return the rules written in a module: each public function with the derivatives beneath it."""
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
