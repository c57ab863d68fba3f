"""Modules: layers that hold parameters, and losses, with torch's names."""

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
