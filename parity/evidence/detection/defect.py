"""A defect: one line of minigrad's source, replaced; in a copy of the tree, or in this process.

The catalogue has every planted defect, in one text for each place. Each is really wrong: somewhere
it gives other values, gradients or parameters than it should, and not only other roundings. What is
merely another order of summation is no defect.

A text begins with a paragraph about its defects; each of these is a paragraph of its own:

    name-of-the-defect minigrad/tape.py sweep
    - the line of that function
    + what takes its place, in one line or several
    at the names that locate the defect rightly, where that is not the function itself
    dtype float64, where it is not float32
"""

import ast
import contextlib
import importlib
import inspect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any

from minigrad.files import write_whole
from minigrad.ops import RULES
from parity.errors import UsageError
from parity.source_digest import ROOT


@dataclass(frozen=True)
class Defect:
    """One line replaced by a wrong one.

    Attributes:
        name: unique in the catalogue.
        file: where it is, from the root of the tree.
        function: the function that the line stands in, `SGD.step` for a method; it stands there
            once.
        old: the line, without its indentation.
        new: what takes its place; further lines are indented from the first.
        node: the names that locate the defect rightly: of functions; of probes, where it is no
            operation that is wrong but the recording of them, and a probe is about that; or
            "start". Empty if it is the function itself.
        dtype: of the run that must find it.
    """

    name: str
    file: str
    function: str
    old: str
    new: str
    node: tuple[str, ...] = ()
    dtype: str = "float32"

    @property
    def engine(self) -> str:
        """The engine that has it."""
        if self.file.startswith("minigrad/capture/"):
            return "minigrad-captured"
        return "minigrad-ensemble" if self.file == "minigrad/ensembles.py" else "minigrad"

    @property
    def nodes(self) -> tuple[str, ...]:
        """The names that locate the defect rightly."""
        return self.node or (self.function,)

    def applied_to(self, source: str) -> str:
        """Return the file's source with the defect in it.

        Raises:
            ValueError: there is no such function, or the line does not stand in it once.
        """
        lines = source.split("\n")
        first, last = _extent(ast.parse(source), self.function)
        found = [i for i in range(first - 1, last) if lines[i].strip() == self.old]
        if len(found) != 1:
            raise ValueError(
                f"defect {self.name!r}: {self.function} of {self.file} has the line {self.old!r} "
                f"{len(found)} times; it must have it once"
            )
        (place,) = found
        indentation = lines[place][: len(lines[place]) - len(lines[place].lstrip())]
        lines[place] = "\n".join(indentation + line for line in self.new.split("\n"))
        return "\n".join(lines)

    def plant(self, tree: Path) -> None:
        """Write the defect into the file of a tree."""
        path = tree / self.file
        write_whole(path, self.applied_to(path.read_text(encoding="utf-8")))


def _extent(tree: ast.Module, function: str) -> tuple[int, int]:
    """Return the first and the last line of a function, counted from 1."""
    body: list[ast.stmt] = tree.body
    for name in function.split("."):
        found = [
            node
            for node in body
            if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and node.name == name
        ]
        if len(found) != 1:
            raise ValueError(f"{function!r} is found {len(found)} times; it must be there once")
        body = found[0].body
    assert found[0].end_lineno is not None
    return found[0].lineno, found[0].end_lineno


# ---- the catalogue -----------------------------------------------------------------------------

TEXTS = (
    "linear",
    "elementwise",
    "shapes",
    "tape",
    "layers",
    "optimizer",
    "around",
    "captured",
    "ensembles",
)


def read(text: str) -> Iterator[Defect]:
    """Yield the defects of a text.

    Raises:
        ValueError: a paragraph is none of the form above.
    """
    _, *paragraphs = text.strip().split("\n\n")
    for paragraph in paragraphs:
        head, *lines = paragraph.split("\n")
        found: dict[str, list[str]] = {"-": [], "+": [], "at": [], "dtype": []}
        for line in lines:
            mark, _, rest = line.partition(" ")
            if mark not in found:
                raise ValueError(f"the catalogue has the line {line!r}, which begins with no mark")
            found[mark].append(rest)
        name, file, function = head.split()
        (old,) = found["-"]
        nodes = tuple(" ".join(found["at"]).split())
        dtype = "".join(found["dtype"]) or "float32"
        yield Defect(name, file, function, old, "\n".join(found["+"]), nodes, dtype)


DEFECTS: tuple[Defect, ...] = tuple(
    defect
    for name in TEXTS
    for defect in read((resources.files(__package__) / f"catalogue/{name}.txt").read_text("utf-8"))
)
"""All of them, each under a name of its own."""


def chosen(names: str | None) -> Sequence[Defect]:
    """Return the defects of these names, "a,b"; all without any.

    Raises:
        UsageError: there is none of a name.
    """
    if names is None:
        return DEFECTS
    known = {defect.name: defect for defect in DEFECTS}
    wanted = list(dict.fromkeys(names.split(",")))
    if unknown := [name for name in wanted if name not in known]:
        raise UsageError(
            f"unknown defect {', '.join(map(repr, unknown))}: the known ones are in "
            "parity/evidence/detection/catalogue"
        )
    return [known[name] for name in wanted]


# ---- planting in this process ------------------------------------------------------------------


@contextlib.contextmanager
def planted(defect: Defect) -> Iterator[None]:
    """Plant a defect in this process until the context ends; one at a time, in one thread.

    The changed function is compiled, and its code takes the place of the real function's. The
    function itself stays the same object, so whoever holds it calls the defect.

    Raises:
        ValueError: the line is not there, or no function's code can be swapped for it: what the
            defect names is no function, or the changed one needs other variables from outside.
    """
    place = Path(defect.file).with_suffix("")
    module = importlib.import_module(".".join(place.parts).removesuffix(".__init__"))
    function = _function(module, defect)
    changed = defect.applied_to((ROOT / defect.file).read_text(encoding="utf-8"))
    code = compile(changed, str(module.__file__), "exec", dont_inherit=True)
    right = function.__code__
    try:
        function.__code__ = _within(code, defect.function)
    except ValueError as error:
        raise ValueError(f"defect {defect.name!r}: {defect.function}: {error}") from error
    _forget_plans()
    try:
        yield
    finally:
        function.__code__ = right
        _forget_plans()


def _function(module: Any, defect: Defect) -> FunctionType:
    """Return the function that a defect names; of a property the one that computes its value."""
    found = module
    for name in defect.function.split("."):
        found = inspect.getattr_static(found, name)
    found = getattr(found, "fget", found)
    found = inspect.unwrap(getattr(found, "__func__", found))
    if not isinstance(found, FunctionType) or found.__code__.co_qualname != defect.function:
        raise ValueError(
            f"defect {defect.name!r}: {defect.function} of {defect.file} is no function whose code "
            "can be swapped: plant it in a copy of the tree"
        )
    return found


def _within(code: CodeType, function: str) -> CodeType:
    """Return the code of a function of a module, wherever it is nested."""
    (found,) = (each for each in _all_codes(code) if each.co_qualname == function)
    return found


def _all_codes(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _all_codes(constant)


def _forget_plans() -> None:
    """Let rules plan anew what they save: a plan follows the names of a derivative's parameters."""
    for rule in RULES.values():
        for each in (rule, *rule._twins.values()):
            each._plans.clear()
