"""A defect: one line of minigrad's source, replaced."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from pathlib import Path


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
        node: where the defect must be located, one name or several that are all right: of
            functions; of probes, where it is no operation that is wrong but the recording of them,
            and a probe is about that; or "start". By default it is the function itself.
        dtype: of the run that must find it.
    """

    name: str
    file: str
    function: str
    old: str
    new: str
    node: str | tuple[str, ...] = ()
    dtype: str = "float32"

    @property
    def nodes(self) -> tuple[str, ...]:
        """The names that locate the defect rightly."""
        named = (self.node,) if isinstance(self.node, str) else self.node
        return named or (self.function,)

    def planted(self, source: str) -> str:
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
        path.write_text(self.planted(path.read_text(encoding="utf-8")), encoding="utf-8")


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
