"""`torch.nn`: modules, which hold parameters, and the layers and losses among them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, ClassVar, Self

from parity.checks.exact import creation, functional, functions, init
from parity.checks.exact.lacking import Lacking, lacking
from parity.checks.exact.operations import TORCH
from parity.checks.exact.tensor import Tensor

__all__ = ["functional", "init"]


class Parameter(Tensor):
    """A tensor that is trained. Its values are given, whatever it is made of at first."""

    grad: Tensor | None

    def __init__(self, data: Tensor | None = None, requires_grad: bool = True) -> None:
        data = creation.zeros(0) if data is None else data
        super().__init__(functions.detach, (data,))
        self.grad, self.requires_grad = None, requires_grad

    def become(self, other: Tensor) -> None:
        """Take over the values of another tensor."""
        super().__init__(functions.detach, (other,))

    def alias(self) -> Tensor:
        """Return a tensor that keeps the present values."""
        return Tensor(self.function, self.args)


class Module:
    """A function with parameters, its own and those of modules in it, in the order of naming."""

    def __init__(self) -> None:
        self.__dict__.update(_parameters={}, _modules={}, _hooks={}, training=True)

    def __setattr__(self, name: str, value: Any) -> None:
        if "_modules" not in self.__dict__:
            raise AttributeError("a module's __init__ begins with super().__init__()")
        kept: Any = {Parameter: self._parameters, Module: self._modules}
        for kind, among in kept.items():
            if isinstance(value, kind):
                self.__dict__.pop(name, None)
                among[name] = value
                return
            if name in among:
                if value is not None:
                    raise Lacking(f"other value for {name}, a {kind.__name__}")
                del among[name]
        self.__dict__[name] = value

    def __getattr__(self, name: str) -> Any:
        for among in ("_parameters", "_modules"):
            if name in self.__dict__.get(among, {}):
                return self.__dict__[among][name]
        if name.startswith("__"):
            raise AttributeError(name)
        raise Lacking(f"{type(self).__name__}.{name}")

    def __call__(self, *inputs: Any, **options: Any) -> Any:
        output = self.forward(*inputs, **options)
        for hook in self._hooks.values():
            changed = hook(self, inputs, output)
            output = output if changed is None else changed
        return output

    def register_forward_hook(self, hook: Callable[..., Any]) -> None:
        """Have a hook called with the module, its inputs and its output, which it may replace."""
        self._hooks[len(self._hooks)] = hook

    def register_parameter(self, name: str, param: Parameter | None) -> None:
        setattr(self, name, param)

    def register_module(self, name: str, module: Module | None) -> None:
        setattr(self, name, module)

    add_module = register_module

    def register_buffer(self, name: str, tensor: Any, persistent: bool = True) -> None:
        self.__dict__[name] = tensor

    def named_modules(self, memo: Any = None, prefix: str = "") -> Iterator[tuple[str, Module]]:
        """Each module once, before those that are in it."""
        memo = set() if memo is None else memo
        if id(self) not in memo:
            memo.add(id(self))
            yield prefix, self
            for name, module in self._modules.items():
                yield from module.named_modules(memo, f"{prefix}.{name}" if prefix else name)

    def named_parameters(self) -> Iterator[tuple[str, Parameter]]:
        """Each parameter once: those of a module before those of modules in it."""
        seen = set()
        for prefix, module in self.named_modules():
            for name, parameter in module._parameters.items():
                if id(parameter) not in seen:
                    seen.add(id(parameter))
                    yield f"{prefix}.{name}" if prefix else name, parameter

    def parameters(self) -> Iterator[Parameter]:
        return (parameter for _, parameter in self.named_parameters())

    def modules(self) -> Iterator[Module]:
        return (module for _, module in self.named_modules())

    def named_children(self) -> Iterator[tuple[str, Module]]:
        return iter(self._modules.items())

    def children(self) -> Iterator[Module]:
        return iter(self._modules.values())

    def apply(self, fn: Callable[[Module], Any]) -> Self:
        for module in self.children():
            module.apply(fn)
        fn(self)
        return self

    def train(self, mode: bool = True) -> Self:
        for module in self.modules():
            module.__dict__["training"] = mode
        return self

    def eval(self) -> Self:
        return self.train(False)

    def to(self, *what: Any, **options: Any) -> Self:
        for each in (*what, *options.values()):
            creation.zeros(0).to(each)
        return self

    def double(self) -> Self:
        return self.to("float64")

    def float(self) -> Self:
        return self.to("float32")


# ---- containers -------------------------------------------------------------------------------


class _List(Module):
    _among = "_modules"

    def __init__(self, values: Iterable[Any] = ()) -> None:
        super().__init__()
        self.extend(values)

    def append(self, value: Any) -> Self:
        setattr(self, str(len(self)), value)
        return self

    def extend(self, values: Iterable[Any]) -> Self:
        for value in values:
            self.append(value)
        return self

    def __len__(self) -> int:
        return len(self.__dict__[self._among])

    def __iter__(self) -> Iterator[Any]:
        return iter(list(self.__dict__[self._among].values()))

    def __getitem__(self, position: Any) -> Any:
        found = list(self)[position]
        return type(self)(found) if isinstance(position, slice) else found


class ModuleList(_List):
    """Modules by their positions."""


class ParameterList(_List):
    """Parameters by their positions; tensors become parameters."""

    _among = "_parameters"

    def append(self, value: Any) -> Self:
        return super().append(value if isinstance(value, Parameter) else Parameter(value))


class Sequential(_List):
    """Modules that are called one after the other."""

    def __init__(self, *modules: Any) -> None:
        first = modules[0] if len(modules) == 1 else modules
        super().__init__(() if isinstance(first, dict | Module) else first)
        if isinstance(first, Module):
            self.append(first)
        for name, module in first.items() if isinstance(first, dict) else ():
            setattr(self, name, module)

    def forward(self, input: Tensor) -> Tensor:
        for module in self:
            input = module(input)
        return input


class ModuleDict(Module):
    """Modules by names."""

    def __init__(self, modules: Any = ()) -> None:
        super().__init__()
        self.update(modules)

    def update(self, modules: Any) -> None:
        for name, module in dict(modules).items():
            self[name] = module

    def __setitem__(self, name: str, module: Module) -> None:
        self._modules[name] = module

    def __getitem__(self, name: str) -> Module:
        found: Module = self._modules[name]
        return found

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[str]:
        return iter(self._modules)

    def __contains__(self, name: str) -> bool:
        return name in self._modules

    def keys(self) -> Any:
        return self._modules.keys()

    def values(self) -> Any:
        return self._modules.values()

    def items(self) -> Any:
        return self._modules.items()


# ---- layers and losses ------------------------------------------------------------------------


class Linear(Module):
    """x·Wᵀ + b."""

    bias: Parameter | None

    def __init__(
        self, in_features: int, out_features: int, bias: bool = True, **options: Any
    ) -> None:
        super().__init__()
        self.in_features, self.out_features = in_features, out_features
        self.weight = Parameter(creation.drawn(out_features, in_features, **options))
        self.bias = Parameter(creation.drawn(out_features, **options)) if bias else None

    def forward(self, input: Tensor) -> Tensor:
        return functional.linear(input, self.weight, self.bias)


class _Function(Module):
    """A function with options, which are attributes."""

    function: Callable[..., Tensor]
    options: ClassVar[dict[str, Any]] = {}

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__()
        given = {**dict(zip(self.options, args, strict=False)), **options}
        if len(args) > len(self.options) or not given.keys() <= self.options.keys():
            raise Lacking(f"nn.{type(self).__name__} with {', '.join(map(str, given))}")
        self.__dict__.update({**self.options, **given})

    def forward(self, *inputs: Tensor) -> Tensor:
        options = {name: self.__dict__[name] for name in self.options}
        for name in ("inplace", "size_average", "reduce"):
            if options.pop(name, None):
                raise Lacking(f"nn.{type(self).__name__} with {name}")
        return type(self).function(*inputs, **options)


def _layer(name: str, function: Callable[..., Tensor], **options: Any) -> Any:
    return type(name, (_Function,), {"function": staticmethod(function), "options": options})


ReLU = _layer("ReLU", functional.relu, inplace=False)
LeakyReLU = _layer("LeakyReLU", functional.leaky_relu, negative_slope=0.01, inplace=False)
Tanh = _layer("Tanh", functional.tanh)
Sigmoid = _layer("Sigmoid", functional.sigmoid)
Softplus = _layer("Softplus", functional.softplus, beta=1.0, threshold=20.0)
Identity = _layer("Identity", TORCH["clone"])
Flatten = _layer("Flatten", TORCH["flatten"], start_dim=1, end_dim=-1)
_OLD: dict[str, Any] = {"size_average": None, "reduce": None}
MSELoss = _layer("MSELoss", functional.mse_loss, **_OLD, reduction="mean")
L1Loss = _layer("L1Loss", functional.l1_loss, **_OLD, reduction="mean")
SmoothL1Loss = _layer("SmoothL1Loss", functional.smooth_l1_loss, **_OLD, reduction="mean", beta=1.0)
HuberLoss = _layer("HuberLoss", functional.huber_loss, reduction="mean", delta=1.0)

__getattr__ = lacking("nn.")
