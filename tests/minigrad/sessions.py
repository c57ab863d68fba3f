"""Sessions: code that has to show the same on minigrad and on torch, line by line."""

import ast
import copy
import pickle
import re
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import minigrad


def sessions(text: str) -> dict[str, str]:
    """Return the code of each session by its heading, a line `# heading` that is not indented."""
    parts = re.split(r"^# (.*)\n", text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def parts(text: str) -> list[str]:
    """Return the expressions of a table: one a line, or several with a semicolon between them."""
    return [part.strip() for part in re.split(r";|\n", text) if part.strip()]


def agree(code: str, **names: Any) -> None:
    """Fail unless a session shows the same on both engines, and shows something.

    Args:
        code: what is run.
        names: what it may use besides.
    """
    ours, theirs = show(minigrad, code, **names), show(torch, code, **names)
    assert ours, "nothing is shown"
    different = [f"{a}\n  and on torch {b}" for a, b in zip(ours, theirs, strict=True) if a != b]
    assert not different, "\n".join(different)


def show(T: Any, code: str, **names: Any) -> list[str]:
    """Run a session on an engine; return its expressions, each with its value."""
    scope = {
        "T": T,
        "nn": T.nn,
        "F": T.nn.functional,
        "f": T.autograd.functional,
        "grad": T.autograd.grad,
        "leaf": lambda values, dtype=T.float64: T.tensor(values, dtype=dtype, requires_grad=True),
        "refused": refused,
        "warned": warned,
        "np": np,
        "copy": copy,
        "pickle": pickle,
        "threading": threading,
        "itself": T.__name__,
        **names,
    }
    T.manual_seed(0)
    found: list[str] = []
    scope["shown"] = lambda piece, value: found.append(f"{piece}: {text(value)}")
    exec(compile(Showing().visit(ast.parse(code)), "session", "exec"), scope)
    return found


class Showing(ast.NodeTransformer):
    """Has every expression that stands by itself show its value, those within functions aside."""

    def visit_Expr(self, node: ast.Expr) -> ast.AST:
        call = ast.parse(f"shown({ast.unparse(node)!r}, {ast.unparse(node)})").body[0]
        return ast.copy_location(ast.fix_missing_locations(call), node)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        return node


def text(value: Any) -> str:
    """Return what a value shows: of tensors every digit, and whether they are recorded."""
    if isinstance(value, (list, tuple)):
        return f"{type(value).__name__.lstrip('_')}({', '.join(map(text, value))})"
    if isinstance(value, (minigrad.Tensor, torch.Tensor)):
        dtype = str(value.dtype).removeprefix("torch.")
        recorded = " requires_grad" if value.requires_grad else ""
        return f"{value.detach().tolist()} {list(value.shape)} {dtype}{recorded}"
    return repr(value)


def refused(words: str, call: Callable[..., Any], *arguments: Any, **options: Any) -> str:
    """Return the class of the exception that a call raises, with these words."""
    with pytest.raises(Exception, match=words) as caught:
        call(*arguments, **options)
    return type(caught.value).__name__


def warned(words: str, call: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
    """Return what a call that warns with these words returns."""
    with pytest.warns(Warning, match=words):
        return call(*arguments, **options)
