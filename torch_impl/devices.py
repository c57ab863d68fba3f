"""Choosing a device, and making its arithmetic repeatable."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager

import torch


def device(name: str) -> torch.device:
    """Return the device called `name`: "cpu", "cuda", or one of several GPUs as in "cuda:1".

    Raises ValueError where there is no such device.
    """
    match = re.fullmatch(r"(cpu|cuda)(?:(?<=cuda):([0-9]{1,3}))?", name)
    if match is None:
        raise ValueError(f"unknown device {name!r}: give cpu, cuda, or cuda:N for GPU number N")
    kind, index = match.groups()
    if kind == "cuda":
        if torch.version.cuda is None:
            raise ValueError(f"no device {name!r}: this torch is built without CUDA; use cpu")
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if count == 0:
            raise ValueError(f"no device {name!r}: torch finds no usable NVIDIA GPU; use cpu")
        if index is not None and int(index) >= count:
            raise ValueError(f"no device {name!r}: the last one here is cuda:{count - 1}")
    return torch.device(name)


@contextmanager
def deterministic(tf32: bool = False) -> Iterator[None]:
    """Within the block, the same operations on the same inputs give the same bits, run after run.

    Operations without a repeatable implementation raise RuntimeError. Products of float32 matrices
    are computed in float32 throughout; with `tf32` their operands may be rounded to TF32 (10 bits
    of mantissa) where the GPU has such units, which is as repeatable, but gives other numbers.
    Source: torch's notes on reproducibility and on numerical accuracy.
    """
    before = (
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
        torch.get_float32_matmul_precision(),
    )
    # cuBLAS is repeatable only with a workspace of its own. It reads this once, at its first
    # product, so there is nothing to restore afterwards.
    if os.environ.get("CUBLAS_WORKSPACE_CONFIG") not in (":4096:8", ":16:8"):
        os.environ["CUBLAS_WORKSPACE_CONFIG"] = ":4096:8"
    torch.use_deterministic_algorithms(True)
    torch.set_float32_matmul_precision("high" if tf32 else "highest")
    try:
        yield
    finally:
        enabled, warn_only, precision = before
        torch.use_deterministic_algorithms(enabled, warn_only=warn_only)
        torch.set_float32_matmul_precision(precision)
