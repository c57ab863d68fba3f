"""A reverse-mode autograd engine on NumPy, with torch's names and semantics.

    >>> import minigrad as torch
    >>> x = torch.tensor([1.0, 2.0], requires_grad=True)
    >>> (x * x).sum().backward()
    >>> x.grad
    tensor([2., 4.])

To read it: `ops` holds every derivative, `tape` the sweep that chains them, `tensor` what ties the
two together. `nn` and `optim` are built on top of these.
"""

from functools import wraps as _wraps
from typing import Any as _Any

from minigrad import autograd, nn, optim
from minigrad.creation import (
    arange,
    from_numpy,
    full,
    linspace,
    ones,
    ones_like,
    rand,
    randn,
    tensor,
    zeros,
    zeros_like,
)
from minigrad.dtypes import DType as dtype
from minigrad.dtypes import bool_ as bool
from minigrad.dtypes import float32, float64, int64
from minigrad.grad_mode import enable_grad, is_grad_enabled, no_grad, set_grad_enabled
from minigrad.joining import cat, stack, where
from minigrad.printing import set_printoptions
from minigrad.random import Generator, default_generator, initial_seed, manual_seed, seed
from minigrad.tensor import Size, Tensor

float = float32
double = float64
long = int64


def _function(name: str) -> _Any:
    """Return a method of `Tensor` as a function that checks its first argument."""
    method = getattr(Tensor, name)

    @_wraps(method)
    def call(input: Tensor, *arguments: _Any, **options: _Any) -> _Any:
        if not isinstance(input, Tensor):
            raise TypeError(f"{name}: input must be a Tensor, not {type(input).__name__}")
        return method(input, *arguments, **options)

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
