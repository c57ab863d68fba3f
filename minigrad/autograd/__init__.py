"""Gradients as values, higher derivatives, their numerical check, and the recording switches.

>>> from minigrad import tensor
>>> x = tensor(3.0, requires_grad=True)
>>> (slope,) = grad(x**3, x, create_graph=True)
>>> slope.item(), grad(slope, x)
(27.0, (tensor(18.),))
"""

import minigrad.autograd.functional as functional
from minigrad.autograd.grad import backward, grad
from minigrad.autograd.gradcheck import gradcheck, gradgradcheck
from minigrad.grad_mode import enable_grad, no_grad, set_grad_enabled

__all__ = [
    "backward",
    "enable_grad",
    "functional",
    "grad",
    "gradcheck",
    "gradgradcheck",
    "no_grad",
    "set_grad_enabled",
]
