"""What a plain regression network is made of: `Linear`, `ReLU`, `Sequential`; and `MSELoss`.

All other modules are in `activations`, `losses` and `containers`.
"""

import math
from collections import OrderedDict
from collections.abc import Iterable
from typing import Any, Self, overload

from minigrad.creation import zeros
from minigrad.nn import functional, init
from minigrad.nn.containers import Numbered
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
    """max(x, 0) element by element; in the place of x if `inplace`."""

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        self.inplace = inplace

    def forward(self, input: Tensor) -> Tensor:
        return functional.relu(input, self.inplace)

    def extra_repr(self) -> str:
        return "inplace=True" if self.inplace else ""


class MSELoss(Module):
    """Squared error, reduced by 'mean' (default), 'sum' or 'none'."""

    def __init__(self, *, reduction: str = "mean") -> None:
        super().__init__()
        self.reduction = reduction

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return functional.mse_loss(input, target, reduction=self.reduction)


class Sequential(Numbered):
    """Modules applied one after the other, named '0', '1', ... or by an OrderedDict's keys."""

    @overload
    def __init__(self, *args: Module) -> None: ...
    @overload
    def __init__(self, args: OrderedDict[str, Module], /) -> None: ...

    def __init__(self, *args: Any) -> None:
        super().__init__()
        if len(args) == 1 and isinstance(args[0], OrderedDict):
            for name, module in args[0].items():
                self.add_module(name, module)
        else:
            self.extend(args)

    def forward(self, input: Tensor) -> Tensor:
        for module in self._modules.values():
            input = module(input)
        return input

    def __getitem__(self, position: int | slice) -> Any:
        if isinstance(position, slice):
            return type(self)(OrderedDict(list(self._modules.items())[position]))
        return self._modules[self._name(position)]

    def extend(self, sequential: Iterable[Module]) -> Self:
        """Add several modules at the end; see `append`."""
        return super().extend(sequential)

    def __add__(self, other: "Sequential") -> "Sequential":
        return Sequential(*self).extend(_sequential(other))

    def __iadd__(self, other: "Sequential") -> Self:
        return self.extend(_sequential(other))

    def __mul__(self, times: int) -> "Sequential":
        """Return the modules, the same ones, several times over."""
        if not isinstance(times, int):
            raise TypeError(f"Sequential: can be multiplied by an int, not {type(times).__name__}")
        if times <= 0:
            raise ValueError(f"Sequential: can be multiplied by at least 1, not {times}")
        return Sequential(*list(self) * times)

    __rmul__ = __mul__


def _sequential(value: Any) -> "Sequential":
    if not isinstance(value, Sequential):
        raise ValueError(
            f"Sequential: to a Sequential only another can be added, not {type(value).__name__}: "
            "use append or extend"
        )
    return value
