"""What a program has to work with, and the words that its statements are made of."""

import math
import warnings
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

import torch
from hypothesis.stateful import RuleBasedStateMachine

from tests.minigrad.machine.reduced import reduced
from tests.minigrad.machine.twins import GIVEN, HEAD, Disagreement, Known, Twins

NAMES = [f"t{i}" for i in range(8)]
LARGEST = 150
"""Elements that a tensor may have: one that has more is forgotten."""

NUMBERS = ["0", "1", "2", "3", "-1", "-2", "0.5", "-0.5", "1.5", "2.0", "True"]
RARE_NUMBERS = ["float('inf')", "float('nan')", "-float('inf')", "-0.0", "1e30", "2**40", "None"]
FLOATS, DTYPES = ["torch.float32", "torch.float64"], ["torch.int64", "torch.bool"]


class Pool(RuleBasedStateMachine):
    """A program that grows by a statement a step, and what its statements can be about.

    Attributes:
        twins: the program, run on both libraries.
        known: the differences that are meant to be.
    """

    known: Sequence[Known] = ()

    def __init__(self) -> None:
        super().__init__()
        self.twins = Twins(self.known)

    def run(self, statement: str) -> None:
        """Run a statement on both libraries, and compare.

        Raises:
            Disagreement: they differ; the message is the program, as short as it could be made.
        """
        try:
            self.twins.run(statement)
            for name in self.too_large():
                self.twins.run(f"del {name}")
        except Disagreement as error:
            program, error = reduced(self.twins.program, error, self.known)
            found = Disagreement(
                "\n".join(["", HEAD, *program, "", f"# {error}".replace("\n", "\n# ")])
            )
            found.program = program
            raise found from None

    def teardown(self) -> None:
        self.twins.end()

    @property
    def names(self) -> dict[str, Any]:
        """What torch's side has by now."""
        return {
            k: v for k, v in self.twins.theirs.names.items() if k not in GIVEN and k[:2] != "__"
        }

    def too_large(self) -> list[str]:
        def size(value: Any) -> int:
            if isinstance(value, (list, tuple)):
                return sum(map(size, value)) + len(value)
            return value.numel() if isinstance(value, torch.Tensor) else 0

        return [name for name, value in self.names.items() if size(value) > LARGEST]

    # ---- what there is ----------------------------------------------------------------------

    def tensors(self, wanted: Callable[[torch.Tensor], bool] = lambda t: True) -> list[str]:
        """Return expressions for the tensors there are, parameters and gradients among them."""
        found: dict[str, torch.Tensor] = {}
        for name, value in self.names.items():
            if isinstance(value, torch.Tensor):
                found[name] = value
            elif isinstance(value, torch.nn.Module):
                for path, parameter in value.named_parameters():
                    found[path_of(name, path)] = parameter
        for name, value in list(found.items()):
            if (value.is_leaf or value.retains_grad) and value.grad is not None:
                found[f"{name}.grad"] = value.grad
        return [name for name, value in found.items() if wanted(value)]

    def of(self, kind: type) -> list[str]:
        """Return the names of the values of a class."""
        return [name for name, value in self.names.items() if isinstance(value, kind)]

    def value(self, expression: str) -> Any:
        """Return the value of an expression on torch's side, which stays as it is."""
        with warnings.catch_warnings(action="ignore"):
            return eval(expression, self.twins.theirs.names)

    def tensor(
        self,
        r: Random,
        wanted: Callable[[torch.Tensor], bool] | None = None,
        strictly: bool = False,
    ) -> str:
        """Return an expression for a tensor; mostly one that is wanted, if there is any."""
        fitting = self.tensors(wanted) if wanted and (strictly or r.randrange(8)) else []
        found = fitting or self.tensors()
        return r.choice(found) if found else "torch.ones(2, 3)"

    def seen(self, r: Random) -> str:
        """Return an expression for a tensor, or for one in its memory, laid out otherwise."""
        t = self.tensor(r, lambda t: t.ndim > 1 if r.randrange(2) else True)
        ndim = self.value(t).ndim
        if ndim < 2 or r.randrange(2):
            return t
        turned = f"{t}.transpose({r.randrange(ndim)}, {r.randrange(ndim)})"
        repeated = f"{t}.expand(2, {'-1, ' * ndim})"
        return r.choice([turned, turned, repeated, f"{repeated}.mT", f"{t}[..., ::2]"])

    # ---- words ------------------------------------------------------------------------------

    def new(self, r: Random) -> str:
        return r.choice(NAMES)

    def number(self, r: Random) -> str:
        return r.choice(RARE_NUMBERS if r.randrange(40) == 0 else NUMBERS)

    def operand(self, r: Random, beside: str) -> str:
        """Return a number, or a tensor that broadcasts with another."""
        if r.randrange(3) == 0:
            return self.number(r)
        shape = self.value(beside).shape
        return self.tensor(r, lambda t: broadcasts(t.shape, shape))

    def dtype(self, r: Random) -> str:
        return r.choice(FLOATS if r.randrange(3) else DTYPES)

    def axis(self, r: Random, ndim: int) -> str:
        if r.randrange(30) == 0:
            return r.choice(["5", "-4", "True", "1.0", "None"])
        return str(r.randrange(-max(ndim, 1), max(ndim, 1)))

    def lengths(self, r: Random, longest: int = 4) -> list[int]:
        """Return the lengths of a new tensor, of which one is seldom 0, and a long one seldom."""
        if r.randrange(12) == 0:
            return [r.choice([16, 17, 24])]
        return [r.choice([1, 2, 2, 3, 3, 0][: 6 if r.randrange(4) == 0 else 5])
                for _ in range(r.choice([*range(longest), 2, 3]))]  # fmt: skip

    def same_size(self, r: Random, size: int) -> list[int]:
        """Return lengths for as many elements, one of them perhaps as -1."""
        lengths, rest = [], size
        while rest > 1 and r.randrange(4):
            n = r.choice([n for n in range(1, rest + 1) if rest % n == 0])
            lengths.append(n)
            rest //= n
        lengths.append(rest)
        r.shuffle(lengths)
        if r.randrange(3) == 0:
            lengths[r.randrange(len(lengths))] = -1
        if r.randrange(20) == 0:
            lengths.append(r.choice([0, 2, -1, -2]))
        return lengths


def path_of(module: str, parameter: str) -> str:
    """Return the expression for a parameter by its dotted name; a number is a position."""
    return module + "".join(f"[{p}]" if p.isdigit() else f".{p}" for p in parameter.split("."))


def broadcasts(a: Sequence[int], b: Sequence[int]) -> bool:
    pairs = zip(reversed(a), reversed(b), strict=False)
    return all(n == m or 1 in (n, m) for n, m in pairs)


def fits_into(a: Sequence[int], b: Sequence[int]) -> bool:
    pairs = zip(reversed(a), reversed(b), strict=False)
    return len(a) <= len(b) and all(n in (m, 1) for n, m in pairs)


def listed(r: Random, values: Sequence[Any]) -> str:
    """Return values as the arguments of a call: apart, as a tuple or as a list."""
    text = ", ".join(map(str, values))
    return r.choice([text, text, f"({text}{',' if len(values) == 1 else ''})", f"[{text}]"])


def options(r: Random, **choices: Callable[[], str] | Sequence[str]) -> str:
    """Return keyword arguments, each of them there one time in three, with a comma before each."""
    found = ""
    for name, values in choices.items():
        if r.randrange(3) == 0:
            found += f", {name}={values() if callable(values) else r.choice(list(values))}"
    return found


def size_of(lengths: Sequence[int]) -> int:
    return math.prod(lengths)
