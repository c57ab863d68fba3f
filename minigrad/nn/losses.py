"""Losses that mind large errors less than `MSELoss`; `reduction` is 'mean', 'sum' or 'none'."""

from minigrad.nn import functional
from minigrad.nn.module import Module
from minigrad.tensor import Tensor


class L1Loss(Module):
    """Absolute error."""

    def __init__(self, *, reduction: str = "mean") -> None:
        super().__init__()
        self.reduction = reduction

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return functional.l1_loss(input, target, reduction=self.reduction)


class HuberLoss(Module):
    """Half the squared error up to delta, and a line in its direction from there on."""

    def __init__(self, reduction: str = "mean", delta: float = 1.0) -> None:
        super().__init__()
        self.reduction = reduction
        self.delta = delta

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return functional.huber_loss(input, target, self.reduction, self.delta)


class SmoothL1Loss(Module):
    """`HuberLoss` divided by its delta, which is called beta here."""

    def __init__(self, *, reduction: str = "mean", beta: float = 1.0) -> None:
        super().__init__()
        self.reduction = reduction
        self.beta = beta

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return functional.smooth_l1_loss(input, target, reduction=self.reduction, beta=self.beta)
