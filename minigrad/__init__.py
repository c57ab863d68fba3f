"""A reverse-mode autograd engine on NumPy, with torch's names and semantics.

    >>> import minigrad as torch
    >>> x = torch.tensor([1.0, 2.0], requires_grad=True)
    >>> (x * x).sum().backward()
    >>> x.grad
    tensor([2., 4.])

To read it, in the order in which it builds up; README.md goes the same way, with lines to try:

    tensor              an array and its place on the tape; its gradient
    ops                 every operation, with its derivative directly beneath it
    tape                what is remembered of an operation, and the sweep that runs backwards
    nn, optim           layers, where they start, losses; SGD
    protocols           NumPy's calls answered by tensors: derivatives that have derivatives
    arrays              other arrays that flow through the same rules
    capture, program    a training step as a list of NumPy calls, made cheaper and replayed

Beside the path lie `methods`, torch's names for the rules, `random`, torch's random numbers,
`autograd` and `gradcheck`, and `explain`, which shows a step at work.
"""

from minigrad import autograd, cuda, nn, optim
from minigrad.capture import CaptureError, capture
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
from minigrad.devices import device
from minigrad.dtypes import DType as dtype
from minigrad.dtypes import bool_ as bool
from minigrad.dtypes import float32, float64, int64
from minigrad.explain import explain
from minigrad.functions import (
    abs,
    add,
    amax,
    amin,
    clone,
    div,
    eq,
    exp,
    flatten,
    ge,
    gt,
    le,
    log,
    lt,
    matmul,
    maximum,
    mean,
    minimum,
    mm,
    mul,
    ne,
    neg,
    numel,
    permute,
    pow,
    relu,
    reshape,
    sigmoid,
    sqrt,
    square,
    squeeze,
    sub,
    sum,
    t,
    tanh,
    transpose,
    unsqueeze,
)
from minigrad.grad_mode import enable_grad, is_grad_enabled, no_grad, set_grad_enabled
from minigrad.random import Generator, default_generator, initial_seed, manual_seed, seed
from minigrad.tensor import Size, Tensor
from minigrad.tensor.arithmetic import where
from minigrad.tensor.printing import set_printoptions
from minigrad.tensor.shape import cat, stack

float = float32
double = float64
long = int64

__all__ = [
    "abs",
    "add",
    "amax",
    "amin",
    "arange",
    "autograd",
    "bool",
    "capture",
    "CaptureError",
    "cat",
    "clone",
    "cuda",
    "default_generator",
    "device",
    "div",
    "double",
    "dtype",
    "enable_grad",
    "eq",
    "exp",
    "explain",
    "flatten",
    "float",
    "float32",
    "float64",
    "from_numpy",
    "full",
    "ge",
    "Generator",
    "gt",
    "initial_seed",
    "int64",
    "is_grad_enabled",
    "le",
    "linspace",
    "log",
    "long",
    "lt",
    "manual_seed",
    "matmul",
    "maximum",
    "mean",
    "minimum",
    "mm",
    "mul",
    "ne",
    "neg",
    "nn",
    "no_grad",
    "numel",
    "ones",
    "ones_like",
    "optim",
    "permute",
    "pow",
    "rand",
    "randn",
    "relu",
    "reshape",
    "seed",
    "set_grad_enabled",
    "set_printoptions",
    "sigmoid",
    "Size",
    "sqrt",
    "square",
    "squeeze",
    "stack",
    "sub",
    "sum",
    "t",
    "tanh",
    "Tensor",
    "tensor",
    "transpose",
    "unsqueeze",
    "where",
    "zeros",
    "zeros_like",
]
