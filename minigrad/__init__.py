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
    cat,
    from_numpy,
    full,
    linspace,
    ones,
    ones_like,
    rand,
    randn,
    stack,
    tensor,
    where,
    zeros,
    zeros_like,
)
from minigrad.dtypes import DType as dtype
from minigrad.dtypes import bool_ as bool
from minigrad.dtypes import float32, float64, int64
from minigrad.grad_mode import enable_grad, is_grad_enabled, no_grad, set_grad_enabled
from minigrad.printing import set_printoptions
from minigrad.random import Generator, default_generator, initial_seed, manual_seed, seed
from minigrad.tensor import Size, Tensor

float = float32
double = float64
long = int64
