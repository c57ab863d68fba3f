"""The noisy parabola."""

import torch


def parabola(
    samples: int = 100, dtype: torch.dtype = torch.float32
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return inputs evenly spaced on [-5, 5] and targets x² + standard normal noise.

    Both have shape (samples, 1) and lie on the CPU. The noise comes from torch's default generator,
    one element at a time: torch fills tensors of 16 elements and more by another method, which
    gives other numbers for the same seed. Raises ValueError for fewer than one sample.
    """
    if samples < 1:
        raise ValueError(f"cannot draw {samples} samples: ask for at least 1")
    x = torch.linspace(-5, 5, samples, dtype=dtype)
    y = torch.stack([value**2 + torch.randn(1, dtype=dtype) for value in x])
    return x.reshape(-1, 1), y
