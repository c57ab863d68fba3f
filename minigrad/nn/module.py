"""`Module`: what is done to a tree of parameters and layers."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from typing import Any, ParamSpec, Protocol, Self, TypeVar

from minigrad.dtypes import float32, float64
from minigrad.nn.attributes import Attributes
from minigrad.nn.parameter import IncompatibleKeys, Parameter, load
from minigrad.tensor import Tensor
from minigrad.tensor.conversion import dtype_among
from minigrad.tensor.gradients import RemovableHandle

P = ParamSpec("P")
R_co = TypeVar("R_co", covariant=True)


class HasForward(Protocol[P, R_co]):
    """What type checkers know of a module: a call takes and returns what its `forward` does."""

    _forward_hooks: dict[int, tuple[Callable[..., Any], bool]]

    def forward(self, *args: P.args, **kwargs: P.kwargs) -> R_co:
        """As the module defines it."""


class Module(Attributes):
    """Base of all layers and networks.

    A subclass calls `super().__init__()`, sets parameters and other modules as attributes, and
    defines `forward`. Everything is found in the order in which it was set.
    """

    training: bool

    def __init__(self) -> None:
        super().__init__()
        self._forward_hooks: dict[int, tuple[Callable[..., Any], bool]] = {}
        self.training = True

    def forward(self, *inputs: Any, **options: Any) -> Any:
        """Compute the module's output; a subclass defines it."""
        raise NotImplementedError(
            f'Module [{type(self).__name__}] is missing the required "forward" function'
        )

    def __call__(self: HasForward[P, R_co], *inputs: P.args, **options: P.kwargs) -> R_co:
        """Return what `forward` does, or what the hooks make of it."""
        output = self.forward(*inputs, **options)
        if self._forward_hooks:
            for hook, with_options in [*self._forward_hooks.values()]:
                given = (inputs, options) if with_options else (inputs,)
                changed = hook(self, *given, output)
                output = output if changed is None else changed
        return output

    def register_forward_hook(
        self, hook: Callable[..., Any], *, prepend: bool = False, with_kwargs: bool = False
    ) -> RemovableHandle:
        """Have `hook(module, inputs, output)` called after each `forward`.

        What it returns takes the place of the output, unless it is None. The handle that is
        returned removes it.

        Args:
            hook: the function; `inputs` is the tuple of what was given by position.
            prepend: call it before those that are registered already.
            with_kwargs: call `hook(module, inputs, options, output)`, with the dict of what was
                given by keyword.
        """
        return RemovableHandle(self, "_forward_hooks", (hook, with_kwargs), prepend)

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
        return self._named("_parameters", prefix, recurse, remove_duplicate)

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """Yield every parameter once."""
        for _, parameter in self.named_parameters(recurse=recurse):
            yield parameter

    def named_buffers(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Tensor]]:
        """Yield every buffer with its dotted name; see `named_parameters`."""
        return self._named("_buffers", prefix, recurse, remove_duplicate)

    def buffers(self, recurse: bool = True) -> Iterator[Tensor]:
        """Yield every buffer once."""
        for _, buffer in self.named_buffers(recurse=recurse):
            yield buffer

    def _named(
        self, table: str, prefix: str, recurse: bool, remove_duplicate: bool
    ) -> Iterator[tuple[str, Any]]:
        seen: set[int] = set()
        for module_name, module in self._walk(prefix) if recurse else [(prefix, self)]:
            for name, value in getattr(module, table).items():
                if value is not None and not (remove_duplicate and id(value) in seen):
                    seen.add(id(value))
                    yield f"{module_name}.{name}" if module_name else name, value

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
        """Return the parameters and persistent buffers under all their dotted names.

        Args:
            prefix: what the names begin with, as it stands.
            keep_vars: return the tensors themselves, not others that share their memory.
        """
        found: OrderedDict[str, Tensor] = OrderedDict()
        for path, module in self._walk(""):
            for name, value in (module._parameters | module._buffers).items():
                if value is not None and name not in module._non_persistent_buffers_set:
                    key = f"{path}.{name}" if path else name
                    found[prefix + key] = value if keep_vars else value.detach()
        return found

    def load_state_dict(
        self, state_dict: Mapping[str, Tensor], strict: bool = True
    ) -> IncompatibleKeys:
        """Copy values into parameters and buffers; nothing is changed unless everything fits.

        Args:
            state_dict: values by the dotted names of `state_dict()`.
            strict: whether the names must be the same.

        Returns:
            the names that are only in one of the two, a named tuple.

        Raises:
            RuntimeError: a name is missing or unknown and `strict` is set, a shape differs, or a
                value is no tensor.
            TypeError: `state_dict` is no mapping.
        """
        return load(type(self).__name__, self.state_dict(keep_vars=True), state_dict, strict)

    def to(self, *target: Any, device: Any = None, dtype: Any = None) -> Self:
        """Convert all parameters, their gradients and buffers of floating point to another dtype.

        Called as `Tensor.to` is.

        Raises:
            TypeError: the dtype is not floating point, or not supported.
            RuntimeError: the device is not the CPU, or a parameter is not a leaf any more; then
                nothing is converted.
        """
        wanted = dtype_among("Module.to", target, device, dtype)
        if wanted is None:
            return self
        if wanted.kind != "f":
            raise TypeError(
                f"Module.to only accepts floating point dtypes, but got {wanted}: parameters need "
                "gradients"
            )
        converted = [p for p in self.parameters() if p.dtype != wanted]
        if not all(p.is_leaf for p in converted):
            raise RuntimeError(
                "Module.to: a recorded operation has changed a parameter in place, and its record "
                "is of the old dtype: call detach_() on the parameter first"
            )
        for parameter in converted:
            grad, requires_grad = parameter.grad, parameter.requires_grad
            before, parameter._frozen = parameter._node or parameter._frozen, None
            parameter.__init__(parameter.detach().to(wanted))  # type: ignore[misc]
            if before is not None and parameter._node is not None:
                parameter._node.hooks = before.hooks
            parameter.requires_grad_(requires_grad)
            if grad is not None:  # it stays the same tensor
                grad._array = grad.detach().to(wanted)._array
                parameter._grad = grad
        for module in self.modules():
            for name, buffer in module._buffers.items():
                if buffer is not None and buffer.dtype.kind == "f":
                    module._buffers[name] = buffer.to(wanted)
        return self

    def double(self) -> Self:
        """Convert parameters and buffers to float64."""
        return self.to(float64)

    def float(self) -> Self:
        """Convert parameters and buffers to float32."""
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
