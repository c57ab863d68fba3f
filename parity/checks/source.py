"""Where a function computes: the place and the lines of its body."""

import ast
import inspect
import textwrap
from collections.abc import Callable
from pathlib import Path
from types import CodeType
from typing import Any

import minigrad

MOST = 12
"""So many lines of a body are shown at most: a rule has fewer."""


def body_of(function: Callable[..., Any] | CodeType) -> dict[str, Any]:
    """Return a function's `line`, such as "minigrad/ops/linalg.py:33", and its `source`.

    These are the first line after its docstring, and the lines from there on, without indentation.
    """
    if not isinstance(function, CodeType):
        function = inspect.unwrap(function)
    file = Path(str(inspect.getsourcefile(function)))
    root = Path(str(minigrad.__file__)).parents[1]
    name = file.relative_to(root) if file.is_relative_to(root) else file
    lines, first = inspect.getsourcelines(function)
    (tree,) = ast.parse(textwrap.dedent("".join(lines))).body
    assert isinstance(tree, ast.FunctionDef)
    body = tree.body[1:] if ast.get_docstring(tree) is not None else tree.body
    start = body[0].lineno if body else 1
    source = textwrap.dedent("".join(lines[start - 1 : start - 1 + MOST])).rstrip()
    return {"line": f"{name.as_posix()}:{first + start - 1}", "source": source.splitlines()}


def function_at(place: str) -> CodeType:
    """Return the function of minigrad that a line is in, such as "minigrad/ops/linalg.py:33"."""
    name, _, number = place.partition(":")
    file = Path(str(minigrad.__file__)).parents[1] / name
    found = waiting = [compile(file.read_text(encoding="utf-8"), file, "exec")]
    while waiting:
        waiting = [
            each for code in waiting for each in code.co_consts if isinstance(each, CodeType)
        ]
        inner = [code for code in waiting if int(number) in {at for *_, at in code.co_lines()}]
        found = inner or found
    return found[0]
