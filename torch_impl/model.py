"""The fully connected network."""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import nn


def build(sizes: Sequence[int], dtype: torch.dtype = torch.float32) -> nn.Sequential:
    """Return linear layers of these widths, from input to output, with ReLU between them.

    The parameters lie on the CPU and are drawn from torch's default generator by `nn.Linear`'s own
    initialisation, layer by layer, the weight before the bias. Maps (batch, sizes[0]) to
    (batch, sizes[-1]). Raises ValueError for fewer than two sizes.
    """
    if len(sizes) < 2:
        raise ValueError(f"a network needs an input and an output size, not {tuple(sizes)}")
    layers: list[nn.Module] = []
    for fan_in, fan_out in pairwise(sizes):
        layers += [nn.Linear(fan_in, fan_out, dtype=dtype), nn.ReLU()]
    return nn.Sequential(*layers[:-1])
