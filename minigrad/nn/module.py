"""`Module`: a tree of parameters and layers found among its attributes."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Self

from minigrad.dtypes import float32, float64
from minigrad.nn.parameter import IncompatibleKeys, Parameter, load
from minigrad.tensor import Tensor
from minigrad.tensor.conversion import dtype_among


class Module:
    """Base of all layers and networks.

    A subclass calls `super().__init__()`, sets parameters and other modules as attributes, and
    defines `forward`. Everything is found in the order in which it was set.
    """

    training: bool
    _parameters: dict[str, Parameter | None]
    _modules: dict[str, Module | None]

    def __init__(self) -> None:
        self._parameters = {}
        self._modules = {}
        self.training = True

    def forward(self, *inputs: Any) -> Any:
        """Compute the module's output; a subclass defines it."""
        raise NotImplementedError(
            f'Module [{type(self).__name__}] is missing the required "forward" function'
        )

    def __call__(self, *inputs: Any, **options: Any) -> Any:
        return self.forward(*inputs, **options)

    def __getattr__(self, name: str) -> Any:
        """Return a parameter or a module: they are kept apart from all other attributes."""
        attributes = self.__dict__
        if "_modules" in attributes:
            if name in attributes["_parameters"]:
                return attributes["_parameters"][name]
            if name in attributes["_modules"]:
                return attributes["_modules"][name]
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def __setattr__(self, name: str, value: Any) -> None:
        if "_modules" not in self.__dict__ and isinstance(value, (Parameter, Module)):
            raise AttributeError(
                f"cannot assign {name!r} before Module.__init__() call: begin __init__ with "
                "super().__init__()"
            )
        if isinstance(value, Parameter):
            self.__dict__.pop(name, None)
            self._modules.pop(name, None)
            self.register_parameter(name, value)
        elif isinstance(value, Module) and name not in self._parameters:
            self.__dict__.pop(name, None)
            self._modules[name] = value
        else:
            self._set_plain(name, value)

    def _set_plain(self, name: str, value: Any) -> None:
        """Set what is neither a parameter nor a module; None keeps the place of one."""
        kinds = ("_parameters", "parameter", Parameter), ("_modules", "child module", Module)
        for kept, what, kind in kinds:
            if name in self.__dict__.get(kept, ()):
                if value is not None:
                    raise TypeError(
                        f"cannot assign '{type(value).__name__}' as {what} {name!r} "
                        f"(a {kind.__name__} or None expected): "
                        f"del the attribute first to give the name another meaning"
                    )
                self.__dict__[kept][name] = None
                return
        object.__setattr__(self, name, value)

    def __delattr__(self, name: str) -> None:
        for kept in (self._parameters, self._modules):
            if name in kept:
                del kept[name]
                return
        object.__delattr__(self, name)

    def __dir__(self) -> list[str]:
        return sorted({*object.__dir__(self), *self._parameters, *self._modules})

    def register_parameter(self, name: str, param: Parameter | None) -> None:
        """Set a parameter under a name; None keeps the place for one.

        Raises:
            TypeError: it is no Parameter, or the name no text.
            KeyError: the name is empty or taken, or has a dot in it.
        """
        self._check_name(name, param, Parameter, self._parameters)
        self._parameters[name] = param

    def add_module(self, name: str, module: Module | None) -> None:
        """Set a module under a name; see `register_parameter`."""
        self._check_name(name, module, Module, self._modules)
        self._modules[name] = module

    register_module = add_module

    def _check_name(self, name: str, value: Any, kind: type, known: Mapping[str, Any]) -> None:
        if not isinstance(name, str):
            raise TypeError(f"name should be a string, not {type(name).__name__}")
        if value is not None and not isinstance(value, kind):
            raise TypeError(
                f"cannot assign '{type(value).__name__}' to {name!r}: "
                f"a {kind.__name__} or None is expected"
            )
        if not name or "." in name:
            raise KeyError(f'name {name!r} can\'t be empty or contain "."')
        if hasattr(self, name) and name not in known:
            raise KeyError(f"attribute {name!r} already exists")

    # ---- what it consists of ----------------------------------------------------------------

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """Yield the modules set on this one, each once, with their names."""
        seen: set[int] = set()
        for name, module in self._modules.items():
            if module is not None and id(module) not in seen:
                seen.add(id(module))
                yield name, module

    def children(self) -> Iterator[Module]:
        """Yield the modules set on this one, each once."""
        return (module for _, module in self.named_children())

    def named_modules(self, *, prefix: str = "") -> Iterator[tuple[str, Module]]:
        """Yield this module and all below it, each once, with dotted names."""
        seen: set[int] = set()
        for name, module in self._walk(prefix):
            if id(module) not in seen:
                seen.add(id(module))
                yield name, module

    def modules(self) -> Iterator[Module]:
        """Yield this module and all below it, each once."""
        return (module for _, module in self.named_modules())

    def _walk(self, prefix: str) -> Iterator[tuple[str, Module]]:
        yield prefix, self
        for name, child in self._modules.items():
            if child is not None:
                yield from child._walk(f"{prefix}.{name}" if prefix else name)

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Parameter]]:
        """Yield every parameter with its dotted name, in torch's order.

        Args:
            prefix: what the names begin with.
            recurse: whether to look into the modules below.
            remove_duplicate: name a shared parameter once, not under each of its names.
        """
        seen: set[int] = set()
        for module_name, module in self._walk(prefix) if recurse else [(prefix, self)]:
            for name, parameter in module._parameters.items():
                if parameter is not None and not (remove_duplicate and id(parameter) in seen):
                    seen.add(id(parameter))
                    yield f"{module_name}.{name}" if module_name else name, parameter

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """Yield every parameter once."""
        for _, parameter in self.named_parameters(recurse=recurse):
            yield parameter

    # ---- what is done to all of it ----------------------------------------------------------

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of all parameters, or set them to zero."""
        for parameter in self.parameters():
            parameter._zero_grad(set_to_none)

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Switch the recording of all parameters on or off."""
        for parameter in self.parameters():
            parameter.requires_grad_(requires_grad)
        return self

    def train(self, mode: bool = True) -> Self:
        """Set `training`, here and below; the layers of this package do not depend on it."""
        if not isinstance(mode, bool):
            raise ValueError(f"training mode is expected to be a bool, not {mode!r}")
        self.training = mode
        for child in self.children():
            child.train(mode)
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

    def state_dict(self, *, prefix: str = "", keep_vars: bool = False) -> OrderedDict[str, Tensor]:
        """Return the parameters under all their dotted names.

        Args:
            prefix: what the names begin with, as it stands.
            keep_vars: return the parameters themselves, not tensors that share their memory.
        """
        uses = self.named_parameters(remove_duplicate=False)
        return OrderedDict((prefix + name, p if keep_vars else p.detach()) for name, p in uses)

    def load_state_dict(
        self, state_dict: Mapping[str, Tensor], strict: bool = True
    ) -> IncompatibleKeys:
        """Copy values into the parameters; nothing is changed unless everything fits.

        Args:
            state_dict: values by the parameters' dotted names.
            strict: whether the names must be the same.

        Returns:
            the names that are only in one of the two, a named tuple.

        Raises:
            RuntimeError: a name is missing or unknown and `strict` is set, a shape differs, or a
                value is no tensor.
            TypeError: `state_dict` is no mapping.
        """
        own = dict(self.named_parameters(remove_duplicate=False))
        return load(type(self).__name__, own, state_dict, strict)

    def to(self, *target: Any, device: Any = None, dtype: Any = None) -> Self:
        """Convert all parameters, and their gradients, to a floating point dtype.

        Called as `Tensor.to` is.

        Raises:
            TypeError: the dtype is not floating point, or not supported.
            RuntimeError: the device is not the CPU, or a parameter is not a leaf any more.
        """
        wanted = dtype_among("Module.to", target, device, dtype)
        if wanted is None:
            return self
        if wanted.kind != "f":
            raise TypeError(
                f"Module.to only accepts floating point dtypes, but got {wanted}: parameters need "
                "gradients"
            )
        for parameter in self.parameters():
            if parameter.dtype != wanted:
                if not parameter.is_leaf:
                    raise RuntimeError(
                        "Module.to: a recorded operation has changed a parameter in place, and "
                        "its record is of the old dtype: call detach_() on the parameter first"
                    )
                grad, requires_grad = parameter.grad, parameter.requires_grad
                before, parameter._frozen = parameter._node or parameter._frozen, None
                parameter.__init__(parameter.detach().to(wanted))  # type: ignore[misc]
                if before is not None and parameter._node is not None:
                    parameter._node.hooks = before.hooks
                parameter.requires_grad_(requires_grad)
                if grad is not None:  # it stays the same tensor
                    grad._array = grad.detach().to(wanted)._array
                    parameter._grad = grad
        return self

    def double(self) -> Self:
        """Convert all parameters to float64."""
        return self.to(float64)

    def float(self) -> Self:
        """Convert all parameters to float32."""
        return self.to(float32)

    def cpu(self) -> Self:
        """Return the module itself: its parameters are there."""
        return self

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
