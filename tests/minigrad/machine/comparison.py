"""What can be seen of two values, one of each library, and where it differs."""

import warnings
from collections import OrderedDict
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from tests.minigrad.agreement import LARGEST_ULP, ulp_distance
from tests.minigrad.machine.noise import distance, spreads


@dataclass(frozen=True)
class Named:
    """A node of the graph, and its name."""

    node: Any
    name: str | None

    def __repr__(self) -> str:
        return repr(self.name)


Found = tuple[str, str, Any, Any]  # what, where, ours, theirs


@dataclass(frozen=True)
class Difference:
    """One thing that is not the same after a statement.

    Attributes:
        what: "raises", "warns", "values", "grad_fn" and so on.
        where: the expression it shows in; empty for the statement itself.
        ours, theirs: what is there.
        statement: after which it is so.
        sides: both libraries with all their names.
    """

    what: str
    where: str
    ours: Any
    theirs: Any
    statement: str
    sides: tuple[Any, Any]

    @property
    def program(self) -> str:
        """All statements that have been run."""
        return "\n".join(self.sides[0].program)

    def tensors(self) -> Iterator[torch.Tensor]:
        """Yield torch's tensors that have a name, or are in a list or module that has one."""
        for value in self.sides[1].names.values():
            if isinstance(value, torch.nn.Module):
                yield from value.parameters()
            else:
                several = value if isinstance(value, (list, tuple)) else [value]
                yield from (x for x in several if isinstance(x, torch.Tensor))

    def __str__(self) -> str:
        where = f" of {self.where}" if self.where else ""
        return f"{self.what}{where}\n  torch:    {self.theirs!r}\n  minigrad: {self.ours!r}"


def warned(caught: list[warnings.WarningMessage]) -> list[str]:
    return sorted({message.category.__name__ for message in caught})


def differences(
    ours: Any, theirs: Any, given: Collection[str], statement: str, again: bool
) -> Iterator[Difference]:
    """Yield what differs: how the last statement ended, then every name."""
    sides = (ours, theirs)
    if not again:
        if type(ours.error).__name__ != type(theirs.error).__name__:
            yield Difference("raises", "", ours.error, theirs.error, statement, sides)
        elif ours.error is None and ours.warned != theirs.warned:
            yield Difference("warns", "", ours.warned, theirs.warned, statement, sides)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for found in _Walk(theirs).everything(ours, theirs, given):
            yield Difference(*found, statement, sides)


class _Walk:
    """One walk over all that a program has named, on both sides at once."""

    def __init__(self, theirs: Any) -> None:
        self.theirs = theirs
        self.seen: dict[int, str] = {}  # by id of torch's object, where it was seen first
        self.ours_seen: dict[int, str] = {}
        self.kept: list[Any] = []  # what has just been seen, so that no id is used again

    def everything(self, ours: Any, theirs: Any, given: Collection[str]) -> Iterator[Found]:
        left, right = ({n for n in side.names if n[:2] != "__"} for side in (ours, theirs))
        if left != right:
            yield "names", "", sorted(left), sorted(right)
            return
        modes = [side.library.is_grad_enabled() for side in (ours, theirs)]
        if modes[0] != modes[1]:
            yield "is_grad_enabled()", "", *modes
        generators = [side.library.default_generator for side in (ours, theirs)]
        yield from self.value("torch.default_generator", *generators)
        for name, value in theirs.names.items():
            if name not in given and name[:2] != "__":
                yield from self.value(name, ours.names[name], value)

    def value(self, where: str, ours: Any, theirs: Any) -> Iterator[Found]:
        kinds = [type(x).__name__.lstrip("_") for x in (ours, theirs)]
        if isinstance(theirs, torch.dtype):
            if str(theirs) != f"torch.{ours}":
                yield "value", where, ours, theirs
        elif isinstance(theirs, torch.Generator):
            if bytes(ours.get_state()) != bytes(theirs.get_state().numpy()):
                yield "generator", where, "other numbers", "other numbers"
        elif callable(theirs) and not isinstance(theirs, torch.nn.Module):
            return
        elif kinds[0] != kinds[1]:
            yield "type", where, ours, theirs
        elif isinstance(theirs, torch.Tensor):
            yield from self.tensor(where, ours, theirs)
        elif isinstance(theirs, dict):
            yield from self.dict(where, ours, theirs)
        elif isinstance(theirs, (list, tuple)):
            if len(ours) != len(theirs):
                yield "length", where, ours, theirs
                return
            for i, (a, b) in enumerate(zip(ours, theirs, strict=True)):
                yield from self.value(f"{where}[{i}]", a, b)
        elif isinstance(theirs, np.ndarray):
            yield from self.array(where, ours, theirs)
        elif isinstance(theirs, torch.nn.Module):
            yield from self.module(where, ours, theirs)
        elif isinstance(theirs, torch.optim.Optimizer):
            yield from self.value(f"{where}.param_groups", ours.param_groups, theirs.param_groups)
            states = [list(side.state.values()) for side in (ours, theirs)]
            yield from self.value(f"list({where}.state.values())", *states)
        elif isinstance(theirs, (int, float)):
            both_nan = ours != ours and theirs != theirs
            if not (ours == theirs or both_nan or self.close(where, ours, theirs)):
                yield "value", where, ours, theirs
        elif isinstance(theirs, str) and ours != theirs:
            yield "text", where, ours, theirs

    def dict(self, where: str, ours: Any, theirs: Any) -> Iterator[Found]:
        order: Any = list if isinstance(theirs, OrderedDict) else set
        if order(ours) != order(theirs):
            yield "keys", where, list(ours), list(theirs)
            return
        for key, value in theirs.items():
            yield from self.value(f"{where}[{key!r}]", ours[key], value)

    def module(self, where: str, ours: Any, theirs: Any) -> Iterator[Found]:
        if ours.training != theirs.training:
            yield "training", where, ours.training, theirs.training
        notes = [getattr(m, "note", None) for m in (ours, theirs)]
        yield from self.value(f"{where}.note", *notes)
        ours, theirs = (dict(m.named_parameters(remove_duplicate=False)) for m in (ours, theirs))
        yield from self.dict(f"dict({where}.named_parameters())", ours, theirs)

    def tensor(self, where: str, ours: Any, theirs: Any, gradients: bool = True) -> Iterator[Found]:
        first = self.seen.setdefault(id(theirs), where)
        ours_first = self.ours_seen.setdefault(id(ours), where)
        if first != ours_first:
            yield "identity", where, f"is {ours_first}", f"is {first}"
        if first != where:
            return
        self.kept += (ours, theirs)
        yield from self.array(where, ours._array, theirs.detach().numpy(force=True))
        notes = [{k: v for k, v in vars(t).items() if k[0] != "_"} for t in (ours, theirs)]
        yield from self.value(f"vars({where})", *notes)
        try:
            leaves = ours.is_leaf, theirs.is_leaf
        except RuntimeError as error:  # torch's, of a view that it has given up
            yield "looked at", where, ours, error
            return
        pairs = (
            ("requires_grad", ours.requires_grad, theirs.requires_grad),
            ("is_leaf", *leaves),
            ("retains_grad", ours.retains_grad, theirs.retains_grad),
        )
        for what, a, b in pairs:
            if a != b:
                yield what, where, a, b
        nodes = ours.grad_fn, theirs.grad_fn
        a, b = (None if node is None else node.name() for node in nodes)
        if a != b:
            yield "grad_fn", where, Named(nodes[0], a), Named(nodes[1], b)
        a, b = ours.grad, theirs.grad
        if (a is None) != (b is None):
            yield "whether there is a gradient", f"{where}.grad", a, b
        elif b is not None:
            yield from self.tensor(f"{where}.grad", a, b)

    def array(self, where: str, ours: Any, theirs: Any) -> Iterator[Found]:
        if ours.shape != theirs.shape:
            yield "shape", where, ours.shape, theirs.shape
            return
        if ours.dtype != theirs.dtype:
            yield "dtype", where, ours.dtype, theirs.dtype
            return
        a, b = layout(ours), layout(theirs)
        if a != b:
            yield "layout", where, a, b
        if ours.tobytes() != theirs.tobytes():
            if not self.close(where, ours, theirs):
                yield "values", where, ours.tolist(), theirs.tolist()
            elif ours.flags.writeable:  # go on from the same, so that roundings do not add up
                np.copyto(ours, theirs)

    def close(self, where: str, ours: Any, theirs: Any) -> bool:
        """Return whether values agree up to what rounding errors make of them."""
        a, b = np.asarray(ours), np.asarray(theirs)
        if b.dtype.kind != "f":
            return bool((a == b).all())
        if bool((ulp_distance(a, b) <= LARGEST_ULP).all()):
            return True
        return bool((distance(a, b) <= spreads(self.theirs, where, b)).all())


def layout(x: Any) -> list[int]:
    """Return by how many elements one goes on along each axis, where there are several."""
    lengths = zip(x.shape, x.strides, strict=True)
    return [step // x.itemsize for n, step in lengths if n != 1 and x.size]
