"""Optimisers, and learning rates that change as training goes on."""

from minigrad.optim import lr_scheduler
from minigrad.optim.sgd import SGD

__all__ = ["SGD", "lr_scheduler"]
