"""Operations on tensors: the definitions, under torch's names."""

import functools
import inspect
from collections.abc import Callable
from typing import Any, NamedTuple

from parity.checks.exact import functions, shapes
from parity.checks.exact.dual import Dual
from parity.checks.exact.lacking import Lacking
from parity.checks.exact.tensor import Tensor


def recorded(name: str, function: Callable[..., Dual]) -> Callable[..., Tensor]:
    """Return a function of tensors, from its definition."""
    signature = inspect.signature(function)

    def operation(*args: Any, **options: Any) -> Tensor:
        if "axis" in options or "keepdims" in options:  # NumPy's names, which torch knows too
            options = {
                {"axis": "dim", "keepdims": "keepdim"}.get(k, k): options[k] for k in options
            }
        try:
            signature.bind(*args, **options)
        except TypeError as error:
            raise Lacking(f"{name} with such arguments: {error}") from None
        return Tensor(function, args, **options)

    operation.__name__ = operation.__qualname__ = name
    return operation


class Extremum(NamedTuple):
    """Extrema along a dimension, and where they are."""

    values: Tensor
    indices: Tensor


def _extremum(name: str, of_all: Any, place: Any, of_two: Any) -> Callable[..., Any]:
    def operation(input: Tensor, dim: Any = None, keepdim: bool = False) -> Any:
        if dim is None:
            return of_all(input)
        if isinstance(dim, Tensor):
            return of_two(input, dim)
        # At a tie the first one has all of the derivative.
        indices = place(input, dim, True)
        values = TORCH["take_along_dim"](input, indices, dim)
        both = (values, indices) if keepdim else (values.squeeze(dim), indices.squeeze(dim))
        return Extremum(*both)

    operation.__name__ = operation.__qualname__ = name
    return operation


_DEFINED = {
    name: function
    for module in (functions, shapes)
    for name, function in vars(module).items()
    if function.__class__ is functools.partial
    or (callable(function) and function.__module__ == module.__name__)
}
_ELSEWHERE = {"linear", "index", "view", "expand", "sizes_of"}
TORCH: dict[str, Callable[..., Any]] = {
    name: recorded(name, function)
    for name, function in _DEFINED.items()
    if name[0] != "_" and name not in _ELSEWHERE
}
for _name in ("max", "min"):
    _of = [TORCH[each.format(_name)] for each in ("a{}", "arg{}", "{}imum")]
    TORCH[_name] = _extremum(_name, *_of)
"""The functions of `torch` that are methods of a tensor, too."""

_METHODS = {
    **{name: TORCH[name] for name in TORCH if name not in ("cat", "stack", "hstack", "vstack")},
    **{name: recorded(f"Tensor.{name}", _DEFINED[name]) for name in ("view", "expand")},
    "where": lambda self, condition, other: TORCH["where"](condition, self, other),
    "__getitem__": recorded("Tensor indexing", shapes.index),
    "T": property(TORCH["t"]),
    "mT": property(lambda self: self.transpose(-2, -1)),
    "data": property(TORCH["detach"]),
    **{f"__{name}__": TORCH[name] for name in ["add", "sub", "mul", "pow", "neg", "abs", "matmul"]},
    **{f"__{name}__": TORCH[name] for name in ["eq", "ne", "lt", "le", "gt", "ge"]},
    "__truediv__": TORCH["div"],
    "__and__": TORCH["logical_and"],
    "__or__": TORCH["logical_or"],
    "__invert__": TORCH["logical_not"],
}
for _name, _method in _METHODS.items():
    setattr(Tensor, _name, _method)
for _name, _torch in {
    "add": "add",
    "sub": "sub",
    "mul": "mul",
    "truediv": "div",
    "pow": "pow",
}.items():
    setattr(Tensor, f"__r{_name}__", lambda x, y, function=TORCH[_torch]: function(y, x))
