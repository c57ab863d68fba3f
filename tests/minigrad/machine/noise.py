"""How far rounding errors carry a program: torch against itself, with every rounding made anew.

Two right libraries round differently, and how much of that is left in a result depends on what a
program does. So torch runs the program again, and each operation that rounds returns its result a
few units of the last place away. What such runs differ by, times `FACTOR`, is what minigrad may
differ by.
"""

import warnings
from collections.abc import Iterable, Iterator
from random import Random
from typing import Any

import numpy as np
import torch
from torch.utils._python_dispatch import TorchDispatchMode

RUNS = 8
FACTOR = 2

COMBINING = {
    *("sum", "mean", "var", "std", "linalg_vector_norm", "mm", "bmm", "mv", "dot", "addmm"),
    *("mse_loss", "mse_loss_backward"),
}
"""What adds up many values: each of these is moved, since their sum may be small."""

ROUNDING = {
    *COMBINING, "add", "add_", "sub", "sub_", "rsub", "mul", "mul_", "div", "div_", "reciprocal",
    "pow", "pow_", "sqrt", "exp", "log", "tanh", "tanh_backward", "sigmoid", "sigmoid_backward",
    "sin", "cos", "softplus", "softplus_backward", "huber_loss", "huber_loss_backward",
    "smooth_l1_loss", "smooth_l1_loss_backward", "linspace", "_foreach_add_", "_foreach_mul_",
}  # fmt: skip


FUNCTIONS = {"exp", "log", "pow", "pow_", "sigmoid", "softplus", "tanh", "sin", "cos"}
"""What is not correctly rounded: moved by two units of the last place, everything else by one."""


class Noise(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Within it, what torch computes is a few units of the last place away."""

    def __init__(self, seed: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.random = torch.Generator().manual_seed(seed)

    def moved(self, x: Any, units: int = 1, short: bool = False) -> Any:
        """Return a tensor, or those of a list, with other roundings.

        Short numbers stay, as they are most likely exact, unless they are to be moved, too.
        """
        if isinstance(x, (list, tuple)):
            return type(x)(self.moved(part, units, short) for part in x)
        if not isinstance(x, torch.Tensor) or not x.is_floating_point():
            return x
        up = torch.randint(0, 2, x.shape, generator=self.random)  # less might be rounded away
        noise = 2 * up.to(x.dtype) - 1
        moved = x * (1 + units * torch.finfo(x.dtype).eps * noise)
        return moved if short else torch.where(x == x.bfloat16(), x, moved)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func._schema.name.removeprefix("aten::")
        if name in COMBINING or "alpha" in (kwargs or {}):  # the product is rounded, too, or not
            first = args[0] if name[-1] == "_" else self.moved(args[0], short=True)
            args = (first, *self.moved(args[1:], short=True))  # which partial sums are not
        result = func(*args, **(kwargs or {}))
        if name not in ROUNDING:
            return result
        for x in args[0] if name.startswith("_foreach") else [result]:
            x.copy_(self.moved(x, 1 + (name in FUNCTIONS), short=name in ("tanh", "sigmoid")))
        return result


class Steps(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Within it, axes of length 1 have other steps in memory, by which torch orders results."""

    def __init__(self, seed: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.random = Random(seed)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if isinstance(result, torch.Tensor) and not func._schema.is_mutable:
            steps = zip(result.shape, result.stride(), strict=True)
            others = [self.random.choice([1, 2, 10**3]) if n == 1 else step for n, step in steps]
            result.as_strided_(result.shape, others, result.storage_offset())
        return result


def spreads(side: Any, where: str, value: Any) -> Any:
    """Return how far the elements of a value of a program are from where they are with noise.

    Args:
        side: torch's, with the program that it has run.
        where: the expression for the value.
        value: what it is without noise, an array or a number.

    Returns:
        the largest difference of each element; none if a run takes another way, and so has no
        such value.
    """
    found = np.zeros(np.shape(value))
    for again in repeated(side, where, map(Noise, range(RUNS))):
        moved = np.asarray(again.detach() if isinstance(again, torch.Tensor) else again)
        if again is None or moved.shape != found.shape:
            return np.zeros_like(found)
        found = np.maximum(found, distance(moved, value))
    return FACTOR * found


def repeated(side: Any, where: str, modes: Iterable[Any]) -> Iterator[Any]:
    """Run a program again, once in each mode; yield a value, or None if there is none any more."""
    state, is_enabled = torch.get_rng_state(), torch.is_grad_enabled()
    try:
        for mode in modes:
            again = type(side)(torch)
            again.begin()
            with mode:
                for statement in side.program:
                    again.run(statement)
            try:
                with warnings.catch_warnings(action="ignore"):
                    value = eval(where, again.names)
            except (LookupError, NameError, AttributeError):
                value = None
            yield value
    finally:
        torch.set_rng_state(state)
        torch.set_grad_enabled(is_enabled)


def distance(a: Any, b: Any) -> Any:
    """Return how far elements are apart; infinitely where only one is a number, or infinite."""
    with np.errstate(all="ignore"):
        apart = np.abs(np.subtract(a, b, dtype=np.float64))
    same = np.equal(a, b) | (np.isnan(a) & np.isnan(b))
    return np.where(same, 0, np.where(np.isnan(apart), np.inf, apart))
