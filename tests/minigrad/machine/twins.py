"""A program, run statement by statement on torch and on minigrad, and compared after each.

A program is a list of statements as text. Both libraries run the same text, in a namespace each in
which `torch` is the library. So whatever is found is a program that can be pasted.
"""

import copy
import pickle
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

import minigrad
from tests.minigrad.machine.comparison import Difference, differences, warned

HEAD = """\
import copy, pickle
import numpy as np
import torch  # or: import minigrad as torch

torch.manual_seed(0)
"""
GIVEN = frozenset({"torch", "np", "copy", "pickle", "__builtins__"})
"""Names that every program has from the start."""


class Disagreement(AssertionError):
    """The two libraries differ, in a way that no known difference explains.

    Attributes:
        program: what they differ on, as short as the machine could make it.
    """

    program: Sequence[str] = ()


@dataclass(frozen=True)
class Known:
    """One difference that is meant to be.

    Attributes:
        name: unique.
        reason: why it is so.
        applies: whether a difference is this one.
        example: a program whose last statement meets it.
        then: what happens so that the two are in step again. "undone": minigrad raised instead of
            doing what torch does, so nothing may have changed here, and torch forgets the
            statement. "forgotten": both forget it. "accepted": nothing.
    """

    name: str
    reason: str
    applies: Callable[[Difference], bool]
    example: tuple[str, ...]
    then: str = "undone"


def compiled(statement: str) -> Any:
    with warnings.catch_warnings(action="ignore"):  # Python's, of what cannot be called
        return compile(statement, "program", "exec")


@dataclass
class Side:
    """One of the two libraries, and the names a program has given there."""

    library: Any
    names: dict[str, Any] = field(default_factory=dict)
    error: BaseException | None = None
    warned: list[str] = field(default_factory=list)
    program: list[str] = field(default_factory=list)

    def begin(self) -> None:
        self.program = []
        self.names = {"torch": self.library, "np": np, "copy": copy, "pickle": pickle}
        self.library.set_grad_enabled(True)
        self.library.manual_seed(0)

    def run(self, statement: str) -> None:
        self.error = None
        self.program.append(statement)
        code = compiled(statement)
        # NumPy's warnings of overflow are switched off, since torch has none.
        with warnings.catch_warnings(record=True) as caught, np.errstate(all="ignore"):
            warnings.simplefilter("always")
            try:
                exec(code, self.names)
            except Exception as error:
                self.error = error
        self.warned = warned(caught)
        if self.library is torch:
            made: dict[int, torch.Tensor] = {}
            for name, value in self.names.items():
                self.names[name] = in_memory(value, made)


def in_memory(value: Any, made: dict[int, torch.Tensor]) -> Any:
    """Return a value with torch's symbolic zeros in it, tensors without memory, as zeros.

    These refuse much, and torch 2.13 crashes at some of what it does not refuse.
    """
    if isinstance(value, torch.Tensor):
        if not value._is_zerotensor():
            return value
        return made.setdefault(id(value), value.clone())
    if type(value) is tuple:
        return tuple(in_memory(part, made) for part in value)
    if type(value) is list:
        value[:] = [part if type(part) is list else in_memory(part, made) for part in value]
    return value


class Twins:
    """The two libraries in step.

    Attributes:
        program: the statements that were run.
        refused: where in it those are that were undone again.
        met: the names of the known differences that were met.
    """

    def __init__(self, known: Sequence[Known] = ()) -> None:
        self.program: list[str] = []
        self.refused: set[int] = set()
        self.met: list[str] = []
        self._known = known
        self._excused: dict[int, Any] = {}  # nodes of other names, by id; kept, so that it stays
        self.ours, self.theirs = Side(minigrad), Side(torch)
        torch.set_warn_always(True)  # not only once, as is usual with some
        self.ours.begin()
        self.theirs.begin()

    def run(self, statement: str) -> None:
        """Run a statement on both, and compare all there is.

        Raises:
            Disagreement: they differ.
        """
        self.ours.run(statement)
        self.theirs.run(statement)
        self.program.append(statement)
        self._compare(statement)

    def _compare(self, statement: str, again: bool = False) -> None:
        """Compare all there is; `again` once a statement that minigrad refused was undone."""
        for difference in differences(self.ours, self.theirs, GIVEN, statement, again):
            node = getattr(difference.ours, "node", None)
            if node is not None and id(node) in self._excused:
                continue
            entry = next((k for k in self._known if k.applies(difference)), None)
            if entry is None or (again and entry.then != "accepted"):
                raise Disagreement(f"{difference}")
            self.met.append(entry.name)
            if entry.then == "accepted":
                self._excused[id(node)] = node
                continue
            self.refused.add(len(self.program) - 1)
            if entry.then == "undone":
                self._repeat(self.theirs)
                self._compare(statement, again=True)
            else:
                self._begin_anew()
            return

    def _repeat(self, side: Side) -> None:
        """Bring one side to where the program without the refused statements ends."""
        side.begin()
        for i, statement in enumerate(self.program):
            if i not in self.refused:
                side.run(statement)

    def _begin_anew(self) -> None:
        """Bring both sides there."""
        again = Twins(self._known)
        for i, statement in enumerate(self.program):
            if i not in self.refused:
                again.run(statement)
        self.ours, self.theirs, self._excused = again.ours, again.theirs, again._excused

    def end(self) -> None:
        """Leave both libraries as other tests expect them."""
        torch.set_warn_always(False)
        self.ours.begin()
        self.theirs.begin()


def disagreement(program: Sequence[str], known: Sequence[Known] = ()) -> Disagreement | None:
    """Run a program on both, to the first disagreement; return that."""
    twins = Twins(known)
    try:
        for statement in program:
            twins.run(statement)
    except Disagreement as error:
        return error
    except RecursionError:
        pass  # a list that is in itself, which is no program of the machine's
    finally:
        twins.end()
    return None
