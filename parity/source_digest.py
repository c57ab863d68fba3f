"""A digest of source files: by it a result knows the code that it is a result of."""

import ast
import hashlib
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).parents[1]
"""The folder that has the three packages."""


def matching(patterns: Iterable[str], without: Iterable[str] = (), root: Path = ROOT) -> list[Path]:
    """Return the files that match one of some patterns from a folder, and none of the others."""
    found, left_out = (
        {path for pattern in some for path in root.glob(pattern)} for some in (patterns, without)
    )
    return sorted(
        path for path in found - left_out if path.is_file() and "__pycache__" not in path.parts
    )


def digest(
    patterns: Iterable[str],
    without: Iterable[str] = (),
    root: Path = ROOT,
    *,
    code_only: bool = False,
) -> str:
    """Return 16 hexadecimal digits of the names and contents of the files that match.

    Args:
        patterns: which files, such as "minigrad/**/*.py", from `root`.
        without: which of them to leave out.
        root: a folder.
        code_only: whether comments and docstrings do not count; all files are Python's then.
    """
    found = hashlib.sha256()
    for path in matching(patterns, without, root):
        content = _code(path) if code_only else path.read_bytes()
        found.update(f"{path.relative_to(root).as_posix()}\n".encode() + content + b"\n")
    return found.hexdigest()[:16]


def _code(path: Path) -> bytes:
    """Return a Python file's syntax tree without its docstrings, as text."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return ast.dump(_WithoutDocstrings().visit(tree)).encode()


class _WithoutDocstrings(ast.NodeTransformer):
    def visit_Expr(self, node: ast.Expr) -> ast.Expr | None:
        is_text = isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        return None if is_text else node
