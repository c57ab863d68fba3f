"""The layers and the loss that regression networks are made of."""

import math
from collections import OrderedDict
from collections.abc import Iterator
from typing import Any, Self, overload

from minigrad.creation import zeros
from minigrad.dtypes import float32
from minigrad.nn import functional, init
from minigrad.nn.module import Module
from minigrad.nn.parameter import Parameter
from minigrad.tensor import Tensor


class Linear(Module):
    """x·weightᵀ + bias: (..., in_features) to (..., out_features).

    The initial values are torch's in every bit: weight (out_features, in_features) is drawn
    first, Kaiming-uniform with a = √5, which comes to ±1/√in_features; then bias
    (out_features,), uniform with the same bound.

    Raises:
        TypeError: a number of features is no int, or the dtype not supported.
        RuntimeError: one is negative, or the dtype is not floating point.
    """

    weight: Parameter
    bias: Parameter | None

    def __init__(
        self, in_features: int, out_features: int, bias: bool = True, *, dtype: Any = None
    ) -> None:
        super().__init__()
        for name, features in (("in_features", in_features), ("out_features", out_features)):
            if not hasattr(features, "__index__"):
                raise TypeError(f"Linear: {name} must be an int, not {type(features).__name__}")
            if features < 0:
                raise RuntimeError(f"Linear: {name} must not be negative, but is {features}")
        dtype = float32 if dtype is None else dtype
        self.in_features = in_features
        self.out_features = out_features
        self.weight = Parameter(zeros(out_features, in_features, dtype=dtype))
        self.register_parameter(
            "bias", Parameter(zeros(out_features, dtype=dtype)) if bias else None
        )
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw weight and bias anew."""
        init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        if self.bias is not None:
            bound = 1 / math.sqrt(self.in_features) if self.in_features > 0 else 0
            init.uniform_(self.bias, -bound, bound)

    def forward(self, input: Tensor) -> Tensor:
        # Not through __getattr__, which takes as long as an addition. But a subclass may have a
        # property under one of these names, and a parameter can be deleted for a plain tensor.
        own = self._parameters
        if type(self) is Linear and "weight" in own and "bias" in own:
            return functional.linear(input, own["weight"], own["bias"])  # type: ignore[arg-type]
        return functional.linear(input, self.weight, self.bias)

    def extra_repr(self) -> str:
        return (
            f"in_features={self.in_features}, out_features={self.out_features}, "
            f"bias={self.bias is not None}"
        )


class ReLU(Module):
    """max(x, 0) element by element."""

    def forward(self, input: Tensor) -> Tensor:
        return functional.relu(input)


class Tanh(Module):
    """Hyperbolic tangent element by element."""

    def forward(self, input: Tensor) -> Tensor:
        return functional.tanh(input)


class Sigmoid(Module):
    """1 / (1 + e^-x) element by element."""

    def forward(self, input: Tensor) -> Tensor:
        return functional.sigmoid(input)


class MSELoss(Module):
    """Squared error, reduced by 'mean' (default), 'sum' or 'none'."""

    def __init__(self, *, reduction: str = "mean") -> None:
        super().__init__()
        self.reduction = reduction

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return functional.mse_loss(input, target, reduction=self.reduction)


class Sequential(Module):
    """Modules applied one after the other, named '0', '1', ... or by an OrderedDict's keys."""

    @overload
    def __init__(self, *modules: Module) -> None: ...
    @overload
    def __init__(self, modules: OrderedDict[str, Module], /) -> None: ...

    def __init__(self, *modules: Any) -> None:
        super().__init__()
        named = (
            modules[0].items()
            if len(modules) == 1 and isinstance(modules[0], OrderedDict)
            else enumerate(modules)
        )
        for name, module in named:
            _require_module(module)
            setattr(self, str(name), module)

    def forward(self, input: Tensor) -> Tensor:
        for module in self:
            input = module(input)
        return input

    def append(self, module: Module) -> Self:
        """Add a module at the end.

        Raises:
            TypeError: it is no module.
        """
        _require_module(module)
        setattr(self, str(len(self)), module)
        return self

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[Module]:
        return iter(self._modules.values())  # type: ignore[arg-type]

    def __getitem__(self, position: int | slice) -> Any:
        if isinstance(position, slice):
            return type(self)(OrderedDict(list(self._modules.items())[position]))  # type: ignore[arg-type]
        return list(self)[position]


def _require_module(value: Any) -> None:
    if not isinstance(value, Module):
        raise TypeError(
            f"Sequential: {type(value).__name__} is not a Module subclass: a function is called in "
            "the forward() of a Module of your own"
        )
