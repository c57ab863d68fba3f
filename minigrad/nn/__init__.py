"""Modules: layers that hold parameters, and losses, with torch's names.

    >>> model = Sequential(Linear(1, 16), ReLU(), Linear(16, 1))
    >>> [(name, *parameter.shape) for name, parameter in model.named_parameters()]
    [('0.weight', 16, 1), ('0.bias', 16), ('2.weight', 1, 16), ('2.bias', 1)]

A module finds the parameters among its attributes (`attributes`, `module`). `layers` has what a
plain network is made of, in calls of `functional`, which are rules; `activations`, `losses` and
`containers` have the others. `init` draws where parameters start; `utils` cuts gradients short.
"""

from minigrad.nn import functional, init, utils
from minigrad.nn.activations import Flatten, Identity, LeakyReLU, Sigmoid, Softplus, Tanh
from minigrad.nn.containers import ModuleDict, ModuleList, ParameterList
from minigrad.nn.layers import Linear, MSELoss, ReLU, Sequential
from minigrad.nn.losses import HuberLoss, L1Loss, SmoothL1Loss
from minigrad.nn.module import Module
from minigrad.nn.parameter import Parameter

__all__ = [
    "Flatten",
    "HuberLoss",
    "Identity",
    "L1Loss",
    "LeakyReLU",
    "Linear",
    "MSELoss",
    "Module",
    "ModuleDict",
    "ModuleList",
    "Parameter",
    "ParameterList",
    "ReLU",
    "Sequential",
    "Sigmoid",
    "SmoothL1Loss",
    "Softplus",
    "Tanh",
    "functional",
    "init",
    "utils",
]
