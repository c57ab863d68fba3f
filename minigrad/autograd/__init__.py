"""Gradients as values, operations of one's own, higher derivatives, and their numerical check.

>>> from minigrad import tensor
>>> x = tensor(3.0, requires_grad=True)
>>> (slope,) = grad(x**3, x, create_graph=True)
>>> slope.item(), grad(slope, x)
(27.0, (tensor(18.),))
"""

import minigrad.autograd.functional as functional
from minigrad.autograd.function import Function
from minigrad.autograd.grad import backward, grad
from minigrad.autograd.gradcheck import gradcheck, gradgradcheck
from minigrad.grad_mode import enable_grad, no_grad, set_grad_enabled

__all__ = [
    "Function",
    "backward",
    "enable_grad",
    "functional",
    "grad",
    "gradcheck",
    "gradgradcheck",
    "no_grad",
    "set_grad_enabled",
]
