"""The methods of `Tensor` as functions: `minigrad.sum(x, dim=0)` is `x.sum(dim=0)`."""

from __future__ import annotations

from functools import wraps
from typing import Any

from minigrad.tensor import Tensor


def _function(name: str) -> Any:
    """Return a method of `Tensor` as a function that checks its first argument."""
    method = getattr(Tensor, name)

    @wraps(method)
    def call(input: Tensor, *arguments: Any, **options: Any) -> Any:
        if not isinstance(input, Tensor):
            raise TypeError(f"{name}: input must be a Tensor, not {type(input).__name__}")
        return method(input, *arguments, **options)

    call.__qualname__ = name
    return call


abs = _function("abs")
add = _function("add")
amax = _function("amax")
amin = _function("amin")
clone = _function("clone")
div = _function("div")
eq = _function("eq")
exp = _function("exp")
flatten = _function("flatten")
ge = _function("ge")
gt = _function("gt")
le = _function("le")
log = _function("log")
lt = _function("lt")
matmul = _function("matmul")
maximum = _function("maximum")
mean = _function("mean")
minimum = _function("minimum")
mm = _function("mm")
mul = _function("mul")
ne = _function("ne")
neg = _function("neg")
numel = _function("numel")
permute = _function("permute")
pow = _function("pow")
relu = _function("relu")
reshape = _function("reshape")
sigmoid = _function("sigmoid")
sqrt = _function("sqrt")
square = _function("square")
squeeze = _function("squeeze")
sub = _function("sub")
sum = _function("sum")
t = _function("t")
tanh = _function("tanh")
transpose = _function("transpose")
unsqueeze = _function("unsqueeze")
