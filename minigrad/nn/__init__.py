"""Modules: layers that hold parameters, and losses, with torch's names.

    >>> model = Sequential(Linear(1, 16), ReLU(), Linear(16, 1))
    >>> [(name, *parameter.shape) for name, parameter in model.named_parameters()]
    [('0.weight', 16, 1), ('0.bias', 16), ('2.weight', 1, 16), ('2.bias', 1)]

A module finds the parameters among its attributes (`module`); `layers` says what each computes, in
calls of `functional`, which are rules; `init` draws where parameters start.
"""

from minigrad.nn import functional, init
from minigrad.nn.layers import Linear, MSELoss, ReLU, Sequential, Sigmoid, Tanh
from minigrad.nn.module import Module
from minigrad.nn.parameter import Parameter

__all__ = [
    "Linear",
    "MSELoss",
    "Module",
    "Parameter",
    "ReLU",
    "Sequential",
    "Sigmoid",
    "Tanh",
    "functional",
    "init",
]
