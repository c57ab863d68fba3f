"""`python -m torch_impl ARCHITECTURE`: train one network and print its final mean squared error."""

import argparse
import sys
from collections.abc import Callable, Sequence
from typing import TypeVar

try:
    import torch
except ModuleNotFoundError as error:
    if error.name != "torch":  # something is wrong with torch itself
        raise
    print(
        "python -m torch_impl needs torch, which is not installed: "
        "pip install 'minigrad-parity[parity]'",
        file=sys.stderr,
    )
    sys.exit(2)

from torch_impl.architectures import ARCHITECTURES, DEFAULT_SEED, Architecture, architecture
from torch_impl.devices import deterministic, device
from torch_impl.train import mse, start, train

DIGITS = {"float32": 9, "float64": 17}
"""For each dtype, the significant digits that tell any two of its numbers apart."""


def seed(text: str) -> int:
    """Return the seed in `text`, an integer from 0 to 2⁶⁴ − 1; raise ValueError otherwise."""
    if not text.isascii() or not text.isdigit() or len(text) > 20 or int(text) >= 2**64:
        raise ValueError(f"{text!r} is no seed: give an integer from 0 to 2**64 - 1")
    return int(text)


Parsed = TypeVar("Parsed")


def shown(parse: Callable[[str], Parsed]) -> Callable[[str], Parsed]:
    """Return `parse` with its ValueErrors raised in a way that makes argparse show their text."""

    def wrapped(text: str) -> Parsed:
        try:
            return parse(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from error

    return wrapped


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; bad usage ends the process with exit status 2."""
    parser = argparse.ArgumentParser(
        prog="python -m torch_impl",
        description="Train a network on the noisy parabola with torch and print its final MSE.",
    )
    parser.add_argument(
        "architecture",
        type=shown(architecture),
        help=f"{', '.join(ARCHITECTURES)}, or layer sizes such as 1-32-32-1",
    )
    parser.add_argument(
        "--seed",
        type=shown(seed),
        default=DEFAULT_SEED,
        help=f"0 to 2**64 - 1 (default: {DEFAULT_SEED})",
    )
    parser.add_argument("--device", type=shown(device), default="cpu", help="cpu (default) or cuda")
    parser.add_argument("--dtype", choices=DIGITS, default="float32", help="default: float32")
    parser.add_argument(
        "--tf32", action="store_true", help="let a CUDA device round products' operands to TF32"
    )
    options = parser.parse_args(arguments)
    if options.tf32 and (options.device.type != "cuda" or options.dtype != "float32"):
        parser.error(
            f"--tf32 shortens float32 products on a CUDA device; this run is {options.dtype} on "
            f"{options.device}: leave it out"
        )
    chosen: Architecture = options.architecture
    with deterministic(options.tf32):
        model, x, y = start(
            chosen.sizes,
            options.seed,
            dtype=getattr(torch, options.dtype),
            device=options.device,
        )
        train(model, x, y, chosen.epochs, chosen.learning_rate)
        final_mse = mse(model, x, y)
    print(f"{chosen.name}: final MSE {final_mse:.{DIGITS[options.dtype]}g}")


if __name__ == "__main__":
    main()
