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
    tensor.numpy_calls  tensors answer NumPy's calls: derivatives that have derivatives
    arrays              other arrays that flow through the same rules
    capture             a training step as a list of NumPy calls, made cheaper and replayed

Beside the path: `random` has torch's random numbers, `autograd` has higher derivatives and a check
of gradients by finite differences, and `explain` shows a step at work.
"""

import sys as _sys

from minigrad import shell as _shell  # noqa: F401, before all others: Ctrl-C while they load

# isort: split

from minigrad import autograd as autograd
from minigrad import contents as _contents
from minigrad import cuda as cuda
from minigrad import dtypes
from minigrad import nn as nn
from minigrad import optim as optim
from minigrad import utils as utils
from minigrad.capture import CaptureError as CaptureError
from minigrad.capture import capture as capture
from minigrad.creation import arange as arange
from minigrad.creation import empty as empty
from minigrad.creation import eye as eye
from minigrad.creation import full as full
from minigrad.creation import full_like as full_like
from minigrad.creation import linspace as linspace
from minigrad.creation import ones as ones
from minigrad.creation import ones_like as ones_like
from minigrad.creation import zeros as zeros
from minigrad.creation import zeros_like as zeros_like
from minigrad.devices import device as device
from minigrad.dtypes import get_default_dtype as get_default_dtype
from minigrad.dtypes import set_default_dtype as set_default_dtype
from minigrad.explain import explain as explain
from minigrad.from_data import as_tensor as as_tensor
from minigrad.from_data import from_numpy as from_numpy
from minigrad.from_data import tensor as tensor
from minigrad.grad_mode import enable_grad as enable_grad
from minigrad.grad_mode import is_grad_enabled as is_grad_enabled
from minigrad.grad_mode import no_grad as no_grad
from minigrad.grad_mode import set_grad_enabled as set_grad_enabled
from minigrad.random import Generator as Generator
from minigrad.random import default_generator as default_generator
from minigrad.random import get_rng_state as get_rng_state
from minigrad.random import initial_seed as initial_seed
from minigrad.random import manual_seed as manual_seed
from minigrad.random import seed as seed
from minigrad.random import set_rng_state as set_rng_state
from minigrad.random_tensors import normal as normal
from minigrad.random_tensors import rand as rand
from minigrad.random_tensors import rand_like as rand_like
from minigrad.random_tensors import randint as randint
from minigrad.random_tensors import randn as randn
from minigrad.random_tensors import randn_like as randn_like
from minigrad.random_tensors import randperm as randperm
from minigrad.tensor import Size as Size
from minigrad.tensor import Tensor as Tensor
from minigrad.tensor import function as _function
from minigrad.tensor.arithmetic import where as where
from minigrad.tensor.joining import cat as cat
from minigrad.tensor.joining import hstack as hstack
from minigrad.tensor.joining import stack as stack
from minigrad.tensor.joining import vstack as vstack
from minigrad.tensor.printing import set_printoptions as set_printoptions
from minigrad.version import __version__ as __version__

dtype = dtypes.DType
bool = dtypes.bool_
float = float32 = dtypes.float32
double = float64 = dtypes.float64
long = int64 = dtypes.int64

# Methods of `Tensor` as functions: `minigrad.sum(x, dim=0)` is `x.sum(dim=0)`.
abs = _function(Tensor.abs)
add = _function(Tensor.add)
all = _function(Tensor.all)
allclose = _function(Tensor.allclose)
amax = _function(Tensor.amax)
amin = _function(Tensor.amin)
any = _function(Tensor.any)
argmax = _function(Tensor.argmax)
argmin = _function(Tensor.argmin)
clamp = _function(Tensor.clamp)
clip = clamp
clone = _function(Tensor.clone)
cos = _function(Tensor.cos)
div = _function(Tensor.div)
dot = _function(Tensor.dot)
eq = _function(Tensor.eq)
equal = _function(Tensor.equal)
exp = _function(Tensor.exp)
flatten = _function(Tensor.flatten)
floor_divide = _function(Tensor.floor_divide)
ge = _function(Tensor.ge)
gt = _function(Tensor.gt)
isfinite = _function(Tensor.isfinite)
isinf = _function(Tensor.isinf)
isnan = _function(Tensor.isnan)
le = _function(Tensor.le)
log = _function(Tensor.log)
lt = _function(Tensor.lt)
matmul = _function(Tensor.matmul)
max = _function(Tensor.max)
maximum = _function(Tensor.maximum)
mean = _function(Tensor.mean)
min = _function(Tensor.min)
minimum = _function(Tensor.minimum)
mm = _function(Tensor.mm)
mul = _function(Tensor.mul)
mv = _function(Tensor.mv)
ne = _function(Tensor.ne)
neg = _function(Tensor.neg)
norm = _function(Tensor.norm)
numel = _function(Tensor.numel)
outer = _function(Tensor.outer)
permute = _function(Tensor.permute)
pow = _function(Tensor.pow)
relu = _function(Tensor.relu)
relu_ = _function(Tensor.relu_)
remainder = _function(Tensor.remainder)
reshape = _function(Tensor.reshape)
sigmoid = _function(Tensor.sigmoid)
sin = _function(Tensor.sin)
sqrt = _function(Tensor.sqrt)
square = _function(Tensor.square)
squeeze = _function(Tensor.squeeze)
std = _function(Tensor.std)
sub = _function(Tensor.sub)
sum = _function(Tensor.sum)
t = _function(Tensor.t)
tanh = _function(Tensor.tanh)
transpose = _function(Tensor.transpose)
unsqueeze = _function(Tensor.unsqueeze)
var = _function(Tensor.var)

__all__ = [
    name
    for name, value in globals().items()
    if (name[0] != "_" or name == "__version__")
    and (not isinstance(value, type(nn)) or value in (autograd, cuda, nn, optim, utils))
]

_contents.answer(
    *(_sys.modules[__name__], autograd, autograd.functional, nn, nn.functional, nn.init, nn.utils),
    *(optim, optim.lr_scheduler, utils, utils.data),
)
