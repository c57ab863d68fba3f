"""A reverse-mode autograd engine on NumPy, with torch's names and semantics.

    >>> import minigrad as torch
    >>> x = torch.tensor([1.0, 2.0], requires_grad=True)
    >>> (x * x).sum().backward()
    >>> x.grad
    tensor([2., 4.])

To read it, follow the order in which it builds up. README.md goes the same way, with lines to try:

    tensor              an array and its place on the tape; operations under torch's names
    ops                 every operation, with its derivative directly beneath it
    tape                the record of operations, and the sweep that runs backwards through it
    nn, optim           layers, how their parameters start, losses; SGD
    tensor.protocols    tensors answer NumPy's calls: derivatives that have derivatives
    arrays              other arrays that flow through the same rules
    capture             a training step as a list of NumPy calls, made cheaper and replayed

Beside the path: `random` has torch's random numbers, `autograd` has higher derivatives and a check
of gradients by finite differences, and `explain` shows a step at work.
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
from minigrad.grad_mode import enable_grad, is_grad_enabled, no_grad, set_grad_enabled
from minigrad.random import Generator, default_generator, initial_seed, manual_seed, seed
from minigrad.tensor import Size, Tensor, function
from minigrad.tensor.arithmetic import where
from minigrad.tensor.printing import set_printoptions
from minigrad.tensor.shape import cat, stack

float = float32
double = float64
long = int64

# Methods of `Tensor` as functions: `minigrad.sum(x, dim=0)` is `x.sum(dim=0)`.
abs = function(Tensor.abs)
add = function(Tensor.add)
amax = function(Tensor.amax)
amin = function(Tensor.amin)
clone = function(Tensor.clone)
div = function(Tensor.div)
eq = function(Tensor.eq)
exp = function(Tensor.exp)
flatten = function(Tensor.flatten)
ge = function(Tensor.ge)
gt = function(Tensor.gt)
le = function(Tensor.le)
log = function(Tensor.log)
lt = function(Tensor.lt)
matmul = function(Tensor.matmul)
maximum = function(Tensor.maximum)
mean = function(Tensor.mean)
minimum = function(Tensor.minimum)
mm = function(Tensor.mm)
mul = function(Tensor.mul)
ne = function(Tensor.ne)
neg = function(Tensor.neg)
numel = function(Tensor.numel)
permute = function(Tensor.permute)
pow = function(Tensor.pow)
relu = function(Tensor.relu)
reshape = function(Tensor.reshape)
sigmoid = function(Tensor.sigmoid)
sqrt = function(Tensor.sqrt)
square = function(Tensor.square)
squeeze = function(Tensor.squeeze)
sub = function(Tensor.sub)
sum = function(Tensor.sum)
t = function(Tensor.t)
tanh = function(Tensor.tanh)
transpose = function(Tensor.transpose)
unsqueeze = function(Tensor.unsqueeze)

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
