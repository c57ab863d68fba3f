"""`Module`: a tree of parameters and layers found among its attributes."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Self

import numpy as np

from minigrad.nn.parameter import Parameter
from minigrad.tape import changed
from minigrad.tensor import Tensor


class Module:
    """Base of all layers and networks.

    A subclass calls `super().__init__()`, sets parameters and other modules as attributes, and
    defines `forward`. Everything is found in the order in which it was set.
    """

    training: bool
    _parameters: dict[str, Parameter]
    _modules: dict[str, Module]

    def __init__(self) -> None:
        object.__setattr__(self, "_parameters", {})
        object.__setattr__(self, "_modules", {})
        object.__setattr__(self, "training", True)

    def forward(self, *inputs: Any) -> Any:
        """Compute the module's output; a subclass defines it."""
        raise NotImplementedError(
            f'Module [{type(self).__name__}] is missing the required "forward" function'
        )

    def __call__(self, *inputs: Any, **options: Any) -> Any:
        return self.forward(*inputs, **options)

    def __setattr__(self, name: str, value: Any) -> None:
        registers: list[tuple[type, dict[str, Any]]] = []
        if "_modules" in self.__dict__:
            registers = [(Parameter, self._parameters), (Module, self._modules)]
        elif isinstance(value, (Parameter, Module)):
            raise AttributeError(
                f"cannot assign {name!r} before Module.__init__() call: begin __init__ with "
                "super().__init__()"
            )
        for kind, register in registers:
            if isinstance(value, kind):
                register[name] = value
            else:
                register.pop(name, None)
        object.__setattr__(self, name, value)

    def __delattr__(self, name: str) -> None:
        self._parameters.pop(name, None)
        self._modules.pop(name, None)
        object.__delattr__(self, name)

    # ---- what it consists of ----------------------------------------------------------------

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """Yield the modules set on this one, each once, with their names."""
        seen: set[int] = set()
        for name, module in self._modules.items():
            if id(module) not in seen:
                seen.add(id(module))
                yield name, module

    def children(self) -> Iterator[Module]:
        """Yield the modules set on this one, each once."""
        for _, module in self.named_children():
            yield module

    def named_modules(self, prefix: str = "") -> Iterator[tuple[str, Module]]:
        """Yield this module and all below it, each once, with dotted names."""
        seen: set[int] = set()
        for name, module in self._walk(prefix):
            if id(module) not in seen:
                seen.add(id(module))
                yield name, module

    def modules(self) -> Iterator[Module]:
        """Yield this module and all below it, each once."""
        for _, module in self.named_modules():
            yield module

    def _walk(self, prefix: str) -> Iterator[tuple[str, Module]]:
        yield prefix, self
        for name, child in self._modules.items():
            yield from child._walk(f"{prefix}.{name}" if prefix else name)

    def named_parameters(self, prefix: str = "") -> Iterator[tuple[str, Parameter]]:
        """Yield every parameter once, with its dotted name, in torch's order."""
        seen: set[int] = set()
        for module_name, module in self.named_modules(prefix):
            for name, parameter in module._parameters.items():
                if id(parameter) not in seen:
                    seen.add(id(parameter))
                    yield f"{module_name}.{name}" if module_name else name, parameter

    def parameters(self) -> Iterator[Parameter]:
        """Yield every parameter once."""
        for _, parameter in self.named_parameters():
            yield parameter

    # ---- what is done to all of it ----------------------------------------------------------

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of all parameters, or set them to zero."""
        for parameter in self.parameters():
            if parameter.grad is not None:
                parameter.grad = None if set_to_none else parameter.grad.detach() * 0

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Switch the recording of all parameters on or off."""
        for parameter in self.parameters():
            parameter.requires_grad_(requires_grad)
        return self

    def train(self, mode: bool = True) -> Self:
        """Set `training`, here and below; the layers of this package do not depend on it."""
        for module in self.modules():
            object.__setattr__(module, "training", mode)
        return self

    def eval(self) -> Self:
        """Leave training mode: `train(False)`."""
        return self.train(False)

    def apply(self, fn: Callable[[Module], Any]) -> Self:
        """Call `fn` on every module below, then on this one."""
        for child in self.children():
            child.apply(fn)
        fn(self)
        return self

    def state_dict(self) -> OrderedDict[str, Tensor]:
        """Return the parameters by their dotted names; they share memory with the module's."""
        return OrderedDict((name, p.detach()) for name, p in self._named_uses())

    def _named_uses(self) -> Iterator[tuple[str, Parameter]]:
        """Yield every parameter under each of its names."""
        for module_name, module in self._walk(""):
            for name, parameter in module._parameters.items():
                yield f"{module_name}.{name}" if module_name else name, parameter

    def load_state_dict(self, state_dict: Mapping[str, Tensor]) -> None:
        """Copy values into the parameters; nothing is changed unless everything fits.

        Raises:
            RuntimeError: a name is missing or unknown, or a shape differs.
        """
        own = dict(self._named_uses())
        problems = [f"missing key {name!r}" for name in own if name not in state_dict]
        problems += [f"unexpected key {name!r}" for name in state_dict if name not in own]
        problems += [
            f"size mismatch for {name!r}: given {list(state_dict[name].shape)}, "
            f"needed {list(parameter.shape)}"
            for name, parameter in own.items()
            if name in state_dict and state_dict[name].shape != parameter.shape
        ]
        if problems:
            raise RuntimeError(
                f"Error(s) in loading state_dict for {type(self).__name__}: {'; '.join(problems)}"
            )
        for name, parameter in own.items():
            np.copyto(parameter._array, state_dict[name]._array, casting="same_kind")
            changed(parameter._array)

    def to(self, dtype: Any) -> Self:
        """Convert all parameters, and their gradients, to a floating point dtype."""
        for module in self.modules():
            for parameter in module._parameters.values():
                grad = parameter.grad
                converted = parameter.detach().to(dtype)
                requires_grad = parameter.requires_grad
                parameter.__init__(converted, requires_grad)  # type: ignore[misc]
                if grad is not None:
                    parameter.grad = grad.to(dtype)
        return self

    def double(self) -> Self:
        """Convert all parameters to float64."""
        return self.to(np.float64)

    def float(self) -> Self:
        """Convert all parameters to float32."""
        return self.to(np.float32)

    # ---- text -------------------------------------------------------------------------------

    def extra_repr(self) -> str:
        """What the module's line of the printed form says between its parentheses."""
        return ""

    def __repr__(self) -> str:
        lines = self.extra_repr().splitlines()
        for name, child in self._modules.items():
            lines.append(f"({name}): " + repr(child).replace("\n", "\n  "))
        if not self._modules and len(lines) < 2:
            return f"{type(self).__name__}({''.join(lines)})"
        body = "".join(f"\n  {line}" for line in lines)
        return f"{type(self).__name__}({body}\n)"
